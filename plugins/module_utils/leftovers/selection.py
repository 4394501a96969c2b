# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes that a dead service left behind. Pure: decides from what was read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..services.ownership import Ownership

GPU_DEVICE_PREFIX = "/dev/nvidia"
# Of whatever draws: a GPU's that computes, or a server's console.
DRI_DEVICE_PREFIX = "/dev/dri/"


@dataclass(frozen=True)
class ObservedProcess:
    """The readings of one process. groups: its paths in systemd's hierarchies, by /proc/PID/cgroup.
    mark: the value of ownership.MARK in its environment, where that was read.  seen: its open files could be looked
    at."""

    pid: int
    name: str
    groups: tuple[str, ...]
    devices: tuple[str, ...] = ()
    mark: str = ""
    seen: bool = True

    @property
    def holds_gpu(self) -> bool:
        return any(device.startswith(GPU_DEVICE_PREFIX) for device in self.devices)


@dataclass(frozen=True)
class Leftovers:
    """own: processes of the dead service, which may be killed.  foreign: others that hold a GPU, left alone."""

    own: tuple[ObservedProcess, ...]
    foreign: tuple[ObservedProcess, ...]


def select(processes: Iterable[ObservedProcess], ownership: Ownership) -> Leftovers:
    """Split the processes of a host by the proof that one belongs to the service."""
    own, foreign = [], []
    for process in processes:
        if ownership.owns(process.groups, process.mark):
            own.append(process)
        elif process.holds_gpu:
            foreign.append(process)
    return Leftovers(tuple(own), tuple(foreign))
