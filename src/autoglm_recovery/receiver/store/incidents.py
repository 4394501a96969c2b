# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read and write incidents and the alerts that belong to them.  Every function works in its caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.receiver.model import ENDED, Fault, FaultMode, IncidentState, Target
from autoglm_recovery.receiver.store.schema import alerts, incidents, runs, timeline

# When nothing but news from outside can move an incident.
NEVER = 1e12

_ACTIVE = incidents.c.state.not_in([state.value for state in ENDED])


def target_key(target: Target) -> str:
    """Identify the target: what has the same key shares one incident."""
    # A host name never holds a newline, so that two targets cannot be spelled alike.
    return f"{target.host}\n{target.service or ''}"


def new_alerts(connection: sa.Connection, most: int) -> Sequence[sa.Row[Any]]:
    """Return alerts that nobody has looked at, oldest first."""
    query = sa.select(alerts).where(alerts.c.outcome == "new").order_by(alerts.c.id).limit(most)
    return connection.execute(query).all()


def settle_alert(connection: sa.Connection, alert_id: int, **values: Any) -> None:
    """Note what became of an alert."""
    connection.execute(alerts.update().where(alerts.c.id == alert_id).values(**values))


def active_incident(connection: sa.Connection, target: Target) -> sa.Row[Any] | None:
    """Return the incident that is going on at a target."""
    query = sa.select(incidents).where(incidents.c.target_key == target_key(target), _ACTIVE)
    return connection.execute(query).one_or_none()


def incident(connection: sa.Connection, incident_id: int) -> sa.Row[Any] | None:
    """Return one incident."""
    return connection.execute(sa.select(incidents).where(incidents.c.id == incident_id)).one_or_none()


def due(connection: sa.Connection, now: float, most: int) -> list[int]:
    """Return the incidents that want a look, the longest due first.  A run under way is followed elsewhere."""
    waiting = (incidents.c.state != IncidentState.running.value) & _ACTIVE
    query = sa.select(incidents.c.id).where(waiting, incidents.c.due_at <= now)
    return list(connection.execute(query.order_by(incidents.c.due_at, incidents.c.id).limit(most)).scalars())


def ask_again(connection: sa.Connection, now: float, most: int) -> None:
    """Have those that wait the longest asked again now: a place has become free."""
    first = sa.select(incidents.c.id).where(incidents.c.state == IncidentState.waiting.value).order_by(incidents.c.id)
    connection.execute(incidents.update().where(incidents.c.id.in_(first.limit(most))).values(due_at=now))


def next_due(connection: sa.Connection) -> float | None:
    """Return when the next incident wants a look."""
    query = sa.select(sa.func.min(incidents.c.due_at)).where(incidents.c.state != IncidentState.running.value, _ACTIVE)
    return connection.execute(query).scalar()


def open_incident(
    connection: sa.Connection,
    fault: Fault,
    target: Target,
    *,
    mode: FaultMode,
    root_cause: str,
    starts_at: float,
    now: float,
) -> int:
    """Begin an incident and return its number."""
    values = {
        "target_key": target_key(target),
        "host": target.host,
        "service": target.service,
        "pool": target.pool,
        "gpu": target.gpu,
        "failure_class": fault.failure_class,
        "fault_mode": mode.value,
        "state": IncidentState.open.value,
        "reason": fault.why,
        "root_cause": root_cause,
        "approved": False,
        "attempts_from": 0,
        "first_starts_at": starts_at,
        "opened_at": now,
        "due_at": now,
        "updated_at": now,
    }
    created = connection.execute(incidents.insert().returning(incidents.c.id), values)
    return int(created.scalar_one())


def update(connection: sa.Connection, incident_id: int, now: float, **values: Any) -> None:
    """Change an incident."""
    statement = incidents.update().where(incidents.c.id == incident_id)
    connection.execute(statement.values(updated_at=now, **values))


def tell(connection: sa.Connection, incident_id: int, at: float, kind: str, text: str) -> None:
    """Add a line to the timeline that people read."""
    connection.execute(timeline.insert(), {"incident_id": incident_id, "at": at, "kind": kind, "text": text})


def still_firing(connection: sa.Connection, incident_id: int) -> bool:
    """Tell whether any alert of an incident fires: the latest news of each fingerprint decides."""
    latest = (
        sa.select(sa.func.max(alerts.c.id).label("id"))
        .where(alerts.c.incident_id == incident_id)
        .group_by(alerts.c.fingerprint)
        .subquery()
    )
    query = sa.select(sa.exists().where(alerts.c.id == latest.c.id, alerts.c.status == "firing"))
    return bool(connection.execute(query).scalar())


def incident_of_fingerprint(connection: sa.Connection, fingerprint: str) -> int | None:
    """Return the active incident that an alert belongs to, for news that it has resolved."""
    query = (
        sa.select(incidents.c.id)
        .join(alerts, alerts.c.incident_id == incidents.c.id)
        .where(alerts.c.fingerprint == fingerprint, _ACTIVE)
        .order_by(alerts.c.id.desc())
        .limit(1)
    )
    return connection.execute(query).scalar()


def resolved_already(connection: sa.Connection, fingerprint: str, starts_at: float) -> bool:
    """Tell whether an alert's end is known already.  Two Alertmanagers of a cluster may deliver out of order."""
    found = sa.exists().where(
        alerts.c.fingerprint == fingerprint, alerts.c.starts_at == starts_at, alerts.c.status == "resolved"
    )
    return bool(connection.execute(sa.select(found)).scalar())


def earlier_actions(
    connection: sa.Connection, target: Target, failure_class: str, *, since: float, before: int | None = None
) -> frozenset[str]:
    """Return the actions that were run for this failure of this target in earlier incidents."""
    query = (
        sa.select(runs.c.action)
        .join(incidents, incidents.c.id == runs.c.incident_id)
        .where(
            incidents.c.target_key == target_key(target),
            incidents.c.failure_class == failure_class,
            runs.c.started_at >= since,
        )
        .distinct()
    )
    if before is not None:
        query = query.where(incidents.c.id < before)
    return frozenset(connection.execute(query).scalars())
