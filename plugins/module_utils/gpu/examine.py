# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One reading of a host's GPUs and their surroundings, with its verdict: the work of the module gpu_health."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..faults.catalogue.numbers import Overrides
from ..host.command import Runner, run
from ..host.unread import Unread
from ..services import systemctl
from ..services.ownership import group_of_unit
from .judging import kernel
from .judging.expectations import Expectations
from .judging.holders import GpuUnit, ProcessOwner, listed, owner
from .judging.reset import has_switches
from .judging.verdict import AUTO, NEVER, REQUIRED_LINES, Surroundings, assess
from .judging.witnesses import check_overrides
from .nvlink.host import fabric_manager
from .reading import children, snapshot
from .reading.device_files import read_holders, sees_all_processes
from .reading.groups import PLAN
from .reading.presence import Roots
from .reading.session import DEVICE_TIMEOUT, NvmlSession

# The driver lists a process for some moments after its end.
_SETTLE_SECONDS = 1.0


@dataclass(frozen=True)
class ExamineOptions:
    """What is asked.

    kernel_lines: C(auto) (the verdict does not need the log), C(required), C(never).  kernel_window: seconds.
    kernel_since: seconds since the epoch, the time of the last repair; what the kernel logged before is past.
    overrides: the fleet's own word on codes, as faults/catalogue/numbers.py takes it.
    also: groups to read beside PLAN.
    """

    library: str | None = None
    device_timeout: float = DEVICE_TIMEOUT
    total_timeout: float | None = None
    expected: Expectations = field(default_factory=Expectations)
    services: tuple[str, ...] = ()
    kernel_lines: str = AUTO
    kernel_window: float = 900.0
    kernel_since: float | None = None
    overrides: Overrides = field(default_factory=dict)
    command_timeout: float = 10.0
    also: tuple[str, ...] = ()


def examine(asked: ExamineOptions, roots: Roots = Roots(), run_command: Runner = run) -> dict[str, Any]:  # noqa: B008  # frozen
    """The result of gpu_health. Raises ValueError for options that cannot be."""
    asked.expected.check()
    check_overrides(asked.overrides)
    units = [systemctl.unit_name(name) for name in asked.services]
    with NvmlSession(asked.library, asked.device_timeout, asked.total_timeout, children.FORK, roots.proc) as session:
        seen = snapshot.take(session, roots, (*PLAN, *asked.also))
        owners = _read_owners(seen, roots.proc)
        if _has_ghosts(owners):
            owners = _look_again(session, seen, roots.proc)
    around = Surroundings(
        services=tuple(_read_unit(unit, run_command, asked.command_timeout) for unit in units),
        owners=owners,
        holders=read_holders(roots),
        fabric_manager=_fabric_manager_runs(seen, run_command, asked.command_timeout),
        kernel=_read_kernel(asked, run_command),
        kernel_required=asked.kernel_lines == REQUIRED_LINES,
        overrides=asked.overrides,
    )
    events = [] if around.kernel is None else list(around.kernel.events)
    return {**assess(seen, asked.expected, around), "kernel_events": events, "snapshot": seen}


def _fabric_manager_runs(seen: Mapping[str, Any], run_command: Runner, timeout: float) -> bool | None:
    if not has_switches(seen):
        return None
    told = fabric_manager(run_command, timeout)
    return None if told["there"] is None else told["state"] == "active"


def _read_kernel(asked: ExamineOptions, run_command: Runner) -> kernel.KernelSeen | None:
    if asked.kernel_lines == NEVER:
        return None
    window = asked.kernel_window
    if asked.kernel_since is not None:
        window = min(window, max(0.0, time.time() - asked.kernel_since))
    return kernel.recent(window, run_command, asked.command_timeout)


def _read_owners(seen: Mapping[str, Any], proc: Path) -> dict[int, ProcessOwner] | None:
    if not sees_all_processes(proc):
        return None
    return {pid: owner(proc, pid) for gpu in seen["gpus"] for pid in listed(gpu)}


def _has_ghosts(owners: Mapping[int, ProcessOwner] | None) -> bool:
    return any(not one.alive for one in (owners or {}).values())


def _look_again(session: NvmlSession, seen: Mapping[str, Any], proc: Path) -> dict[int, ProcessOwner] | None:
    """Read again: a process that ended meanwhile is no ghost, only one that the driver still lists is."""
    time.sleep(_SETTLE_SECONDS)
    again = session.read(("groups:identity", "groups:processes")).gpus
    later = {gpu["values"].get("uuid"): gpu for gpu in again if gpu["state"] == "read"}
    for gpu in seen["gpus"]:
        fresh = later.get(gpu["values"].get("uuid"))
        if fresh is not None:
            lists = {name: value for name, value in fresh["values"].items() if name.startswith("processes_")}
            gpu["values"].update(lists)
    return _read_owners(seen, proc)


def _read_unit(unit: str, run_command: Runner, timeout: float) -> GpuUnit:
    try:
        properties = systemctl.show(unit, run_command, timeout)
    except Unread as error:
        return GpuUnit(unit, None, "", str(error))
    state = properties.get("ActiveState", "")
    group = properties.get("ControlGroup") or group_of_unit(unit, properties.get("Slice", ""))
    return GpuUnit(unit, state in ("active", "reloading", "activating"), group, state)
