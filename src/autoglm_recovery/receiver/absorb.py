# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take committed alerts into incidents: classify, find the target, join or open."""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa
import structlog

from autoglm_recovery.knowledge.faults.classes import ROOT_CAUSE_ORDER
from autoglm_recovery.policy.model import Policy
from autoglm_recovery.receiver.classify import classify
from autoglm_recovery.receiver.fleet import Fleet
from autoglm_recovery.receiver.metrics import Metrics
from autoglm_recovery.receiver.model import Fault, FaultMode, IncidentState, Target
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store import runs
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.target import Refusal, resolve_target

MOST_AT_ONCE = 500

log = structlog.get_logger()


def judge(labels: dict[str, str], policy: Policy, fleet: Fleet) -> Fault:
    """Say what an alert means.  Pure: the same labels, policy and fleet give the same fault."""
    failure_class, why = classify(labels, policy)
    try:
        return Fault(failure_class, why, resolve_target(labels, fleet))
    except Refusal as refusal:
        return Fault(failure_class, why, None, str(refusal))


def absorb(database: Database, policy: Policy, fleet: Fleet, metrics: Metrics) -> int:
    """Take in what was committed since the last time, in one transaction.  Return how many alerts that were."""
    with database.reading() as connection:
        if not store.new_alerts(connection, 1):
            return 0
    # What a power cut undoes here is done again: the alerts themselves are on disk, and are new until this is.
    with database.noting() as connection:
        rows = store.new_alerts(connection, MOST_AT_ONCE)
        for row in rows:
            fault = judge(row.labels, policy, fleet)
            outcome = _take(connection, row, fault, policy)
            store.settle_alert(connection, row.id, failure_class=fault.failure_class, **outcome)
            if row.status == "resolved" and "incident_id" in outcome:
                _wake_if_quiet(connection, outcome["incident_id"])
            metrics.alert(fault.failure_class, row.status, outcome["outcome"], row.committed_at - row.starts_at)
    return len(rows)


def _take(connection: sa.Connection, row: sa.Row[Any], fault: Fault, policy: Policy) -> dict[str, Any]:
    if row.status == "resolved":
        return _resolved(connection, row)
    if fault.target is None:
        log.warning("alert refused", alert=_name(row), reason=fault.refusal)
        return {"outcome": "refused", "reason": fault.refusal}
    if store.resolved_already(connection, row.fingerprint, row.starts_at):
        return {"outcome": "ignored", "reason": "the news that it has resolved came first"}
    incident_id = _firing(connection, row, fault, fault.target, policy)
    return {"outcome": "joined", "reason": fault.why, "incident_id": incident_id}


def _resolved(connection: sa.Connection, row: sa.Row[Any]) -> dict[str, Any]:
    incident_id = store.incident_of_fingerprint(connection, row.fingerprint)
    if incident_id is None:
        return {"outcome": "ignored", "reason": "resolved, and no incident that is going on has this alert"}
    store.tell(connection, incident_id, row.committed_at, "alert", f"{_name(row)} has resolved")
    return {"outcome": "joined", "reason": "resolved", "incident_id": incident_id}


def _wake_if_quiet(connection: sa.Connection, incident_id: int) -> None:
    """Have an incident looked at once the last of its alerts has resolved; before that, its own clock counts."""
    if not store.still_firing(connection, incident_id):
        now = time.time()
        store.update(connection, incident_id, now, due_at=now)


def _firing(connection: sa.Connection, row: sa.Row[Any], fault: Fault, target: Target, policy: Policy) -> int:
    now = time.time()
    active = store.active_incident(connection, target)
    if active is None:
        incident_id = _open(connection, row, fault, target, policy, now)
    else:
        incident_id = active.id
        store.tell(
            connection, incident_id, row.starts_at, "alert", f"{_name(row)} fires as well, {fault.failure_class}"
        )
        _reconsider(connection, active, fault, _name(row), now)
    took = row.committed_at - row.starts_at
    store.tell(
        connection, incident_id, row.committed_at, "committed", f"webhook committed {took:.1f} s after the alert"
    )
    store.tell(connection, incident_id, now, "classified", f"class {fault.failure_class}: {fault.why}")
    return incident_id


def _open(connection: sa.Connection, row: sa.Row[Any], fault: Fault, target: Target, policy: Policy, now: float) -> int:
    since = now - policy.recovery.persistent_within.total_seconds()
    came_back = bool(store.earlier_actions(connection, target, fault.failure_class, since=since))
    mode = FaultMode.persistent if came_back else FaultMode.transient
    incident_id = store.open_incident(
        connection, fault, target, mode=mode, root_cause=_name(row), starts_at=row.starts_at, now=now
    )
    summary = row.annotations.get("summary")
    store.tell(
        connection, incident_id, row.starts_at, "alert", f"{_name(row)} fires{f': {summary}' if summary else ''}"
    )
    return incident_id


def _reconsider(connection: sa.Connection, active: sa.Row[Any], fault: Fault, name: str, now: float) -> None:
    """Let a deeper cause rename an incident for which nothing has been done yet."""
    untouched = active.state in (IncidentState.open, IncidentState.waiting) and not runs.newest(connection, active.id)
    deeper = ROOT_CAUSE_ORDER.index(fault.failure_class) < ROOT_CAUSE_ORDER.index(active.failure_class)
    if untouched and deeper:
        store.update(
            connection, active.id, now, failure_class=fault.failure_class, reason=fault.why, root_cause=name, due_at=now
        )


def _name(row: sa.Row[Any]) -> str:
    return str(row.labels.get("alertname") or "an alert without a name")[:200]
