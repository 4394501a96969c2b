# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take committed alerts into incidents: classify, find the target, join or open.

Alerts are taken in batches, each in one short transaction, so that a storm costs few statements and the intake, which
needs the same database, is never kept waiting for long.
"""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa
import structlog

from autoglm_recovery.knowledge.host.plain import one_line
from autoglm_recovery.policy.model import Policy
from autoglm_recovery.receiver.fleet.fleet import Fleet
from autoglm_recovery.receiver.observe.metrics import Metrics
from autoglm_recovery.receiver.process.seldom import OncePerMinute
from autoglm_recovery.receiver.store import arrivals, refusals
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.triage.classify import classify
from autoglm_recovery.receiver.triage.nature import nature_of
from autoglm_recovery.receiver.triage.news import LATE_AT_MOST_S, DeliveryKind, judge_end, judge_firing
from autoglm_recovery.receiver.triage.own_alerts import for_people
from autoglm_recovery.receiver.triage.target import Refusal, resolve
from autoglm_recovery.receiver.values.clock import Clock, wall
from autoglm_recovery.receiver.values.model import Fault, FaultMode, IncidentState, Target
from autoglm_recovery.receiver.values.watchdog import is_watchdog

MOST_AT_ONCE = 500
# Of a storm, everything is taken in before anything is decided, unless that takes so long that runs want a look.
LONGEST_AT_IT_S = 2.0
LONGEST_CAUSE = 400

log = structlog.get_logger()
# Of each sender and kind, for a sender may have as many refused as it likes.  The console's page has them all.
_seldom = OncePerMinute()


def judge(labels: dict[str, str], policy: Policy, fleet: Fleet) -> Fault:
    """Say what an alert means.  Pure: the same labels, policy and fleet give the same fault."""
    failure_class, why = classify(labels, policy)
    partitioned = failure_class == "partition" or labels.get("fault_mode") == FaultMode.partitioned.value
    try:
        found = resolve(labels, fleet)
    except Refusal as refusal:
        return Fault(
            failure_class,
            why,
            None,
            str(refusal),
            partitioned,
            sender=refusal.sender,
            refused_as=refusal.why.value,
            advice=refusal.advice,
        )
    return Fault(
        failure_class,
        why,
        found.target,
        partitioned=partitioned,
        sender=found.sender,
        named_by=found.by,
        ignored=found.ignored,
    )


def absorb(database: Database, policy: Policy, fleet: Fleet, metrics: Metrics, clock: Clock = wall) -> int:
    """Take in what was committed since the last time, batch by batch.  Return how many alerts that were."""
    until = time.monotonic() + LONGEST_AT_IT_S
    total = 0
    while taken := _absorb_batch(database, policy, fleet, metrics, clock):
        total += taken
        if taken < MOST_AT_ONCE or time.monotonic() > until:
            break
    return total


def _absorb_batch(database: Database, policy: Policy, fleet: Fleet, metrics: Metrics, clock: Clock) -> int:
    with database.reading() as connection:
        rows = arrivals.new_alerts(connection, MOST_AT_ONCE)
        doubts_over = arrivals.any_doubted(connection, clock() - LATE_AT_MOST_S)
    if doubts_over:
        with database.noting() as connection:
            arrivals.doubts_over(connection, clock() - LATE_AT_MOST_S)
            rows = arrivals.new_alerts(connection, MOST_AT_ONCE)
    if not rows:
        return 0
    # Judged outside of the transaction: nobody else waits for it.
    faults = {row.id: judge(row.labels, policy, fleet) for row in rows}
    # What a power cut undoes here is done again: the alerts themselves are on disk, and are new until this is.
    with database.noting() as connection:
        # Another receiver may have taken some of them meanwhile.
        rows = [row for row in arrivals.new_alerts(connection, MOST_AT_ONCE) if row.id in faults]
        settled = _Batch(connection, rows, faults, policy, clock()).take()
    for row, one in zip(rows, settled, strict=True):
        metrics.alert(one["failure_class"], row.status, one["outcome"], row.committed_at - row.starts_at)
        if one["outcome"] == "refused":
            metrics.alert_refused(str(faults[row.id].refused_as))
            _log_refused(row, faults[row.id])
    return len(rows)


def _log_refused(row: sa.Row[Any], fault: Fault) -> None:
    if (unsaid := _seldom.unsaid((fault.refused_as, row.sender))) is not None:
        log.warning("alert refused", alert=_alertname(row), reason=fault.refusal, more_since_last_told=unsaid)


class _Batch:
    """One batch: what is known of its targets is read first, everything is worked out here, then all is written."""

    def __init__(
        self, connection: sa.Connection, rows: list[sa.Row[Any]], faults: dict[int, Fault], policy: Policy, now: float
    ) -> None:
        self._connection = connection
        self._rows = rows
        self._faults = faults
        self._policy = policy
        self._now = now
        identities = {row.identity for row in rows}
        keys = {store.target_key(f.target) for row in rows if (f := faults[row.id]).target is not None}
        since = self._now - policy.recovery.persistent_within.total_seconds()
        self._told = arrivals.told_before(connection, identities, max((row.id for row in rows), default=0))
        self._ends: list[sa.Row[Any]] = []
        self._of_alert: dict[str, Any] = {
            identity: {"id": number} for identity, number in store.incidents_of_alerts(connection, identities).items()
        }
        self._active = store.active_incidents(connection, keys)
        self._acted_on = store.acted_on(connection, keys, since)
        # Incidents are dictionaries that get their number when all new ones are written; lines point to them.
        self._fresh: list[dict[str, Any]] = []
        self._changed: dict[str, dict[str, Any]] = {}
        self._lines: list[tuple[dict[str, Any], float, str, str]] = []
        self._quiet: list[dict[str, Any]] = []
        self._hosts: set[str] = set()

    def take(self) -> list[dict[str, Any]]:
        """Take in all alerts; return what became of each."""
        taken = [self._absorb_alert(row, self._faults[row.id]) for row in self._rows]
        for incident, number in zip(
            self._fresh,
            store.open_incidents(self._connection, [_incident_columns(i) for i in self._fresh]),
            strict=True,
        ):
            incident["id"] = number
        for key, values in self._changed.items():
            store.update(self._connection, self._active[key]["id"], self._now, **values)
        lines = [{"incident_id": i["id"], "at": at, "kind": kind, "text": text} for i, at, kind, text in self._lines]
        store.tell_all(self._connection, lines)
        natures = [nature_of(row.labels, self._policy)[0] for row in self._rows]
        settled = [_alert_columns(row, n, *one) for row, n, one in zip(self._rows, natures, taken, strict=True)]
        refused = [row for row, one in zip(self._rows, settled, strict=True) if one["outcome"] == "refused"]
        refusals.note(self._connection, [_refusal_row(row, self._faults[row.id]) for row in refused], self._now)
        arrivals.settle_alerts(self._connection, settled)
        arrivals.doubts_settled(self._connection, self._ends)
        # Dictionaries, to keep the order and drop what is there twice.
        store.wake_if_quiet(self._connection, {incident["id"]: None for incident in self._quiet}, self._now)
        for host in sorted(self._hosts):
            store.touch_host(self._connection, host, self._now)
        return settled

    def _absorb_alert(self, row: sa.Row[Any], fault: Fault) -> tuple[str, str, str, dict[str, Any] | None]:
        """Return the class, the outcome, its reason, and the incident if there is one."""
        if row.status == "resolved":
            return self._absorb_end(row, fault)
        if is_watchdog(row.labels):
            return fault.failure_class, "ignored", "it always fires, to prove that alerts get here", None
        if fault.target is None and for_people(row.labels, self._policy):
            return fault.failure_class, "ignored", "it is about the receiver or the exporters: for people", None
        if fault.target is None:
            return fault.failure_class, "refused", fault.refusal or "", None
        told, before = arrivals.told(row), self._told.setdefault(row.identity, [])
        if judge_firing(told, before, self._now) is DeliveryKind.doubted:
            why = f"another sender told its end; it counts in {LATE_AT_MOST_S:g} s unless this one tells the end too"
            return fault.failure_class, "doubted", why, None
        before.append(told)
        incident = self._join_or_open(row, fault, fault.target)
        self._of_alert[row.identity] = incident
        return fault.failure_class, "joined", fault.why, incident

    def _absorb_end(self, row: sa.Row[Any], fault: Fault) -> tuple[str, str, str, dict[str, Any] | None]:
        told, before = arrivals.told(row), self._told.setdefault(row.identity, [])
        heard_of = any(each.starts_at == told.starts_at for each in before)
        self._ends.append(row)
        if judge_end(told, before) is DeliveryKind.late:
            return fault.failure_class, "late", "the end of what fired before, which came late", None
        before.append(told)
        incident = self._of_alert.get(row.identity)
        if incident is None:
            if heard_of or is_watchdog(row.labels) or fault.target is None:
                why = "resolved, and no incident that is going on has this alert"
                return fault.failure_class, "ignored", why, None
            # It fired and ended between two notifications of its group.  Whatever it told of has happened all the same.
            incident = self._of_alert[row.identity] = self._join_or_open(row, fault, fault.target)
        self._lines.append((incident, row.committed_at, "alert", f"{_alertname(row)} has resolved"))
        self._quiet.append(incident)
        return fault.failure_class, "joined", "resolved", incident

    def _join_or_open(self, row: sa.Row[Any], fault: Fault, target: Target) -> dict[str, Any]:
        key = store.target_key(target)
        incident = self._active.get(key)
        if incident is None:
            return self._open_incident(row, fault, target, key)
        again = self._of_alert.get(row.identity) is not None
        if incident["state"] in store.UNCERTAIN and "id" in incident:
            # At once, and not when a proof would be due.
            incident["due_at"] = self._now
            self._changed.setdefault(key, {})["due_at"] = self._now
        how = "fires again" if again else f"fires as well, {fault.failure_class}"
        self._lines.append((incident, row.starts_at, "alert", f"{_alertname(row)} {how}: {fault.why}"))
        self._rename_by_cause(key, incident, row, fault, target)
        return incident

    def _open_incident(self, row: sa.Row[Any], fault: Fault, target: Target, key: str) -> dict[str, Any]:
        came_back = (key, fault.failure_class) in self._acted_on
        mode = FaultMode.persistent if came_back else FaultMode.transient
        incident = store.beginning(
            fault,
            target,
            mode=FaultMode.partitioned if fault.partitioned else mode,
            root_cause=_alertname(row),
            starts_at=row.starts_at,
            now=self._now,
            cause=_alert_summary(row),
        )
        self._active[key] = incident
        self._fresh.append(incident)
        summary = row.annotations.get("summary")
        took = row.committed_at - row.starts_at
        self._lines += [
            (incident, row.starts_at, "alert", f"{_alertname(row)} fires{f': {summary}' if summary else ''}"),
            (incident, row.committed_at, "committed", f"webhook committed {took:.1f} s after the alert"),
            (incident, self._now, "classified", f"class {fault.failure_class}: {fault.why}"),
        ]
        self._note_host_news(target)
        return incident

    def _rename_by_cause(
        self, key: str, incident: dict[str, Any], row: sa.Row[Any], fault: Fault, target: Target
    ) -> None:
        """Let a deeper cause rename an incident.

        A run that is under way or waits for its proof is left to its end, and what comes after it follows the new
        cause.  What waited for a person about an effect is decided anew: its cause is known now.
        """
        depth = self._policy.repertoire.depth
        deeper = depth(fault.failure_class) < depth(incident["failure_class"])
        # What the evidence has denied is not said again by an alert that looks from afar.
        deeper = deeper and fault.failure_class != incident.get("ruled_out")
        values: dict[str, Any] = {}
        if deeper:
            # What a person approved was an action on the effect.
            values = {"failure_class": fault.failure_class, "root_cause": _alertname(row), "approved": False}
            values["cause"] = _alert_summary(row) or incident["cause"]
            if fault.partitioned:
                values["fault_mode"] = FaultMode.partitioned.value
            if incident["state"] not in (IncidentState.running, IncidentState.verifying):
                values |= {"state": IncidentState.open.value, "due_at": self._now, "reason": fault.why}
            was = incident["failure_class"]
            text = f"root cause is {fault.failure_class} ({_alertname(row)}), of which {was} is an effect"
            self._lines.append((incident, self._now, "classified", text))
            self._note_host_news(target)
        if target.gpu is not None and (deeper or incident["gpu"] is None):
            values["gpu"] = target.gpu
        incident.update(values)
        if values and "id" in incident:
            self._changed.setdefault(key, {}).update(values)

    def _note_host_news(self, target: Target) -> None:
        """Note that something new is known about a host as a whole, which may explain what happens to its services."""
        if target.service is None:
            self._hosts.add(target.host)


def _incident_columns(incident: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in incident.items() if name != "id"}


def _alert_columns(
    row: sa.Row[Any], nature: str | None, failure_class: str, outcome: str, reason: str, incident: dict[str, Any] | None
) -> dict[str, Any]:
    return {
        "id": row.id,
        "failure_class": failure_class,
        "nature": nature,
        "outcome": outcome,
        "reason": reason,
        "incident_id": None if incident is None else incident["id"],
    }


def _refusal_row(row: sa.Row[Any], fault: Fault) -> refusals.RefusedAlert:
    return refusals.RefusedAlert(
        refused_as=str(fault.refused_as),
        alert=_alertname(row),
        sender=fault.sender or "",
        failure_class=fault.failure_class,
        reason=fault.refusal or "",
        advice=fault.advice or "",
        labels=row.labels,
    )


def _alert_summary(row: sa.Row[Any]) -> str | None:
    """Return what an alert says of itself, until somebody knows better."""
    said = row.annotations.get("summary") or row.annotations.get("description")
    return one_line(said, LONGEST_CAUSE) if said else None


def _alertname(row: sa.Row[Any]) -> str:
    return str(row.labels.get("alertname") or "an alert without a name")[:200]
