# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A private view of /sys/fs/cgroup for podman, on hosts that mount cgroup v1 there.

systemd in a container needs the unified hierarchy at /sys/fs/cgroup. On a cgroup v1 host we make one
mount namespace where it is so, and every podman command of the lab runs inside it: podman keeps mounts
(overlays, /run/netns) that only exist in the namespace that made them. The namespace is pinned to a
file, so that it needs no process to live and a later command can enter it, to look or to clean up.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from .errors import LabError
from .places import STATE

HOUSE = STATE / "namespace"  # a mount of its own: a namespace can only be pinned on a private mount
PIN = HOUSE / "mnt"

ENTER_UNIFIED = """
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
"""


def host_has_cgroup2() -> bool:
    """Say whether /sys/fs/cgroup is the unified hierarchy already (it has this file at its root)."""
    return Path("/sys/fs/cgroup/cgroup.controllers").exists()


def prefix() -> list[str]:
    """Words to put before a podman command."""
    if host_has_cgroup2():
        return []
    return ["nsenter", f"--mount={PIN}"] if exists() else []


def exists() -> bool:
    """A pinned namespace is a mounted file."""
    return _is_mounted(PIN)


def _is_mounted(path: Path) -> bool:
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    return any(line.split()[1] == str(path) for line in mounts)


def ensure() -> None:
    """Make the namespace, where the host needs one."""
    if host_has_cgroup2() or exists():
        return
    HOUSE.mkdir(parents=True, exist_ok=True)
    if not _is_mounted(HOUSE):
        _run("mount", "--bind", str(HOUSE), str(HOUSE))
        _run("mount", "--make-private", str(HOUSE))
    PIN.touch()
    _run("unshare", f"--mount={PIN}", "--propagation", "private", "sh", "-ec", ENTER_UNIFIED)


def remove() -> None:
    """Let the namespace go; the kernel unmounts all that was mounted in it."""
    for path in (PIN, HOUSE):
        while _is_mounted(path):
            _run("umount", str(path))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
