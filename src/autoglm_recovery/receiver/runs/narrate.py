# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn ansible-runner's events into the lines of an incident's timeline."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from autoglm_recovery.knowledge.faults.classes import FAILURE_CLASSES
from autoglm_recovery.knowledge.host.plain import one_line

LONGEST_LINE = 600
# Of what a bundle lacks, that for which there was no room or no time. What the host does not have is in its manifest.
_NOT_SAVED = re.compile(r"not collected|could not be written")
LONGEST_CAUSE = 400
LONGEST_HOLDER = 120
VERDICTS = ("healthy", "unknown", "unhealthy")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class NarratedLine:
    """One line of a timeline: ``kind`` is ``task`` for a step and ``proof`` for a verdict that was read.

    ``cause`` is why a task failed, with the service's last words if it had any, and ``last words`` what a dead service
    said before anything was done.  ``fenced`` is a refusal of the host's, and ``mark`` then the fencing token of the
    newer run that has been there.  ``kept_out`` is a refusal of the host's lock, and ``holder`` then who is at work
    there.
    ``verdict`` and ``failure_class`` are what a reading of the service itself said.
    """

    at: float
    kind: str
    text: str
    mark: int | None = None
    holder: str | None = None
    verdict: str | None = None
    failure_class: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the line for JSON."""
        return {name: value for name, value in asdict(self).items() if value is not None}


# Modules that ask the host's fence and lock: those that do nothing else, and those with the option guard.
_GUARDED = ("inference_service", "clean_leftovers", "service_environment")
_ASK_FENCE = ("fence", *_GUARDED)
_ASK_LOCK = ("host_lock", *_GUARDED)
_ENDINGS = {
    "runner_on_ok": "ok",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
    "runner_retry": "not yet, trying again",
}


def narrate(event: Mapping[str, Any]) -> list[NarratedLine]:
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
    lines = [NarratedLine(at, "task", _short(text))]
    if str(data.get("task_action")).endswith("crash_snapshot"):
        lines += [
            NarratedLine(at, "evidence", _short(f"{data.get('host')}{told}")) for told in _evidence(ending, result)
        ]
    mark = _refused_by(result) if ending == "failed" and str(data.get("task_action")).endswith(_ASK_FENCE) else None
    if mark is not None:
        lines.append(NarratedLine(at, "fenced", _short(f"{data.get('host')}: {result.get('msg')}"), mark))
    holder = _held_by(result) if ending == "failed" and str(data.get("task_action")).endswith(_ASK_LOCK) else None
    if holder is not None:
        lines.append(NarratedLine(at, "kept_out", _short(f"{data.get('host')} is held by {holder}"), holder=holder))
    verdict = result.get("verdict")
    # A verdict that will be asked for again is no proof of anything yet.
    if isinstance(verdict, str) and ending != _ENDINGS["runner_retry"]:
        reasons = result.get("reasons")
        told = "; ".join(map(str, reasons)) if isinstance(reasons, list) else ""
        text = _short(f"{data.get('host')} is {verdict}{': ' if told else ''}{told}")
        lines.append(replace(NarratedLine(at, "proof", text), **_reading(data, result)))
    cause = _cause(ending, data, result)
    if cause is not None:
        lines.append(NarratedLine(at, *cause))
    return lines


def _evidence(ending: str, result: Mapping[str, Any]) -> Iterator[str]:
    """Say where the bundle is, and what could not be saved."""
    path, unreadable = result.get("path"), result.get("unreadable")
    if isinstance(path, str):
        yield f":{path}"
    elif ending.startswith("failed"):
        yield f": no evidence was saved: {result.get('msg') or 'it is not known why'}"
    if isinstance(unreadable, list):
        reasons = [one for one in unreadable if isinstance(one, Mapping) and _NOT_SAVED.match(str(one.get("reason")))]
        if reasons:
            yield f": not saved: {', '.join(str(one.get('name')) for one in reasons)}: {reasons[0].get('reason')}"


def _cause(ending: str, data: Mapping[str, Any], result: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return what a person wants to read first: why a task failed, or what a dead service has said last."""
    words = result.get("last_words")
    said = "; ".join(map(str, words)) if isinstance(words, list) else ""
    if ending in ("failed", "unreachable"):
        message = result.get("msg")
        told = said or (message if isinstance(message, str) and message else ending)
        return "cause", _short(f"{data.get('task') or 'task'}: {told}", LONGEST_CAUSE)
    if said and result.get("verdict") == "unhealthy" and ending in ("ok", "changed"):
        return "last words", _short(said, LONGEST_CAUSE)
    return None


def _reading(data: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``inference_health`` said of its service, in words that are ours."""
    if not str(data.get("task_action")).endswith("inference_health") or result.get("verdict") not in VERDICTS:
        return {}
    found = result.get("failure_class")
    named = {"failure_class": found} if isinstance(found, str) and found in FAILURE_CLASSES else {}
    return {"verdict": str(result["verdict"]), **named}


def _refused_by(result: Mapping[str, Any]) -> int | None:
    fence = result.get("fence")
    mark = fence.get("refused_by") if isinstance(fence, Mapping) else None
    return mark if isinstance(mark, int) and not isinstance(mark, bool) else None


def _held_by(result: Mapping[str, Any]) -> str | None:
    """Return who is at work on the host, in the holder's own words."""
    holder = result.get("holder")
    who = holder.get("who") if isinstance(holder, Mapping) else None
    return (_short(who, LONGEST_HOLDER) or None) if isinstance(who, str) else None


def without_a_task(output: str, at: float) -> NarratedLine:
    """Return what a person should read where no task was begun: a container or a playbook that is not there, say."""
    # Reasons come last, and no longer than this.
    said = " ".join(_COLOURS.sub("", output).split())[-LONGEST_LINE + 50 :]
    return NarratedLine(at, "task", _short(f"no task was begun: {said or 'nothing was printed'}"))


def _moment(event: Mapping[str, Any]) -> float:
    """Read the event's time; ansible-runner writes it in UTC."""
    created = datetime.fromisoformat(str(event["created"]))
    return (created if created.tzinfo else created.replace(tzinfo=UTC)).timestamp()


def _duration(data: Mapping[str, Any]) -> str:
    seconds = data.get("duration")
    # Ansible's own figure; a longer one than of years is none.
    return f" ({seconds:.1f} s)" if isinstance(seconds, (int, float)) and 0 <= seconds < 1e9 else ""


def _message(ending: str, result: Mapping[str, Any]) -> str:
    if ending in ("ok", "changed"):
        return ""
    message = result.get("msg")
    return f": {message}" if isinstance(message, str) and message else ""


def _short(text: str, longest: int = LONGEST_LINE) -> str:
    return one_line(text, longest)
