# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run playbooks in an execution environment: a container image that holds Ansible, with podman."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoglm_recovery.receiver.launcher import LaunchRefused

# ansible-runner mounts the run's directory here (its documentation, "Using Runner with process isolation").
INSIDE = "/runner"
_INVENTORY_INSIDE = "/inventory"
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}\Z", re.ASCII)


@dataclass(frozen=True)
class ExecutionEnvironment:
    """An image, when to pull it (C(always), C(missing), C(never)), and what else podman and the container get."""

    image: str
    pull: str = "missing"
    mounts: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """:raises ValueError: for what podman would take for something else than an image or a mount."""
        if not _IMAGE.match(self.image):
            raise ValueError(f"{self.image!r} is no name of an image")
        if self.pull not in ("always", "missing", "never"):
            raise ValueError(f"pull is {self.pull!r}; it is always, missing or never")
        for mount in self.mounts:
            if not mount.startswith("/") or mount.count(":") not in (1, 2):
                raise ValueError(f"{mount!r} is no mount; it looks like /on/this/machine:/in/the/container:ro")


def check_podman(find: Callable[[str], str | None] = shutil.which) -> None:
    """:raises LaunchRefused: if there is no podman."""
    if find("podman") is None:
        raise LaunchRefused("the policy wants an execution environment, and podman is not installed on this machine")


def runner_arguments(environment: ExecutionEnvironment | None, directory: Path, inventory: Path) -> dict[str, Any]:
    """Return what C(ansible_runner.run) gets beside the playbook and the limit, on this machine or in a container.

    In the container the variables are in the run's directory, and the inventory is mounted for reading: its folder if
    it is a file, because C(host_vars) and C(group_vars) lie beside it.

    :raises LaunchRefused: if the inventory cannot be mounted.
    """
    if environment is None:
        words = ["--inventory", str(inventory), "--extra-vars", f"@{directory / 'vars.yml'}"]
        return {"cmdline": shlex.join(words)}
    folder = inventory if inventory.is_dir() else inventory.parent
    if ":" in str(folder):
        raise LaunchRefused(f"the inventory's folder {folder} has a colon in its name, which podman cannot mount")
    inside = _INVENTORY_INSIDE if inventory.is_dir() else f"{_INVENTORY_INSIDE}/{inventory.name}"
    words = ["--inventory", inside, "--extra-vars", f"@{INSIDE}/vars.yml"]
    return {
        "cmdline": shlex.join(words),
        "process_isolation": True,
        "process_isolation_executable": "podman",
        "container_image": environment.image,
        "container_volume_mounts": [f"{folder}:{_INVENTORY_INSIDE}:ro", *environment.mounts],
        "container_options": [f"--pull={environment.pull}", "--network=host", *environment.options],
    }
