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
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError
from .places import STATE

ENTER_UNIFIED = """
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
"""


def host_has_cgroup2() -> bool:
    """Say whether /sys/fs/cgroup is the unified hierarchy already (it has this file at its root)."""
    return Path("/sys/fs/cgroup/cgroup.controllers").exists()


@dataclass(frozen=True)
class Namespace:
    """One pinned mount namespace. ``house`` is a mount of its own: it can only be pinned on a private mount."""

    house: Path
    enter: str  # what a shell does in it when it is new

    @property
    def pin(self) -> Path:
        """The file that holds it."""
        return self.house / "mnt"

    def prefix(self) -> list[str]:
        """Words to put before a command."""
        if host_has_cgroup2():
            return []
        return ["nsenter", f"--mount={self.pin}"] if self.exists() else []

    def exists(self) -> bool:
        """A pinned namespace is a mounted file."""
        return _is_mounted(self.pin)

    def ensure(self) -> None:
        """Make the namespace, where the host needs one."""
        if host_has_cgroup2() or self.exists():
            return
        self.house.mkdir(parents=True, exist_ok=True)
        if not _is_mounted(self.house):
            _run("mount", "--bind", str(self.house), str(self.house))
            _run("mount", "--make-private", str(self.house))
        self.pin.touch()
        _run("unshare", f"--mount={self.pin}", "--propagation", "private", "sh", "-ec", self.enter)

    def remove(self) -> None:
        """Let the namespace go; the kernel unmounts all that was mounted in it."""
        for path in (self.pin, self.house):
            while _is_mounted(path):
                _run("umount", str(path))


OF_LAB = Namespace(STATE / "namespace", ENTER_UNIFIED)
prefix, ensure, remove = OF_LAB.prefix, OF_LAB.ensure, OF_LAB.remove


def _is_mounted(path: Path) -> bool:
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    return any(line.split()[1] == str(path) for line in mounts)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
