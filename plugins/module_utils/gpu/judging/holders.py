# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes that hold a GPU: by open device files, memory and control groups. Reads /proc; judging is pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...leftovers import processes as running
from ...services.ownership import in_unit, systemd_groups
from .findings import GpuFinding, fault, unknown, warning

_NODE = re.compile(r"/dev/nvidia(\d+)(?: \(deleted\))?\Z")
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


def holders(proc: Path) -> dict[int, list[dict[str, Any]]]:
    """N of /dev/nvidiaN -> who has it open: C({pid, comm, unit}). Of a process that may not be looked into, nothing."""
    try:
        found = running.read(proc)
    except OSError:
        return {}
    by_minor: dict[int, list[dict[str, Any]]] = {}
    for process in found:
        for device in process.devices:
            match = _NODE.match(device)
            if match:
                told = {"pid": process.pid, "comm": process.name, "unit": unit_of(process.groups)}
                by_minor.setdefault(int(match.group(1)), []).append(told)
    return by_minor


def owner(proc: Path, pid: int) -> ProcessOwner:
    """The owner of a process. A zombie counts as gone, because it has freed its resources."""
    try:
        comm = (proc / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
        stat = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
        groups = systemd_groups((proc / str(pid) / "cgroup").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ProcessOwner(pid, (proc / str(pid)).exists())
    return ProcessOwner(pid, stat.rpartition(")")[2].split()[:1] not in (["Z"], ["X"]), comm, groups)


def sees_all_processes(proc: Path) -> bool:
    """Whether process ids here are those of NVML, which uses the host's: not so in a container's own namespace."""
    try:
        return (proc / "2/comm").read_text(encoding="utf-8", errors="replace").strip() == "kthreadd"
    except OSError:
        return False


def listed(gpu: Mapping[str, Any]) -> dict[int, int | None]:
    """Process id -> bytes that it holds on a GPU, null where the driver does not tell."""
    found: dict[int, int | None] = {}
    for name in _LISTS:
        for one in gpu["values"].get(name) or []:
            known = found.get(one["pid"])
            found[one["pid"]] = max(known or 0, one["used_bytes"] or 0) or None
    return found


def unit_of(groups: Iterable[str]) -> str | None:
    """The innermost service or scope of a process's control groups."""
    for group in groups:
        for part in reversed(group.split("/")):
            if part.endswith((".service", ".scope")):
                return part
    return None


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
