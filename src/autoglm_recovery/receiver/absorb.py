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

from autoglm_recovery.knowledge.faults.classes import ROOT_CAUSE_ORDER
from autoglm_recovery.policy.model import Policy
from autoglm_recovery.receiver.classify import classify, is_watchdog
from autoglm_recovery.receiver.clock import Clock, wall
from autoglm_recovery.receiver.fleet import Fleet
from autoglm_recovery.receiver.metrics import Metrics
from autoglm_recovery.receiver.model import Fault, FaultMode, IncidentState, Target
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.target import Refusal, resolve_target

MOST_AT_ONCE = 500
# Of a storm, everything is taken in before anything is decided, unless that takes so long that runs want a look.
LONGEST_AT_IT_S = 2.0

log = structlog.get_logger()


def judge(labels: dict[str, str], policy: Policy, fleet: Fleet) -> Fault:
    """Say what an alert means.  Pure: the same labels, policy and fleet give the same fault."""
    failure_class, why = classify(labels, policy)
    partitioned = failure_class == "partition" or labels.get("fault_mode") == FaultMode.partitioned.value
    try:
        return Fault(failure_class, why, resolve_target(labels, fleet), partitioned=partitioned)
    except Refusal as refusal:
        return Fault(failure_class, why, None, str(refusal), partitioned)


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
        rows = store.new_alerts(connection, MOST_AT_ONCE)
    if not rows:
        return 0
    # Judged outside of the transaction: nobody else waits for it.
    faults = {row.id: judge(row.labels, policy, fleet) for row in rows}
    # What a power cut undoes here is done again: the alerts themselves are on disk, and are new until this is.
    with database.noting() as connection:
        # Another receiver may have taken some of them meanwhile.
        rows = [row for row in store.new_alerts(connection, MOST_AT_ONCE) if row.id in faults]
        settled = _Batch(connection, rows, faults, policy, clock()).take()
    for row, one in zip(rows, settled, strict=True):
        metrics.alert(one["failure_class"], row.status, one["outcome"], row.committed_at - row.starts_at)
    return len(rows)


class _Batch:
    """One batch: what is known of its targets is read first, everything is worked out here, then all is written."""

    def __init__(
        self, connection: sa.Connection, rows: list[sa.Row[Any]], faults: dict[int, Fault], policy: Policy, now: float
    ) -> None:
        self._connection = connection
        self._rows = rows
        self._faults = faults
        self._now = now
        fingerprints = {row.fingerprint for row in rows}
        keys = {store.target_key(f.target) for row in rows if (f := faults[row.id]).target is not None}
        since = self._now - policy.recovery.persistent_within.total_seconds()
        firing = [row for row in rows if row.status == "firing"]
        self._over = store.resolved_already(
            connection, {row.fingerprint for row in firing}, {row.starts_at for row in firing}
        )
        self._of_fingerprint: dict[str, Any] = {
            fingerprint: {"id": number}
            for fingerprint, number in store.incidents_of_fingerprints(connection, fingerprints).items()
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
        taken = [self._take(row, self._faults[row.id]) for row in self._rows]
        for incident, number in zip(
            self._fresh, store.open_incidents(self._connection, [_columns(i) for i in self._fresh]), strict=True
        ):
            incident["id"] = number
        for key, values in self._changed.items():
            store.update(self._connection, self._active[key]["id"], self._now, **values)
        lines = [{"incident_id": i["id"], "at": at, "kind": kind, "text": text} for i, at, kind, text in self._lines]
        store.tell_all(self._connection, lines)
        settled = [_settled(row, *one) for row, one in zip(self._rows, taken, strict=True)]
        store.settle_alerts(self._connection, settled)
        # Dictionaries, to keep the order and drop what is there twice.
        store.wake_if_quiet(self._connection, {incident["id"]: None for incident in self._quiet}, self._now)
        for host in sorted(self._hosts):
            store.touch_host(self._connection, host, self._now)
        return settled

    def _take(self, row: sa.Row[Any], fault: Fault) -> tuple[str, str, str, dict[str, Any] | None]:
        """Return the class, the outcome, its reason, and the incident if there is one."""
        if row.status == "resolved":
            return self._resolved(row, fault)
        if is_watchdog(row.labels):
            return fault.failure_class, "ignored", "it always fires, to prove that alerts get here", None
        if fault.target is None:
            log.warning("alert refused", alert=_name(row), reason=fault.refusal)
            return fault.failure_class, "refused", fault.refusal or "", None
        if (row.fingerprint, row.starts_at) in self._over:
            return fault.failure_class, "ignored", "it has resolved already", None
        incident = self._firing(row, fault, fault.target)
        self._of_fingerprint[row.fingerprint] = incident
        return fault.failure_class, "joined", fault.why, incident

    def _resolved(self, row: sa.Row[Any], fault: Fault) -> tuple[str, str, str, dict[str, Any] | None]:
        incident = self._of_fingerprint.get(row.fingerprint)
        if incident is None:
            why = "resolved, and no incident that is going on has this alert"
            return fault.failure_class, "ignored", why, None
        self._lines.append((incident, row.committed_at, "alert", f"{_name(row)} has resolved"))
        self._quiet.append(incident)
        return fault.failure_class, "joined", "resolved", incident

    def _firing(self, row: sa.Row[Any], fault: Fault, target: Target) -> dict[str, Any]:
        key = store.target_key(target)
        incident = self._active.get(key)
        if incident is None:
            return self._open(row, fault, target, key)
        again = self._of_fingerprint.get(row.fingerprint) is not None
        how = "fires again" if again else f"fires as well, {fault.failure_class}"
        self._lines.append((incident, row.starts_at, "alert", f"{_name(row)} {how}: {fault.why}"))
        self._reconsider(key, incident, row, fault, target)
        return incident

    def _open(self, row: sa.Row[Any], fault: Fault, target: Target, key: str) -> dict[str, Any]:
        came_back = (key, fault.failure_class) in self._acted_on
        mode = FaultMode.persistent if came_back else FaultMode.transient
        incident = store.beginning(
            fault,
            target,
            mode=FaultMode.partitioned if fault.partitioned else mode,
            root_cause=_name(row),
            starts_at=row.starts_at,
            now=self._now,
        )
        self._active[key] = incident
        self._fresh.append(incident)
        summary = row.annotations.get("summary")
        took = row.committed_at - row.starts_at
        self._lines += [
            (incident, row.starts_at, "alert", f"{_name(row)} fires{f': {summary}' if summary else ''}"),
            (incident, row.committed_at, "committed", f"webhook committed {took:.1f} s after the alert"),
            (incident, self._now, "classified", f"class {fault.failure_class}: {fault.why}"),
        ]
        self._about_host(target)
        return incident

    def _reconsider(self, key: str, incident: dict[str, Any], row: sa.Row[Any], fault: Fault, target: Target) -> None:
        """Let a deeper cause rename an incident.

        A run that is under way or waits for its proof is left to its end, and what comes after it follows the new
        cause.  What waited for a person about an effect is decided anew: its cause is known now.
        """
        deeper = ROOT_CAUSE_ORDER.index(fault.failure_class) < ROOT_CAUSE_ORDER.index(incident["failure_class"])
        values: dict[str, Any] = {}
        if deeper:
            # What a person approved was an action on the effect.
            values = {"failure_class": fault.failure_class, "root_cause": _name(row), "approved": False}
            if fault.partitioned:
                values["fault_mode"] = FaultMode.partitioned.value
            if incident["state"] not in (IncidentState.running, IncidentState.verifying):
                values |= {"state": IncidentState.open.value, "due_at": self._now, "reason": fault.why}
            was = incident["failure_class"]
            text = f"root cause is {fault.failure_class} ({_name(row)}), of which {was} is an effect"
            self._lines.append((incident, self._now, "classified", text))
            self._about_host(target)
        if target.gpu is not None and (deeper or incident["gpu"] is None):
            values["gpu"] = target.gpu
        incident.update(values)
        if values and "id" in incident:
            self._changed.setdefault(key, {}).update(values)

    def _about_host(self, target: Target) -> None:
        """Note that something new is known about a host as a whole, which may explain what happens to its services."""
        if target.service is None:
            self._hosts.add(target.host)


def _columns(incident: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in incident.items() if name != "id"}


def _settled(
    row: sa.Row[Any], failure_class: str, outcome: str, reason: str, incident: dict[str, Any] | None
) -> dict[str, Any]:
    return {
        "id": row.id,
        "failure_class": failure_class,
        "outcome": outcome,
        "reason": reason,
        "incident_id": None if incident is None else incident["id"],
    }


def _name(row: sa.Row[Any]) -> str:
    return str(row.labels.get("alertname") or "an alert without a name")[:200]
