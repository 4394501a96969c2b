# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Was it the out-of-memory killer? Evidence, each piece said in a sentence; no guess from a signal 9 alone."""

from __future__ import annotations

import re
from typing import Iterable, Mapping

from ..evidence.kernel_log import KernelLine
from ..evidence.systemd import died_by_sigkill, program_names

_RECORD = re.compile(r"oom-kill:.*?task_memcg=(?P<group>[^,]*),task=(?P<name>[^,]*),pid=(?P<pid>\d+)")
_KILLED = re.compile(r"Killed process (?P<pid>\d+) \((?P<name>[^)]*)\)")

# The kernel logs the kill just before the process is gone, systemd notes the end just after.
_SAME_MOMENT_SECONDS = 10.0


def oom_evidence(properties: Mapping[str, str], kernel: Iterable[KernelLine]) -> list[str]:
    """Sentences that show that the unit's last main process fell to the OOM killer; empty when there is none.

    properties: of C(systemctl show).  A kernel line counts when it names the unit's last main process or its control
    group.  Inside a container the kernel's process ids are other ones; there a line counts that names the unit's
    program, if the main process died by signal 9 in the same moment.
    """
    found = []
    if properties.get("Result") == "oom-kill":
        found.append("systemd reports Result=oom-kill")
    ended = _seconds(properties.get("ExecMainExitTimestampMonotonic", ""))
    for line in kernel:
        sentence = _attribute(line, properties, ended)
        if sentence and sentence not in found:
            found.append(sentence)
    return found


def _attribute(line: KernelLine, properties: Mapping[str, str], ended: float | None) -> str:
    match = _RECORD.search(line.text) or _KILLED.search(line.text)
    if match is None or ended is None or line.at is None or abs(line.at - ended) > _SAME_MOMENT_SECONDS:
        return ""
    what = f"the kernel's OOM killer ended process {match['pid']} ({match['name']})"
    if match["pid"] == properties.get("ExecMainPID"):
        return f"{what}, the unit's main process"
    if _is_of_unit(match.groupdict().get("group") or "", properties):
        return f"{what} in the unit's control group"
    if died_by_sigkill(properties) and match["name"] in program_names(properties):
        return f"{what} in the moment in which the unit's main process died by signal 9"
    return ""


def _is_of_unit(group: str, properties: Mapping[str, str]) -> bool:
    """Is a control group that of the unit, or inside it? Its path may begin with the container's own."""
    unit = properties.get("Id", "")
    return bool(unit) and unit in group.split("/")


def _seconds(microseconds: str) -> float | None:
    return int(microseconds) / 1e6 if microseconds.isdigit() and int(microseconds) > 0 else None
