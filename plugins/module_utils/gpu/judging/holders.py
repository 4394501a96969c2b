# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes that hold memory of a GPU, by NVML's lists and control groups. Reads /proc; judging is pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...host.processes import living_thread
from ...services.ownership import in_unit, systemd_groups, unit_of
from .findings import GpuFinding, fault, unknown, warning

_LISTS = ("processes_compute", "processes_graphics", "processes_mps")
_MIB = 1024 * 1024


@dataclass(frozen=True)
class GpuUnit:
    """A unit that may use GPUs. active: None when it could not be read. group: its control group."""

    unit: str
    active: bool | None
    group: str
    state: str = ""


@dataclass(frozen=True)
class ProcessOwner:
    """The /proc readings of a process that NVML lists."""

    pid: int
    alive: bool
    comm: str = ""
    groups: tuple[str, ...] = ()


def owner(proc: Path, pid: int) -> ProcessOwner:
    """The owner of a process. One whose threads are all zombies is gone, because it has freed its resources."""
    try:
        comm = (proc / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
        alive = living_thread(proc / str(pid)) is not None
        groups = systemd_groups((proc / str(pid) / "cgroup").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ProcessOwner(pid, (proc / str(pid)).exists())
    return ProcessOwner(pid, alive, comm, groups)


def listed(gpu: Mapping[str, Any]) -> dict[int, int | None]:
    """Process id -> bytes that it holds on a GPU, null where the driver does not tell."""
    found: dict[int, int | None] = {}
    for name in _LISTS:
        for one in gpu["values"].get(name) or []:
            known = found.get(one["pid"])
            found[one["pid"]] = max(known or 0, one["used_bytes"] or 0) or None
    return found


def judge_processes(
    gpu: Mapping[str, Any], owners: Mapping[int, ProcessOwner] | None, services: Sequence[GpuUnit]
) -> Iterator[GpuFinding]:
    """owners: None when this host's process ids cannot be compared with NVML's."""
    held = listed(gpu)
    if not held:
        return
    if owners is None:
        if services:
            yield unknown("whose GPU memory it is cannot be told: the host's processes are not visible here")
        return
    for pid, used in held.items():
        one = owners.get(pid)
        if one is None:
            continue
        size = "memory" if used is None else f"{used / _MIB:.0f} MiB"
        if not one.alive:
            yield fault("gpu_fault", f"{size} are still held by process {pid}, which is gone", "reset_gpu")
        elif services:
            yield from _judge_owner(one, size, services)


def _judge_owner(one: ProcessOwner, size: str, services: Sequence[GpuUnit]) -> Iterator[GpuFinding]:
    who = f"process {one.pid} ({one.comm})"
    for service in services:
        if in_unit(one.groups, service.group):
            if service.active is None:
                yield unknown(f"{service.unit}, to which {who} belongs, could not be read: {service.state}")
            elif not service.active:
                yield fault("crash", f"{who} of {service.unit}, which is {service.state}, still holds {size}")
            return
    unread = [service.unit for service in services if service.active is None]
    if unread:
        yield unknown(f"whether {who} belongs to {', '.join(unread)} could not be read")
        return
    yield warning(f"{who} holds {size} and belongs to none of the services ({unit_of(one.groups) or 'no unit'})")
