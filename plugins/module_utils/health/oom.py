# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Was it the out-of-memory killer? Evidence, each piece said in a sentence; no guess from a signal 9 alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..evidence.kernel_log import KernelLine
from ..services.protocol import End

_RECORD = re.compile(r"oom-kill:.*?task_memcg=(?P<group>[^,]*),task=(?P<name>[^,]*),pid=(?P<pid>\d+)")
_KILLED = re.compile(r"Killed process (?P<pid>\d+) \((?P<name>[^)]*)\)")

# The kernel logs the kill, the process gives back its memory, the orchestrator notes the end. The last takes long for
# a large process. The clocks are the same one; what comes after the end belongs to another process.
_EARLIEST_SECONDS, _LATEST_SECONDS = 30.0, 1.0
# Without the process id there is a doubt, which nearness has to make up for.
_NEAR_SECONDS = 5.0


def oom_evidence(end: End, kernel: Iterable[KernelLine]) -> list[str]:
    """Sentences that show that the last main process fell to the OOM killer; empty when there is none.

    A kernel line counts when it names that process or the service's control group, in the time in which the process
    ended, or where that is not known (a PID file does not tell) after it began.  Inside a container the kernel's
    process ids are other ones; there a line counts that names the service's program, if the main process died by
    signal 9 in the same moment.  Of several lines the surest and nearest is told.
    """
    found = [end.out_of_memory] if end.out_of_memory else []
    kills = [kill for line in kernel for kill in _attribute(line, end)]
    if kills:
        found.append(min(kills)[2])
    return found


def _attribute(line: KernelLine, end: End) -> Iterator[tuple[int, float, str]]:
    """Doubt (0 is none), distance in seconds, and a sentence, if a line tells of a kill that may be the service's."""
    match = _RECORD.search(line.text) or _KILLED.search(line.text)
    distance = None if match is None or line.at is None else _distance(line.at, end)
    if match is None or distance is None:
        return
    what = f"the kernel's OOM killer ended process {match['pid']} ({match['name']})"
    if end.pid is not None and int(match["pid"]) == end.pid:
        yield 0, distance, f"{what}, the service's main process"
    elif end.at is None or distance > _NEAR_SECONDS:
        return
    elif set(end.groups) & set((match.groupdict().get("group") or "").split("/")):
        yield 1, distance, f"{what} in the service's control group"
    elif end.by_sigkill and match["name"] in end.programs:
        yield 2, distance, f"{what} in the moment in which the service's main process died by signal 9"


def _distance(at: float, end: End) -> float | None:
    """How far from the end a line is, None for one that is of another time."""
    if end.at is not None:
        return abs(at - end.at) if -_EARLIEST_SECONDS <= at - end.at <= _LATEST_SECONDS else None
    return 0.0 if end.since is not None and at >= end.since else None
