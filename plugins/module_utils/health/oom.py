# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Was it the out-of-memory killer? Evidence, each piece said in a sentence; no guess from a signal 9 alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from ..evidence.kernel_log import KernelLine
from ..evidence.systemd import died_by_sigkill, program_names

_RECORD = re.compile(r"oom-kill:.*?task_memcg=(?P<group>[^,]*),task=(?P<name>[^,]*),pid=(?P<pid>\d+)")
_KILLED = re.compile(r"Killed process (?P<pid>\d+) \((?P<name>[^)]*)\)")

# The kernel logs the kill, the process gives back its memory, systemd notes the end. The last takes long for a large
# process. The clocks are the same one; what comes after the end belongs to another process.
_EARLIEST_SECONDS, _LATEST_SECONDS = 30.0, 1.0
# Without the process id there is a doubt, which nearness has to make up for.
_NEAR_SECONDS = 5.0


def oom_evidence(properties: Mapping[str, str], kernel: Iterable[KernelLine]) -> list[str]:
    """Sentences that show that the unit's last main process fell to the OOM killer; empty when there is none.

    properties: of C(systemctl show).  A kernel line counts when it names the unit's last main process or its control
    group.  Inside a container the kernel's process ids are other ones; there a line counts that names the unit's
    program, if the main process died by signal 9 in the same moment.  Of several lines the surest and nearest is told.
    """
    found = ["systemd reports Result=oom-kill"] if properties.get("Result") == "oom-kill" else []
    ended = _seconds(properties.get("ExecMainExitTimestampMonotonic", ""))
    if ended is not None:
        kills = [kill for line in kernel for kill in _attribute(line, properties, ended)]
        if kills:
            found.append(min(kills)[2])
    return found


def _attribute(line: KernelLine, properties: Mapping[str, str], ended: float) -> Iterator[tuple[int, float, str]]:
    """Doubt (0 is none), distance in seconds, and a sentence, if a line tells of a kill that may be the unit's."""
    match = _RECORD.search(line.text) or _KILLED.search(line.text)
    if match is None or line.at is None or not -_EARLIEST_SECONDS <= line.at - ended <= _LATEST_SECONDS:
        return
    distance = abs(line.at - ended)
    what = f"the kernel's OOM killer ended process {match['pid']} ({match['name']})"
    if match["pid"] == properties.get("ExecMainPID"):
        yield 0, distance, f"{what}, the unit's main process"
    elif distance > _NEAR_SECONDS:
        return
    elif _is_of_unit(match.groupdict().get("group") or "", properties):
        yield 1, distance, f"{what} in the unit's control group"
    elif died_by_sigkill(properties) and match["name"] in program_names(properties):
        yield 2, distance, f"{what} in the moment in which the unit's main process died by signal 9"


def _is_of_unit(group: str, properties: Mapping[str, str]) -> bool:
    """Is a control group that of the unit, or inside it? Its path may begin with the container's own."""
    unit = properties.get("Id", "")
    return bool(unit) and unit in group.split("/")


def _seconds(microseconds: str) -> float | None:
    return int(microseconds) / 1e6 if microseconds.isdigit() and int(microseconds) > 0 else None
