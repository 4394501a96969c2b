# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One incident as its page shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from autoglm_recovery.receiver.console.findings import Findings, findings
from autoglm_recovery.receiver.console.listing import where
from autoglm_recovery.receiver.console.moments import read_moment, took
from autoglm_recovery.receiver.console.tones import DANGER, tone
from autoglm_recovery.receiver.console.words import WHAT_ORDERS_DO
from autoglm_recovery.receiver.decide.guards import GuardFinding
from autoglm_recovery.receiver.operators.orders import OperatorCommand, possible
from autoglm_recovery.receiver.values.model import ENDED, Decision, IncidentState
from autoglm_recovery.report.document import Stage, report_on

# The kinds of lines that a run reports; all other kinds are about the incident.
_OF_A_RUN = frozenset({"run_started", "task", "proof", "cause", "last words", "evidence", "run_finished", "taken_over"})
# The clock that dates a run's first lines may differ from the database's.
_SLACK = timedelta(seconds=2)
WIDTH = 1000
_LEAST = 6


@dataclass(frozen=True)
class TimelineRow:
    """One line of the timeline."""

    at: datetime
    kind: str
    text: str

    @property
    def tone(self) -> str:
        """The tone that the page shows it in, by kind and text."""
        return tone(self.kind, self.text)


@dataclass(frozen=True)
class RunShown:
    """A run with the lines that it reported."""

    id: int
    action: str
    attempt: int
    host: str
    state: str
    reason: str
    launcher: str
    link: str | None
    started: datetime
    ended: datetime | None
    took: timedelta | None
    rc: int | None
    cause: str | None = None
    lines: tuple[TimelineRow, ...] = ()

    @property
    def failed_at(self) -> str | None:
        """Return the line of the last failed task, which the page shows while the lines are folded."""
        return next((line.text for line in reversed(self.lines) if line.kind == "task" and line.tone == DANGER), None)


@dataclass(frozen=True)
class AlertShown:
    """An alert of the incident."""

    id: int
    name: str
    status: str
    since: datetime | None
    until: datetime | None
    deliveries: int
    why: str
    labels: tuple[tuple[str, str], ...]
    annotations: tuple[tuple[str, str], ...]
    source: str


@dataclass(frozen=True)
class Segment:
    """A stage on the track: its beginning and its width, out of WIDTH."""

    name: str
    x: int
    width: int
    number: int


@dataclass(frozen=True)
class RungShown:
    """A rung of the ladder and its state."""

    action: str
    stands: str
    next: bool


@dataclass(frozen=True)
class PlanShown:
    """The decision that would be made now, and the finding of each guardrail."""

    verb: str
    reason: str
    action: str | None
    findings: tuple[tuple[str, str, bool], ...]
    ladder: tuple[RungShown, ...]


@dataclass(frozen=True)
class IncidentPage:
    """What the page shows."""

    id: int
    state: str
    where: str
    failure_class: str
    mode: str
    cause: str | None
    reason: str
    facts: tuple[tuple[str, str], ...]
    began: datetime
    ended: datetime | None
    took: timedelta | None
    explained_by: int | None
    findings: Findings
    stages: tuple[Stage, ...]
    track: tuple[Segment, ...]
    timeline: tuple[TimelineRow | RunShown, ...]
    runs: tuple[RunShown, ...]
    alerts: tuple[AlertShown, ...]
    open_ends: tuple[str, ...]
    orders: tuple[tuple[str, str], ...]
    plan: PlanShown | None
    done: str


def incident_page(found: Mapping[str, Any], plan: PlanShown | None, *, may_order: bool, done: str = "") -> IncidentPage:
    """Build the page from an incident as ``views.show_incident`` returns it; ``done`` is what was just ordered."""
    report = report_on(found)
    runs = _runs_shown(found)
    began, ended = datetime.fromisoformat(found["first_starts_at"]), read_moment(found["ended_at"])
    timeline = tuple(weave(_timeline_rows(found), runs))
    return IncidentPage(
        id=found["id"],
        state=found["state"],
        where=where(found["host"], found["service"]),
        failure_class=found["failure_class"],
        mode=found["fault_mode"],
        cause=found.get("cause"),
        reason=found["reason"],
        facts=_facts(found),
        began=began,
        ended=ended,
        took=took(began, ended) if ended else None,
        explained_by=found["explained_by"],
        findings=findings([entry for entry in timeline if isinstance(entry, RunShown)]),
        stages=report.stages,
        track=track(report.stages),
        timeline=timeline,
        runs=tuple(runs),
        alerts=alerts(found["alerts"]),
        # The first line repeats the page's heading.
        open_ends=tuple(end for end in report.open_ends if not end.startswith("The incident is still")),
        orders=orders(found["state"]) if may_order else (),
        plan=plan,
        done=done if done in set(OperatorCommand) else "",
    )


def orders(state: str) -> tuple[tuple[str, str], ...]:
    """Return the orders that an incident's state allows, each with its effect in words."""
    return tuple((order.value, WHAT_ORDERS_DO[order]) for order in possible(IncidentState(state)))


def plan(
    decision: Decision, findings: Iterable[GuardFinding], ladder: Iterable[tuple[str, str]], found: Mapping[str, Any]
) -> PlanShown:
    """Show the decision that would be made now, with the state of each rung and the finding of each guardrail.

    ``ladder`` has the actions, each with a remark about its playbook.
    """
    done: dict[str, list[str]] = {}
    for run in found["earlier_runs"]:
        done.setdefault(run["action"], []).append(f"{run['state']} in incident {run['incident_id']}")
    for run in found["runs"]:
        done.setdefault(run["action"], []).append(run["state"])
    return PlanShown(
        verb=decision.verb.value,
        reason=decision.reason,
        action=decision.action,
        findings=tuple((finding.rule, finding.stands, finding.verdict is not None) for finding in findings),
        ladder=tuple(
            RungShown(
                action,
                ", ".join(done.get(action, [])) or known or "not tried",
                action == decision.action,
            )
            for action, known in ladder
        ),
    )


def is_planned(state: str) -> bool:
    """Tell whether the receiver decides about a next step in this state."""
    return state not in {*ENDED, IncidentState.running, IncidentState.verifying}


def weave(lines: Iterable[TimelineRow], runs: Sequence[RunShown]) -> list[TimelineRow | RunShown]:
    """Put each run's lines below the run, and the runs among the other lines by time."""
    told: dict[int, list[TimelineRow]] = {run.id: [] for run in runs}
    woven: list[tuple[datetime, int, TimelineRow | RunShown]] = []
    for place, line in enumerate(lines):
        run = _run_of(line, runs)
        if run is None:
            woven.append((line.at, place, line))
        else:
            told[run.id].append(line)
    for run in runs:
        # A run's row is written just before the line that records its decision.
        woven.append((run.started + timedelta(milliseconds=1), len(told) + run.id, _with_lines(run, told[run.id])))
    return [entry for _, _, entry in sorted(woven, key=lambda each: each[:2])]


def _run_of(line: TimelineRow, runs: Sequence[RunShown]) -> RunShown | None:
    """Return the last run that had begun at the time of a run's line."""
    if line.kind not in _OF_A_RUN or not runs:
        return None
    return next((run for run in reversed(runs) if run.started <= line.at), None) or (
        runs[0] if runs[0].started - line.at <= _SLACK else None
    )


def _with_lines(run: RunShown, lines: Sequence[TimelineRow]) -> RunShown:
    return RunShown(**{**{name: getattr(run, name) for name in run.__dataclass_fields__}, "lines": tuple(lines)})


def track(stages: Sequence[Stage]) -> tuple[Segment, ...]:
    """Lay the stages side by side, each as wide as it took and wide enough to be seen."""
    spans = [max(0.0, stage.since_before.total_seconds()) for stage in stages[1:]]
    whole = sum(spans)
    if not whole:
        return ()
    free = WIDTH - _LEAST * len(spans)
    segments, x = [], 0
    for number, (stage, span) in enumerate(zip(stages[1:], spans, strict=True), 1):
        width = _LEAST + int(free * span / whole)
        segments.append(Segment(stage.name, x, width, number))
        x += width
    return tuple(segments)


def _facts(found: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    facts = [("Root cause", found["root_cause"]), ("Host", found["host"])]
    facts += [(name.capitalize(), found[name]) for name in ("service", "pool", "gpu") if found[name]]
    return tuple(facts)


def _timeline_rows(found: Mapping[str, Any]) -> list[TimelineRow]:
    return [TimelineRow(datetime.fromisoformat(line["at"]), line["kind"], line["text"]) for line in found["timeline"]]


def _runs_shown(found: Mapping[str, Any]) -> list[RunShown]:
    made = []
    for run in found["runs"]:
        started, ended = datetime.fromisoformat(run["started_at"]), read_moment(run["ended_at"])
        made.append(
            RunShown(
                id=run["id"],
                action=run["action"],
                attempt=run["attempt"],
                host=run["host"],
                state=run["state"],
                reason=run["reason"],
                cause=run.get("cause"),
                launcher=run["launcher"],
                link=run["link"],
                started=started,
                ended=ended,
                took=took(started, ended) if ended else None,
                rc=run["rc"],
            )
        )
    return made


def alerts(listed: Iterable[Mapping[str, Any]]) -> tuple[AlertShown, ...]:
    """Return each alert once, with the status of its latest delivery and the texts of the firing one."""
    news: dict[str, list[Mapping[str, Any]]] = {}
    for alert in listed:
        news.setdefault(alert["identity"], []).append(alert)
    return tuple(map(_alert_shown, news.values()))


def _alert_shown(news: Sequence[Mapping[str, Any]]) -> AlertShown:
    last = news[-1]
    alert = next((each for each in reversed(news) if each["status"] == "firing"), last)
    labels = dict(alert["labels"])
    return AlertShown(
        id=alert["id"],
        name=str(labels.get("alertname") or "an alert without a name"),
        status=last["status"],
        since=read_moment(alert["starts_at"]),
        until=read_moment(last["ends_at"]) if last["status"] == "resolved" else None,
        deliveries=sum(each["deliveries"] for each in news),
        why=alert["reason"] or "",
        labels=tuple(sorted((name, str(value)) for name, value in labels.items())),
        annotations=tuple(sorted((name, str(value)) for name, value in alert["annotations"].items())),
        source=alert["generator_url"],
    )
