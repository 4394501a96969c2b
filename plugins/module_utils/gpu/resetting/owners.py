# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose the processes on GPUs are: a declared service's, a known agent's, or nobody's. Reads /proc and asks systemd.

A name proves nothing. A process is an agent's by its control group, and a service's as clean_leftovers proves it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...host.command import Runner
from ...host.unread import Unread
from ...leftovers import processes
from ...leftovers.selection import ObservedProcess
from ...services import registry, systemctl
from ...services.ownership import Ownership, in_unit

SERVICE, AGENT, KEPT = "service", "agent", "kept"

# Units that use GPUs for others, in the order in which they are stopped; they are started the other way round.  A unit
# that would start the next one again, as nvidia-persistenced.path does on Google's hosts, is stopped before it.
# Seen as holders of a GPU in reports of resets that failed: NVIDIA/NVSentinel#1690, NVIDIA/gpu-operator#118.
AGENT_UNITS = (
    "autoglm-exporter.service",
    "nvidia-dcgm-exporter.service",
    "dcgm-exporter.service",
    "nvidia_gpu_exporter.service",
    "nvidia-dcgm.service",
    "dcgm.service",
    "nvidia-persistenced.path",
    "nvidia-persistenced.service",
)
# What must not be stopped for a reset: to start the fabric manager again breaks multicast of living jobs on H100.
KEPT_UNITS = ("nvidia-fabricmanager.service",)
# Where systemd is the first process, as sd_booted(3) tells it; beside the tree of processes that is looked at.
_BOOTED = "run/systemd/system"


@dataclass(frozen=True)
class Owners:
    """of: process id -> (kind, name).  gone: those of the driver's lists that are no processes of this host any more.

    agents: the units that run, in the order in which they are stopped; None where that could not be read.
    unread: declared services whose processes nobody can tell from others, with the reason.
    """

    of: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    gone: frozenset[int] = frozenset()
    agents: tuple[str, ...] | None = None
    agents_error: str = ""
    unread: tuple[str, ...] = ()


def read_owners(
    listed: Sequence[int],
    services: Sequence[Mapping[str, Any]],
    run: Runner,
    timeout: float,
    proc: Path = Path("/proc"),
) -> Owners:
    """Whose processes are.  listed: those that NVML lists.  services: names, and where they run. Raises ValueError."""
    of: dict[int, tuple[str, str]] = {}
    unread: list[str] = []
    running = processes.read(proc)
    agents, error = _active(AGENT_UNITS, run, timeout, proc)
    for kind, groups in ((AGENT, agents or {}), (KEPT, _active(KEPT_UNITS, run, timeout, proc)[0] or {})):
        of.update(_in_units(running, groups, kind))
    for declared in services:
        service = registry.require_service(declared, timeout)
        try:
            found = _of_service(service.ownership(), service.status().main_pid, proc, timeout)
        except Unread as unreadable:
            unread.append(f"{declared['name']}: {unreadable}")
            continue
        of.update((pid, (SERVICE, str(declared["name"]))) for pid in found)
    gone = frozenset(pid for pid in listed if not (proc / str(pid)).exists())
    return Owners(of, gone, None if agents is None else tuple(agents), error, tuple(unread))


def _of_service(ownership: Ownership, main_pid: int | None, proc: Path, timeout: float) -> set[int]:
    found = {one.pid for one in processes.read(proc, ownership, timeout) if ownership.owns(one.groups, one.mark)}
    return found | ({main_pid} if main_pid is not None else set())


def _in_units(running: Sequence[ObservedProcess], groups: Mapping[str, str], kind: str) -> dict[int, tuple[str, str]]:
    return {
        process.pid: (kind, unit)
        for process in running
        for unit, group in groups.items()
        if in_unit(process.groups, group)
    }


def _active(units: Sequence[str], run: Runner, timeout: float, proc: Path) -> tuple[dict[str, str] | None, str]:
    """Unit -> control group of those that run, None where systemd does not tell, and why not."""
    if not (proc.parent / _BOOTED).is_dir():
        return {}, ""  # no systemd, no units
    found = {}
    for unit in units:
        try:
            properties = systemctl.show(unit, run, timeout)
        except Unread as error:
            return None, str(error)
        if properties["ActiveState"] not in ("inactive", "failed"):
            found[unit] = properties.get("ControlGroup", "")
    return found, ""
