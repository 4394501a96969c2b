# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which processes a dead unit left behind. Pure: decides over what was read, touches nothing.

Only systemd's own bookkeeping counts: a process belongs to a unit when it is in the unit's control group. A name, a
user or an open GPU proves nothing, for the process may be anybody's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

GPU_DEVICE_PREFIX = "/dev/nvidia"


@dataclass(frozen=True)
class Process:
    """What was read of one process. groups: its paths in systemd's hierarchies, as /proc/PID/cgroup tells them."""

    pid: int
    name: str
    groups: tuple[str, ...]
    devices: tuple[str, ...] = ()

    @property
    def holds_gpu(self) -> bool:
        return any(device.startswith(GPU_DEVICE_PREFIX) for device in self.devices)


@dataclass(frozen=True)
class Leftovers:
    """own: processes of the dead unit, which may be ended. foreign: others that hold a GPU, which are left alone."""

    own: tuple[Process, ...]
    foreign: tuple[Process, ...]


def select(processes: Iterable[Process], unit_group: str) -> Leftovers:
    """Split the processes of a host. unit_group: the control group of the unit, such as /system.slice/a.service."""
    own, foreign = [], []
    for process in processes:
        if belongs(process.groups, unit_group):
            own.append(process)
        elif process.holds_gpu:
            foreign.append(process)
    return Leftovers(tuple(own), tuple(foreign))


def belongs(groups: Sequence[str], unit_group: str) -> bool:
    """Is a process in the unit's group or below it?

    The whole path is compared: a container may run a unit of the same name, somewhere below another path.
    """
    if not unit_group.startswith("/") or unit_group.count("/") < 2 or unit_group.endswith("/"):
        return False  # the root and a bare slice are no unit's group
    return any(group == unit_group or group.startswith(f"{unit_group}/") for group in groups)


def unit_group(unit: str, slice_name: str) -> str:
    """The control group that systemd gives a unit; a-b.slice lies in a.slice (systemd.slice(5))."""
    stem = slice_name[: -len(".slice")] if slice_name.endswith(".slice") else ""
    if stem in ("", "-"):
        return f"/{unit}"
    words = stem.split("-")
    slices = [f"{'-'.join(words[: count + 1])}.slice" for count in range(len(words))]
    return f"/{'/'.join(slices)}/{unit}"


def systemd_groups(cgroup_text: str) -> tuple[str, ...]:
    """The paths in systemd's own hierarchies: the unified one, and name=systemd of version 1."""
    found = []
    for line in cgroup_text.splitlines():
        fields = line.split(":", 2)
        if len(fields) == 3 and (fields[0] == "0" or fields[1] == "name=systemd"):
            found.append(fields[2])
    return tuple(dict.fromkeys(found))
