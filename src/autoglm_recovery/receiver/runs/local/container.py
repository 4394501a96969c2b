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
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoglm_recovery.receiver.process import inherited
from autoglm_recovery.receiver.runs.protocol import LaunchRefused

if TYPE_CHECKING:
    from autoglm_recovery.policy.launchers import ExecutionEnvironment

# ansible-runner mounts the run's directory here (its documentation, "Using Runner with process isolation").
INSIDE = "/runner"
_RUNNER_S_INVENTORY = f"{INSIDE}/inventory"
AGENT = "SSH_AUTH_SOCK"
_INVENTORY_INSIDE = Path("/inventory")
# The acting thread of a receiver waits no longer; a run's own supervisor has the time that a busy machine takes.
REMOVAL_S = 5.0
PATIENT_REMOVAL_S = 60.0
# From which depth on a folder is somebody's own and not the image's; 0: never.
_OWN_FROM = {
    **dict.fromkeys(("", "bin", "boot", "dev", "lib", "lib64", "proc", "sbin", "sys", "usr", "runner", "inventory"), 0),
    **dict.fromkeys(("etc", "home", "media", "mnt", "opt", "root", "srv", "tmp"), 2),
    **dict.fromkeys(("run", "var"), 3),
}

log = logging.getLogger(__name__)


def check_podman(find: Callable[[str], str | None] = shutil.which) -> None:
    """Raises LaunchRefused if there is no podman."""
    if find("podman") is None:
        raise LaunchRefused("the policy wants an execution environment, and podman is not installed on this machine")


def contains(arguments: Mapping[str, Any]) -> bool:
    """Tell whether ``runner_arguments`` have the playbook run in a container."""
    return bool(arguments.get("process_isolation"))


def ident(directory: Path) -> str:
    """Name a run as no other on this machine, which may have several receivers: ansible-runner's container gets it."""
    return f"{directory.name}-{hashlib.sha256(str(directory).encode()).hexdigest()[:8]}"


def remove(directory: Path, seconds: float = REMOVAL_S) -> None:
    """Remove the container of a run whose processes are ended, and end those that are not; nothing if there is none.

    podman's own monitor would do it, if it was not killed with the rest.
    """
    # The name is ansible-runner's.
    command = ["podman", "rm", "--force", "--ignore", "--time", "0", f"ansible_runner_{ident(directory)}"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
            text=True,
            env=inherited.environment(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        log.warning("container %s is left: %s", command[-1], error)
    else:
        if done.returncode:
            log.warning("container %s is left: %s", command[-1], done.stderr.strip()[:500])


def runner_arguments(
    environment: ExecutionEnvironment | None, directory: Path, inventory: Path, folder: Path, playbook: str = ""
) -> dict[str, Any]:
    """Return what ``ansible_runner.run`` gets beside the playbook and the limit, on this machine or in a container.

    ``folder`` is where ``ansible-playbook`` would have been started.  In the container the variables are in the run's
    directory; ``folder``, and the inventory for reading (its folder if it is a file, because ``host_vars`` and
    ``group_vars`` lie beside it), are there under their own names, unless that would hide what the image has there.

    So is the folder of a ``playbook`` that is given by its path, with the task files and roles beside it.

    Raises LaunchRefused if the inventory or the playbook cannot be mounted.
    """
    if environment is None:
        words = ["--inventory", str(inventory), "--extra-vars", f"@{directory / 'vars.yml'}"]
        return {"ident": "ansible", "cmdline": shlex.join(words), "project_dir": str(folder)}
    fleet = inventory if inventory.is_dir() else inventory.parent
    if ":" in f"{fleet}{inventory.resolve()}":
        raise LaunchRefused(f"the inventory's folder {fleet} has a colon in its name, which podman cannot mount")
    at = fleet if mountable(fleet) else _INVENTORY_INSIDE
    words = [
        "--inventory",
        str(at if fleet == inventory else at / inventory.name),
        "--extra-vars",
        f"@{INSIDE}/vars.yml",
    ]
    mounts = list(environment.mounts)
    work = mountable(folder)
    if work and not any(str(folder) == mount.split(":")[1] for mount in mounts):
        # For writing too: caches of facts and inventories, and logs, are kept where ansible.cfg says.
        mounts.append(f"{folder}:{folder}")
    mounts = _readable(mounts, fleet, at)
    if inventory.is_symlink() and fleet != inventory:
        mounts = _readable(mounts, inventory.resolve(), inventory.resolve())
    mounts = _with_playbook(mounts, playbook)
    return {
        "ident": ident(directory),
        "cmdline": shlex.join(words),
        "process_isolation": True,
        "process_isolation_executable": "podman",
        "container_image": environment.image,
        "container_volume_mounts": mounts,
        # What Ansible prints comes by podman's terminal.  podman would keep it too, often in the journal, as it is.
        "container_options": [
            f"--pull={environment.pull}",
            "--network=host",
            "--log-driver=none",
            *environment.options,
        ],
        **({"container_workdir": str(folder)} if work else {}),
    }


def _with_playbook(mounts: Sequence[str], playbook: str) -> list[str]:
    """Raises LaunchRefused if a playbook's folder would hide what an image has, or podman cannot mount it."""
    if not playbook.startswith("/"):
        return list(mounts)
    beside = Path(playbook).parent
    already = any(beside.is_relative_to(mount.split(":")[1]) for mount in mounts)
    if not already and not mountable(beside):
        raise LaunchRefused(
            f"the playbook's folder {beside} cannot be mounted into the execution environment under its own name; put "
            "the playbook into a folder of its own, such as /etc/autoglm/playbooks, or into a collection of the image"
        )
    return list(mounts) if already else _readable(mounts, beside, beside)


def _readable(mounts: Sequence[str], what: Path, at: Path) -> list[str]:
    """Add something for reading, unless it is there already: podman refuses two mounts in one place."""
    there = [mount.split(":") for mount in mounts]
    if any(words[1] == str(at) or (words[0] == words[1] and at.is_relative_to(words[1])) for words in there):
        return list(mounts)
    return [*mounts, f"{what}:{at}:ro"]


def mountable(folder: Path) -> bool:
    """Tell whether a folder can be there under its own name without hiding what an image needs."""
    _root, *names = folder.parts
    least = _OWN_FROM.get(names[0] if names else "", 1)
    return ":" not in str(folder) and 0 < least <= len(names)


def seen(arguments: Mapping[str, Any]) -> tuple[Path, ...]:
    """Return what is in the container under its own name."""
    mounts = (str(mount).split(":") for mount in arguments.get("container_volume_mounts", ()))
    return tuple(Path(mount[0]) for mount in mounts if mount[0] == mount[1])


def with_configuration(arguments: Mapping[str, Any], file: str | None) -> dict[str, Any]:
    """Add what makes this machine's ``ansible.cfg`` be there: its folder, where relative paths of settings begin."""
    if file is None or _is_below(Path(file), seen(arguments)):
        return dict(arguments)
    folder = Path(file).parent
    # Caches and logs may be there too.
    mount = f"{folder}:{folder}" if mountable(folder) else f"{file}:{file}:ro"
    return {**arguments, "container_volume_mounts": [*arguments["container_volume_mounts"], mount]}


def with_agent(arguments: Mapping[str, Any], settings: Mapping[str, str]) -> dict[str, Any]:
    """Add the socket of the ssh-agent that the environment names, if one is there still."""
    socket = settings.get(AGENT, "")
    if not socket.startswith("/") or ":" in socket or not Path(socket).is_socket():
        return dict(arguments)
    return {**arguments, "container_volume_mounts": [*arguments["container_volume_mounts"], f"{socket}:{socket}"]}


def forget_runner_s_inventory(command: list[str]) -> None:
    """Take out of a command what ansible-runner adds to each in a container: an inventory in the run's directory.

    There is none.  For whoever has Ansible refuse an inventory that cannot be read that would be the end of every run.
    """
    at = command.index(_RUNNER_S_INVENTORY) if _RUNNER_S_INVENTORY in command else 0
    if at and command[at - 1] == "-i":
        del command[at - 1 : at + 1]


def carried(settings: Mapping[str, str], of_paths: Collection[str], folders: Sequence[Path]) -> dict[str, str]:
    """Return the variables that mean the same in the container: Ansible's, and where ssh's agent is.

    Of those ``of_paths`` only what is in ``folders``, which are there too, or is relative.
    """
    kept = {}
    for name, value in settings.items():
        if name == AGENT and _is_below(value, folders):
            kept[name] = value
        if not name.startswith("ANSIBLE_"):
            continue
        lost = set(elsewhere(value, folders)) if name in of_paths else ()
        if there := ":".join(part for part in value.split(":") if part not in lost):
            kept[name] = there
    return kept


def elsewhere(value: str, folders: Sequence[Path]) -> list[str]:
    """Return those of a variable's paths that are not in ``folders``."""
    return [part for part in value.split(":") if part.startswith(("/", "~")) and not _is_below(part, folders)]


def _is_below(path: Path | str, folders: Sequence[Path]) -> bool:
    return any(Path(path).is_relative_to(folder) for folder in folders)
