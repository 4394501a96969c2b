# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn ansible-runner's events into the lines of an incident's timeline."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

LONGEST_LINE = 600
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Line:
    """One line of a timeline: C(kind) is C(task) for a step and C(proof) for a verdict that was read."""

    at: float
    kind: str
    text: str

    def as_dict(self) -> dict[str, Any]:
        """Return the line for JSON."""
        return asdict(self)


_ENDINGS = {
    "runner_on_ok": "ok",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
    "runner_retry": "not yet, trying again",
}


def narrate(event: Mapping[str, Any]) -> list[Line]:
    """Return what a person should read of one event; most events say nothing new."""
    ending = _ENDINGS.get(str(event.get("event")))
    data = event.get("event_data")
    if ending is None or not isinstance(data, Mapping):
        return []
    result = data.get("res")
    result = result if isinstance(result, Mapping) else {}
    if ending == "ok" and result.get("changed"):
        ending = "changed"
    if ending == "failed" and data.get("ignore_errors"):
        ending = "failed, and the playbook goes on"
    at = _moment(event)
    text = f"{data.get('task') or 'task'}: {ending}{_duration(data)}{_message(ending, result)}"
    lines = [Line(at, "task", _short(text))]
    evidence = result.get("path")
    if str(data.get("task_action")).endswith("crash_snapshot") and isinstance(evidence, str):
        lines.append(Line(at, "evidence", _short(f"{data.get('host')}:{evidence}")))
    verdict = result.get("verdict")
    # A verdict that will be asked for again is no proof of anything yet.
    if isinstance(verdict, str) and ending != _ENDINGS["runner_retry"]:
        reasons = result.get("reasons")
        told = "; ".join(map(str, reasons)) if isinstance(reasons, list) else ""
        lines.append(Line(at, "proof", _short(f"{data.get('host')} is {verdict}{': ' if told else ''}{told}")))
    return lines


def without_a_task(output: str, at: float) -> Line:
    """Return what a person should read where no task was begun: a container or a playbook that is not there, say."""
    # Reasons come last, and no longer than this.
    said = " ".join(_COLOURS.sub("", output).split())[-LONGEST_LINE + 50 :]
    return Line(at, "task", _short(f"no task was begun: {said or 'nothing was printed'}"))


def _moment(event: Mapping[str, Any]) -> float:
    """Read the event's time; ansible-runner writes it in UTC."""
    created = datetime.fromisoformat(str(event["created"]))
    return (created if created.tzinfo else created.replace(tzinfo=UTC)).timestamp()


def _duration(data: Mapping[str, Any]) -> str:
    seconds = data.get("duration")
    return f" ({seconds:.1f} s)" if isinstance(seconds, (int, float)) else ""


def _message(ending: str, result: Mapping[str, Any]) -> str:
    if ending in ("ok", "changed"):
        return ""
    message = result.get("msg")
    return f": {message}" if isinstance(message, str) and message else ""


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 3] + "..."
