# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contents of a report, from an incident as the API returns it: pure, so that every format says the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

# The line that begins each stage, in the order in which the stages come.
_STAGES = (
    ("first alert fires", "alert"),
    ("committed by the receiver", "committed"),
    ("failure class known", "classified"),
    ("first decision", "decided"),
    ("first playbook started", "run_started"),
    ("first step of it done", "task"),
    ("resolved", "resolved"),
)
_ENDED = frozenset({"resolved", "closed"})
# The sentence on a run, by how it ended.
_OPEN_ENDS_OF_RUNS = {
    "lost": "was cut off: how far it came is not known. Look at {host}",
    "fenced": "was refused by {host}, where a newer run had been",
    "kept_out": "was kept out of {host}: somebody else was at work there",
    "not_launched": "was never launched, and did nothing. Mend what its launcher says",
    "cancelled": "was ended by a person, in its middle. Look at {host}",
    "unverified": "succeeded, but the alert went on firing",
}


@dataclass(frozen=True)
class Stage:
    """When a stage of the recovery was first reached, and how long after the first alert and after the stage before."""

    name: str
    at: datetime
    since_alert: timedelta
    since_before: timedelta


@dataclass(frozen=True)
class ReportLine:
    """One line of the timeline."""

    at: datetime
    since_alert: timedelta
    kind: str
    text: str


@dataclass(frozen=True)
class Report:
    """The contents of a report.  Some texts come from outside, so each format escapes them."""

    title: str
    outcome: str
    facts: tuple[tuple[str, str], ...]
    stages: tuple[Stage, ...]
    alerts: tuple[Mapping[str, Any], ...]
    runs: tuple[Mapping[str, Any], ...]
    # The runs of earlier incidents of the same target, within a day before this one.
    earlier: tuple[Mapping[str, Any], ...]
    # The places of the evidence that was saved before anything was changed.
    evidence: tuple[str, ...]
    lines: tuple[ReportLine, ...]
    open_ends: tuple[str, ...]


def report_on(incident: Mapping[str, Any]) -> Report:
    """Build the report from what ``GET /api/v1/incidents/N`` returns."""
    began = _time(incident["first_starts_at"])
    lines = tuple(
        ReportLine(_time(line["at"]), _time(line["at"]) - began, str(line["kind"]), str(line["text"]))
        for line in incident["timeline"]
    )
    return Report(
        title=f"Incident {incident['id']}: {incident['failure_class']} on {_target_in_words(incident)}",
        outcome=_outcome(incident),
        facts=_facts(incident, began),
        stages=tuple(_stages(lines, began)),
        alerts=tuple(incident["alerts"]),
        runs=tuple(incident["runs"]),
        earlier=tuple(incident.get("earlier_runs", ())),
        evidence=tuple(dict.fromkeys(line.text for line in lines if line.kind == "evidence")),
        lines=lines,
        open_ends=tuple(_open_ends(incident)),
    )


def _outcome(incident: Mapping[str, Any]) -> str:
    """Say what it came from, and how it stands."""
    cause = incident.get("cause")
    return f"{f'{cause} - ' if cause else ''}{incident['state']}: {incident['reason']}"


def when(run: Mapping[str, Any]) -> str:
    """Return when a run began, for people."""
    started = run.get("started_at")
    return moment(_time(started)) if started else ""


def output(run: Mapping[str, Any]) -> str:
    """Return where the output of a run is: at its launcher, or the directory on its receiver."""
    return str(run.get("link") or run.get("directory") or "")


def duration(value: timedelta) -> str:
    """Return a duration for people: seconds with one decimal below a minute, whole ones above."""
    seconds = value.total_seconds()
    if abs(seconds) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min {rest:02} s" if hours else f"{minutes} min {rest:02} s"


def moment(value: datetime) -> str:
    """Return a time for people, always UTC: reports are read in several time zones."""
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-4] + " UTC"


def _facts(incident: Mapping[str, Any], began: datetime) -> tuple[tuple[str, str], ...]:
    ended = incident.get("ended_at")
    facts = [
        ("Failure class", str(incident["failure_class"])),
        ("Fault mode", str(incident["fault_mode"])),
        *((("Cause", str(incident["cause"])),) if incident.get("cause") else ()),
        ("Root cause", str(incident["root_cause"])),
        ("Host", str(incident["host"])),
        *((name.capitalize(), str(incident[name])) for name in ("service", "pool", "gpu") if incident.get(name)),
        ("First alert", moment(began)),
        ("Opened", moment(_time(incident["opened_at"]))),
        ("Ended", moment(_time(ended)) if ended else "not yet"),
    ]
    if ended:
        facts.append(("From first alert to end", duration(_time(ended) - began)))
    return tuple(facts)


def _stages(lines: Iterable[ReportLine], began: datetime) -> Iterable[Stage]:
    first: dict[str, ReportLine] = {}
    for line in lines:
        first.setdefault(line.kind, line)
    before = began
    for name, kind in _STAGES:
        if kind not in first:
            continue
        at = first[kind].at
        yield Stage(name, at, at - began, at - before)
        before = at


def _open_ends(incident: Mapping[str, Any]) -> Iterable[str]:
    """Say what is left for a person to do."""
    if incident["state"] not in _ENDED:
        yield f"The incident is still {incident['state']}: {incident['reason']}"
    for run in incident["runs"]:
        if run["state"] in _OPEN_ENDS_OF_RUNS:
            yield f"Run {run['id']} ({run['action']}) {_OPEN_ENDS_OF_RUNS[run['state']].format(host=run['host'])}."
    if left_out := {name: count for name, count in incident.get("left_out", {}).items() if count}:
        counted = ", ".join(f"{count} of its {name}" for name, count in left_out.items())
        yield f"Left out here, between the first and the newest: {counted}. The API lists them page by page."
    if incident["state"] == "resolved" and not incident["runs"]:
        yield "Nothing was done: the alert resolved by itself. The cause is not known to have gone."


def _target_in_words(incident: Mapping[str, Any]) -> str:
    return f"{incident['service']} on {incident['host']}" if incident.get("service") else str(incident["host"])


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)
