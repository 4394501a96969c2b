# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Was it the out-of-memory killer? Evidence, each piece said in a sentence; no guess from a signal 9 alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..faults.lines.kernel import parse_kernel_text
from ..host.kernel_log import KernelLine
from ..services.ownership import of_a_unit, unit_among
from ..services.protocol import ProcessEnd

_KILLS = frozenset(("oom_kill", "oom_kill_record"))

# The kernel logs the kill, the process gives back its memory, the orchestrator notes the end. The last takes long for
# a large process. The clocks are the same one; what comes after the end belongs to another process.
_EARLIEST_SECONDS, _LATEST_SECONDS = 30.0, 1.0
# Without the process id there is a doubt, which nearness has to make up for.
_NEAR_SECONDS = 5.0


def oom_evidence(end: ProcessEnd, kernel: Iterable[KernelLine], *, contained: bool = False) -> list[str]:
    """Sentences that show that the last main process fell to the OOM killer; empty when there is none.

    A kernel line counts when it names that process or the service's control group, in the time in which the process
    ended, or where that is not known (a PID file does not tell) after it began.  Inside a container the kernel's
    process ids are other ones; there a line counts that names the service's program, if the main process died by
    signal 9 in the same moment and the kernel does not name another service's group.  Of several lines the surest and
    nearest is told.  C(contained): this host is itself a container.
    """
    found = [end.out_of_memory] if end.out_of_memory else []
    lines = list(kernel)
    others = {pid for pid, group in _groups(lines, end) if of_a_unit(group, contained=contained)}
    kills = [kill for line in lines for kill in _attribute(line, end, others, contained)]
    if kills:
        found.append(min(kills)[2])
    return found


def _groups(lines: Iterable[KernelLine], end: ProcessEnd) -> Iterator[tuple[int, str]]:
    """The processes that fell in that time, and the control group that the kernel has named of each."""
    for line in lines:
        kill = parse_kernel_text(line.text)
        if kill is not None and line.at is not None and _distance(line.at, end) is not None and "pid" in kill:
            yield kill["pid"], str(kill.get("task_memcg") or "")


def _is_its_group(kill: Mapping[str, object], end: ProcessEnd, contained: bool) -> bool:
    path = str(kill.get("task_memcg") or "")
    named = bool(end.unit) and unit_among(path, (end.unit,), contained=contained) is not None
    return named or bool(set(end.groups) & set(path.split("/")))


def _attribute(
    line: KernelLine, end: ProcessEnd, others: set[int], contained: bool
) -> Iterator[tuple[int, float, str]]:
    """Doubt (0 is none), distance in seconds, and a sentence, if a line tells of a kill that may be the service's.

    others: processes of which the kernel has named a unit's or a container's group.
    """
    kill = parse_kernel_text(line.text)
    # A record that the kernel cut names no process.
    if kill is None or kill["kind"] not in _KILLS or "pid" not in kill or line.at is None:
        return
    distance = _distance(line.at, end)
    if distance is None:
        return
    what = f"the kernel's OOM killer ended process {kill['pid']} ({kill['process']})"
    if end.pid is not None and kill["pid"] == end.pid:
        yield 0, distance, f"{what}, the service's main process"
    elif end.at is None or distance > _NEAR_SECONDS:
        return
    elif _is_its_group(kill, end, contained):
        yield 1, distance, f"{what} in the service's control group"
    elif end.by_sigkill and kill["process"] in end.programs and kill["pid"] not in others:
        yield 2, distance, f"{what} in the moment in which the service's main process died by signal 9"


def _distance(at: float, end: ProcessEnd) -> float | None:
    """How far from the end a line is, None for one that is of another time."""
    if end.at is not None:
        return abs(at - end.at) if -_EARLIEST_SECONDS <= at - end.at <= _LATEST_SECONDS else None
    return 0.0 if end.since is not None and at >= end.since else None
