# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence that the out-of-memory killer ended a process, in sentences. Signal 9 alone is no evidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..faults.lines.kernel import parse_kernel_text
from ..host.kernel_log import KernelLine
from ..services.ownership import of_a_unit, unit_among
from ..services.protocol import ProcessEnd

_KILLS = frozenset(("oom_kill", "oom_kill_record"))

# The kernel logs the kill, the process frees its memory, then the orchestrator notes the end, late for a large process.
# All use the same clock; a kill after the end belongs to another process.
_EARLIEST_SECONDS, _LATEST_SECONDS = 30.0, 1.0
# Without the process id, only a kill close to the end counts.
_NEAR_SECONDS = 5.0


def oom_evidence(end: ProcessEnd, kernel: Iterable[KernelLine], *, contained: bool = False) -> list[str]:
    """Sentences that show that the OOM killer ended the last main process; empty where nothing shows it.

    A kernel line counts if it names that process or the service's control group, around the end of the process, or
    after its start where the end is unknown (as with a PID file). Inside a container the kernel's process ids differ;
    there a line counts that names the service's program, if the main process died by signal 9 at the same moment and
    the kernel names no other service's group. Of several lines, the surest and nearest is returned.  C(contained): this
    host is itself a container.
    """
    found = [end.out_of_memory] if end.out_of_memory else []
    lines = list(kernel)
    others = {pid for pid, group in _killed_groups(lines, end) if of_a_unit(group, contained=contained)}
    kills = [kill for line in lines for kill in _possible_kills(line, end, others, contained)]
    if kills:
        found.append(min(kills)[2])
    return found


def _killed_groups(lines: Iterable[KernelLine], end: ProcessEnd) -> Iterator[tuple[int, str]]:
    """The processes that were killed around the end, with the control group that the kernel names for each."""
    for line in lines:
        kill = parse_kernel_text(line.text)
        if kill is not None and line.at is not None and _seconds_from_end(line.at, end) is not None and "pid" in kill:
            yield kill["pid"], str(kill.get("task_memcg") or "")


def _is_its_group(kill: Mapping[str, object], end: ProcessEnd, contained: bool) -> bool:
    path = str(kill.get("task_memcg") or "")
    named = bool(end.unit) and unit_among(path, (end.unit,), contained=contained) is not None
    return named or bool(set(end.groups) & set(path.split("/")))


def _possible_kills(
    line: KernelLine, end: ProcessEnd, others: set[int], contained: bool
) -> Iterator[tuple[int, float, str]]:
    """(doubt, distance in seconds, sentence) for a line about a kill that may be the service's; doubt 0 is none.

    others: processes for which the kernel has named the group of a unit or a container.
    """
    kill = parse_kernel_text(line.text)
    # A record that the kernel cut names no process.
    if kill is None or kill["kind"] not in _KILLS or "pid" not in kill or line.at is None:
        return
    distance = _seconds_from_end(line.at, end)
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


def _seconds_from_end(at: float, end: ProcessEnd) -> float | None:
    """Seconds between a line and the end of the process, None for a line of another time."""
    if end.at is not None:
        return abs(at - end.at) if -_EARLIEST_SECONDS <= at - end.at <= _LATEST_SECONDS else None
    return 0.0 if end.since is not None and at >= end.since else None
