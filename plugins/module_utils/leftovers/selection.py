# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which processes a dead service left behind. Pure: decides over what was read, touches nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..services.ownership import Ownership

GPU_DEVICE_PREFIX = "/dev/nvidia"


@dataclass(frozen=True)
class ObservedProcess:
    """What was read of one process. groups: its paths in systemd's hierarchies, as /proc/PID/cgroup tells them.
    mark: what its environment has under ownership.MARK, where that was asked for."""

    pid: int
    name: str
    groups: tuple[str, ...]
    devices: tuple[str, ...] = ()
    mark: str = ""

    @property
    def holds_gpu(self) -> bool:
        return any(device.startswith(GPU_DEVICE_PREFIX) for device in self.devices)


@dataclass(frozen=True)
class Leftovers:
    """own: processes of the dead service, which may be ended. foreign: others that hold a GPU, which are left alone."""

    own: tuple[ObservedProcess, ...]
    foreign: tuple[ObservedProcess, ...]


def select(processes: Iterable[ObservedProcess], ownership: Ownership) -> Leftovers:
    """Split the processes of a host by what proves that one is the service's own."""
    own, foreign = [], []
    for process in processes:
        if ownership.owns(process.groups, process.mark):
            own.append(process)
        elif process.holds_gpu:
            foreign.append(process)
    return Leftovers(tuple(own), tuple(foreign))
