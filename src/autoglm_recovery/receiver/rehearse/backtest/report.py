# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backtest says in the end, as plain data for people's tables and for programs: pure but for reading the store.

Times are ISO 8601 in UTC, durations seconds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.receiver.rehearse.backtest.events import AlertRecord, Event
from autoglm_recovery.receiver.rehearse.backtest.replay import Replay
from autoglm_recovery.receiver.rehearse.backtest.tally import Stop
from autoglm_recovery.receiver.store.runs import ACTS
from autoglm_recovery.receiver.store.schema import alerts, incidents, rejects, runs
from autoglm_recovery.receiver.values.model import IncidentState, RunState, Verb
from autoglm_recovery.receiver.values.watchdog import ALWAYS_HEARD
from autoglm_recovery.receiver.verify.checks import known_of
from autoglm_recovery.receiver.verify.proven import ProofState, verdict

_MINUTE = 60
# What only an answer that a replay makes up has ended: said in the place of "resolved" and "succeeded".
ASSUMED = "assumed"
_Rows = Sequence[sa.Row[Any]]


def report(
    record: AlertRecord, events: Sequence[Event], replay: Replay, assumptions: Iterable[str], own: Sequence[Event] = ()
) -> dict[str, Any]:
    """Return everything that a replay has shown.  ``own`` are our own alerts for people, which it was not told of."""
    with replay.database.reading() as connection:
        told = connection.execute(sa.select(alerts).order_by(alerts.c.id)).all()
        happened = connection.execute(sa.select(incidents).order_by(incidents.c.id)).all()
        ran = connection.execute(sa.select(runs).where(ACTS).order_by(runs.c.id)).all()
        shown = {row.id for row in happened if _is_shown(connection, row)}
        set_aside = connection.execute(sa.select(rejects.c.reason).order_by(rejects.c.id)).scalars().all()
    ended = {row.id: row.ended_at for row in happened}
    stops = [_stop(stop, ended[stop.incident_id], replay.now) for stop in replay.tally.stops]
    return {
        "record": _record(record, events),
        "assumptions": list(assumptions),
        "alerts": {**_alerts(told, set_aside), "own": _own(own)},
        "incidents": {"total": len(happened), "by_state": _counted(_state(row, shown) for row in happened)},
        "classes": _counts_by("failure_class", happened, ran, stops, shown),
        "actions": _actions(ran, shown),
        "hosts": _counts_by("host", happened, ran, stops, shown),
        "guardrails": _guardrails(stops),
        "busiest_minute": {"runs": _busiest(r.started_at for r in ran), "alerts": _busiest(e.at for e in events)},
        "runs": [_run(row, shown) for row in ran],
        "held": [stop for stop in stops if stop["decision"] == Verb.hold],
        "escalated": [stop for stop in stops if stop["decision"] == Verb.escalate],
    }


def _record(record: AlertRecord, events: Sequence[Event]) -> dict[str, Any]:
    statuses = Counter(event.status for event in events)
    return {
        "since": _iso(record.since),
        "until": _iso(record.until),
        "begins": _iso(record.seen[0].first) if record.seen else None,
        "step_s": record.step,
        "series": len(record.series),
        "fired": statuses["firing"],
        "resolved": statuses["resolved"],
        "firing_at_the_beginning": sum(event.at <= record.since for event in events),
        "firing_at_the_end": statuses["firing"] - statuses["resolved"],
        "holes": [{"from": _iso(hole.first), "until": _iso(hole.last + record.step)} for hole in record.holes],
        "warnings": list(record.warnings),
    }


def _alerts(told: _Rows, set_aside: Sequence[str]) -> dict[str, Any]:
    """Count each time that an alert fired once, by what became of it."""
    firing = [row for row in told if row.status == "firing"]
    refused: dict[str, set[str]] = defaultdict(set)
    times: Counter[str] = Counter()
    for row in firing:
        if row.outcome == "refused":
            times[row.reason] += 1
            refused[row.reason].add(row.labels.get("alertname", "an alert without a name"))
    return {
        **{outcome: sum(row.outcome == outcome for row in firing) for outcome in ("joined", "refused", "ignored")},
        "set_aside": len(set_aside),
        "by_class": _counted(row.failure_class for row in firing),
        "refused_because": [
            {"reason": reason, "times": count, "alerts": sorted(refused[reason])}
            for reason, count in sorted(times.items(), key=lambda one: (-one[1], one[0]))
        ],
        "set_aside_because": [{"reason": reason, "times": n} for reason, n in _counted(set_aside).items()],
    }


def _counts_by(
    column: str, happened: _Rows, ran: _Rows, stops: Iterable[Mapping[str, Any]], shown: Collection[int]
) -> dict[str, dict[str, int]]:
    """Count by failure class or by host: incidents, and of these those with runs, held, escalated, proven over."""
    of_incident = {row.id: str(getattr(row, column)) for row in happened}
    sets: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for row in happened:
        sets[of_incident[row.id]]["incidents"].add(row.id)
        if _state(row, shown) == IncidentState.resolved:
            sets[of_incident[row.id]]["resolved"].add(row.id)
    for row in ran:
        sets[of_incident[row.incident_id]]["runs"].add(-row.id)
    for stop in stops:
        name = {Verb.hold: "held", Verb.escalate: "escalated"}.get(stop["decision"])
        if name:
            sets[of_incident[stop["incident"]]][name].add(stop["incident"])
    columns = ("incidents", "runs", "held", "escalated", "resolved")
    return {key: {name: len(sets[key][name]) for name in columns} for key in sorted(sets)}


def _actions(ran: _Rows, shown: Collection[int]) -> dict[str, dict[str, Any]]:
    told: dict[str, dict[str, Any]] = {}
    for action in sorted({row.action for row in ran}):
        mine = [row for row in ran if row.action == action]
        told[action] = {"runs": len(mine), "hosts": len({row.host for row in mine})}
        told[action] |= {"by_state": _counted(_outcome(row, shown) for row in mine)}
    return told


def _guardrails(stops: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Count how often each rule stood in the way, the most frequent first."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for stop in stops:
        found[stop["rule"], stop["decision"]].append(stop)
    return [
        {
            "rule": rule,
            "decision": decision,
            "times": len(mine),
            "incidents": len({stop["incident"] for stop in mine}),
            "seconds": round(sum(stop["seconds"] for stop in mine), 3),
        }
        for (rule, decision), mine in sorted(found.items(), key=lambda one: (-len(one[1]), one[0]))
    ]


def _busiest(moments: Iterable[float]) -> dict[str, Any] | None:
    minutes = Counter(int(moment // _MINUTE) for moment in moments)
    if not minutes:
        return None
    minute, count = min(minutes.items(), key=lambda one: (-one[1], one[0]))
    return {"at": _iso(minute * _MINUTE), "count": count}


def _stop(stop: Stop, ended_at: float | None, now: float) -> dict[str, Any]:
    until = next(moment for moment in (stop.until, ended_at, now) if moment is not None)
    return {
        "at": _iso(stop.since),
        "incident": stop.incident_id,
        "host": stop.host,
        "failure_class": stop.failure_class,
        "decision": stop.verb.value,
        "rule": stop.rule,
        "action": stop.action,
        "reason": stop.reason,
        "asks": stop.asks,
        "seconds": round(until - stop.since, 3),
    }


def _run(row: sa.Row[Any], shown: Collection[int]) -> dict[str, Any]:
    names = ("incident_id", "host", "action", "attempt", "state", "reason")
    told = {name.removesuffix("_id"): getattr(row, name) for name in names}
    return {"at": _iso(row.started_at), **told, "state": _outcome(row, shown)}


def _is_shown(connection: sa.Connection, incident: sa.Row[Any]) -> bool:
    """Tell whether the record itself shows that a fault is over: without the answers of services and of ``verify``."""
    known = replace(known_of(connection, incident, ALWAYS_HEARD, None), check=None)
    return incident.state == IncidentState.resolved and verdict(known).word is ProofState.proven


def _state(incident: sa.Row[Any], shown: Collection[int]) -> str:
    is_over = incident.state == IncidentState.resolved
    return ASSUMED if is_over and incident.id not in shown else str(incident.state)


def _outcome(run: sa.Row[Any], shown: Collection[int]) -> str:
    """A playbook that ends well has proven its repair; of a replay's, only the record can tell."""
    has_succeeded = run.state == RunState.succeeded
    return ASSUMED if has_succeeded and run.incident_id not in shown else str(run.state)


def _own(events: Sequence[Event]) -> dict[str, Any]:
    firing = [event for event in events if event.status == "firing"]
    return {"fired": len(firing), "alerts": sorted({dict(event.labels)["alertname"] for event in firing})}


def _counted(words: Iterable[str | None]) -> dict[str, int]:
    return {str(word): count for word, count in sorted(Counter(words).items(), key=lambda one: str(one[0]))}


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()
