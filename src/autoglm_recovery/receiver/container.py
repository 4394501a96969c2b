# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run playbooks in an execution environment: a container image that holds Ansible, with podman.

Each supervisor loads this, so it loads little itself.
"""

from __future__ import annotations

import hashlib
import logging
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoglm_recovery.receiver.launcher import LaunchRefused

if TYPE_CHECKING:
    from autoglm_recovery.policy.launchers import ExecutionEnvironment

# ansible-runner mounts the run's directory here (its documentation, "Using Runner with process isolation").
INSIDE = "/runner"
_INVENTORY_INSIDE = "/inventory"
REMOVAL_S = 5

log = logging.getLogger(__name__)


def check_podman(find: Callable[[str], str | None] = shutil.which) -> None:
    """:raises LaunchRefused: if there is no podman."""
    if find("podman") is None:
        raise LaunchRefused("the policy wants an execution environment, and podman is not installed on this machine")


def contains(arguments: Mapping[str, Any]) -> bool:
    """Tell whether C(runner_arguments) have the playbook run in a container."""
    return bool(arguments.get("process_isolation"))


def ident(directory: Path) -> str:
    """Name a run as no other on this machine, which may have several receivers: ansible-runner's container gets it."""
    return f"{directory.name}-{hashlib.sha256(str(directory).encode()).hexdigest()[:8]}"


def remove(directory: Path) -> None:
    """Remove the container of a run whose processes are ended, and end those that are not; nothing if there is none.

    podman's own monitor would do it, if it was not killed with the rest.
    """
    # The name is ansible-runner's.
    command = ["podman", "rm", "--force", "--ignore", "--time", "0", f"ansible_runner_{ident(directory)}"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=REMOVAL_S, check=False, text=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        log.warning("container %s is left: %s", command[-1], error)
    else:
        if done.returncode:
            log.warning("container %s is left: %s", command[-1], done.stderr.strip()[:500])


def runner_arguments(environment: ExecutionEnvironment | None, directory: Path, inventory: Path) -> dict[str, Any]:
    """Return what C(ansible_runner.run) gets beside the playbook and the limit, on this machine or in a container.

    In the container the variables are in the run's directory, and the inventory is mounted for reading: its folder if
    it is a file, because C(host_vars) and C(group_vars) lie beside it.

    :raises LaunchRefused: if the inventory cannot be mounted.
    """
    if environment is None:
        words = ["--inventory", str(inventory), "--extra-vars", f"@{directory / 'vars.yml'}"]
        return {"ident": "ansible", "cmdline": shlex.join(words)}
    folder = inventory if inventory.is_dir() else inventory.parent
    if ":" in str(folder):
        raise LaunchRefused(f"the inventory's folder {folder} has a colon in its name, which podman cannot mount")
    inside = _INVENTORY_INSIDE if inventory.is_dir() else f"{_INVENTORY_INSIDE}/{inventory.name}"
    words = ["--inventory", inside, "--extra-vars", f"@{INSIDE}/vars.yml"]
    return {
        "ident": ident(directory),
        "cmdline": shlex.join(words),
        "process_isolation": True,
        "process_isolation_executable": "podman",
        "container_image": environment.image,
        "container_volume_mounts": [f"{folder}:{_INVENTORY_INSIDE}:ro", *environment.mounts],
        "container_options": [f"--pull={environment.pull}", "--network=host", *environment.options],
    }
