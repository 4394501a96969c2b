# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read and write incidents and the alerts that belong to them.  Every function works in its caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.knowledge.faults.classes import STILL_SERVING
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


def settle_alerts(connection: sa.Connection, settled: Sequence[Mapping[str, Any]]) -> None:
    """Note what became of alerts: C(id), C(outcome), C(reason), C(failure_class) and C(incident_id) of each."""
    if settled:
        statement = alerts.update().where(alerts.c.id == sa.bindparam("alert_id"))
        connection.execute(statement, [{"alert_id": one["id"], **_without_id(one)} for one in settled])


def _without_id(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != "id"}


def active_incidents(connection: sa.Connection, keys: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return the incidents that are going on at targets, by target key."""
    query = sa.select(incidents).where(incidents.c.target_key.in_(keys), _ACTIVE)
    return {row["target_key"]: dict(row) for row in connection.execute(query).mappings()} if keys else {}


def incidents_of_fingerprints(connection: sa.Connection, fingerprints: Collection[str]) -> dict[str, int]:
    """Return the active incident that each alert belongs to, for news that it has resolved."""
    query = (
        sa.select(alerts.c.fingerprint, sa.func.max(incidents.c.id))
        .join(incidents, alerts.c.incident_id == incidents.c.id)
        .where(alerts.c.fingerprint.in_(fingerprints), _ACTIVE)
        .group_by(alerts.c.fingerprint)
    )
    return {row[0]: row[1] for row in connection.execute(query)} if fingerprints else {}


def resolved_already(
    connection: sa.Connection, fingerprints: Collection[str], starts: Collection[float]
) -> set[tuple[str, float]]:
    """Return the ends that are known of alerts that began at these moments, by fingerprint and start.

    Two Alertmanagers of a cluster may deliver out of order.
    """
    query = sa.select(alerts.c.fingerprint, alerts.c.starts_at).where(
        alerts.c.fingerprint.in_(fingerprints), alerts.c.starts_at.in_(starts), alerts.c.status == "resolved"
    )
    return {(row[0], row[1]) for row in connection.execute(query)} if fingerprints else set()


def acted_on(connection: sa.Connection, keys: Collection[str], since: float) -> set[tuple[str, str]]:
    """Return the targets, by key and failure class, on which something was run since a moment."""
    query = (
        sa.select(incidents.c.target_key, incidents.c.failure_class)
        .join(runs, runs.c.incident_id == incidents.c.id)
        .where(incidents.c.target_key.in_(keys), runs.c.started_at >= since)
        .distinct()
    )
    return {(row[0], row[1]) for row in connection.execute(query)} if keys else set()


def incident(connection: sa.Connection, incident_id: int) -> sa.Row[Any] | None:
    """Return one incident."""
    return connection.execute(sa.select(incidents).where(incidents.c.id == incident_id)).one_or_none()


def due(connection: sa.Connection, now: float, most: int) -> list[int]:
    """Return the incidents that want a look, the longest due first.  A run under way is followed elsewhere."""
    waiting = (incidents.c.state != IncidentState.running.value) & _ACTIVE
    query = sa.select(incidents.c.id).where(waiting, incidents.c.due_at <= now)
    return list(connection.execute(query.order_by(incidents.c.due_at, incidents.c.id).limit(most)).scalars())


def ask_again(connection: sa.Connection, now: float, most: int) -> None:
    """Have those that wait for others asked again, those that were asked the longest ago first: a place is free."""
    queued = (incidents.c.state == IncidentState.waiting.value) & incidents.c.queued
    first = sa.select(incidents.c.id).where(queued).order_by(incidents.c.updated_at, incidents.c.id).limit(most)
    connection.execute(incidents.update().where(incidents.c.id.in_(first.scalar_subquery())).values(due_at=now))


def end(connection: sa.Connection, incident_id: int, now: float, state: IncidentState, reason: str) -> None:
    """End an incident, and have those looked at again that it explains."""
    update(connection, incident_id, now, state=state.value, reason=reason, ended_at=now, due_at=NEVER)
    free = {"explained_by": None, "state": IncidentState.open.value, "due_at": now}
    held = (incidents.c.explained_by == incident_id) & (incidents.c.state == IncidentState.held.value)
    freed = connection.execute(incidents.update().where(held).values(**free).returning(incidents.c.id)).scalars().all()
    for child in freed:
        tell(
            connection, child, now, "decided", f"incident {incident_id}, which explained this one, has ended: {reason}"
        )


def decide_again(connection: sa.Connection, now: float) -> None:
    """Have everything decided again that is not under way and not over: the policy or the inventory is another one."""
    states = [IncidentState.waiting.value, IncidentState.held.value]
    connection.execute(incidents.update().where(incidents.c.state.in_(states)).values(due_at=now))


def touch_host(connection: sa.Connection, host: str, now: float) -> None:
    """Have the incidents of a host looked at again that may be explained by what is new about it."""
    states = [IncidentState.open.value, IncidentState.waiting.value, IncidentState.held.value]
    here = (incidents.c.host == host) & incidents.c.state.in_(states)
    connection.execute(incidents.update().where(here).values(due_at=now))


def causes_on_host(connection: sa.Connection, host: str, incident_id: int) -> Sequence[sa.Row[Any]]:
    """Return the incidents about a host as a whole that are going on, beside one."""
    query = sa.select(incidents).where(
        incidents.c.host == host, incidents.c.service.is_(None), incidents.c.id != incident_id, _ACTIVE
    )
    return connection.execute(query.order_by(incidents.c.id)).all()


def firing_labels(connection: sa.Connection, incident_id: int) -> tuple[dict[str, str], ...]:
    """Return the labels of the alerts of an incident that fire."""
    return tuple(row.labels for row in firing(connection, incident_id))


def firing(connection: sa.Connection, incident_id: int) -> Sequence[sa.Row[Any]]:
    """Return the alerts of an incident that fire: the latest news of each fingerprint decides."""
    latest = (
        sa.select(sa.func.max(alerts.c.id))
        .where(alerts.c.incident_id == incident_id)
        .group_by(alerts.c.fingerprint)
        .scalar_subquery()
    )
    query = sa.select(alerts).where(alerts.c.id.in_(latest), alerts.c.status == "firing").order_by(alerts.c.id)
    return connection.execute(query).all()


def times_fired(connection: sa.Connection, incident_id: int, since: float) -> int:
    """Return how often the most restless alert of an incident has fired, over all incidents."""
    mine = sa.select(alerts.c.fingerprint).where(alerts.c.incident_id == incident_id).distinct().scalar_subquery()
    counts = (
        sa.select(sa.func.count(sa.distinct(alerts.c.starts_at)).label("fired"))
        .where(alerts.c.fingerprint.in_(mine), alerts.c.status == "firing", alerts.c.committed_at >= since)
        .group_by(alerts.c.fingerprint)
        .subquery()
    )
    return int(connection.execute(sa.select(sa.func.max(counts.c.fired))).scalar() or 0)


def out_of_service(connection: sa.Connection, pool: str, besides: int) -> set[tuple[str, str | None]]:
    """Return the hosts and services in a pool, and whole hosts of any, with incidents that take them out."""
    query = sa.select(incidents.c.host, incidents.c.service).where(
        _ACTIVE,
        incidents.c.failure_class.not_in(STILL_SERVING),
        (incidents.c.pool == pool) | incidents.c.service.is_(None),
        incidents.c.id != besides,
    )
    return {(row.host, row.service) for row in connection.execute(query)}


def hosts_out(connection: sa.Connection, besides: str) -> int:
    """Count the other hosts with incidents that take something on them out of service."""
    query = sa.select(sa.func.count(sa.distinct(incidents.c.host))).where(
        _ACTIVE, incidents.c.failure_class.not_in(STILL_SERVING), incidents.c.host != besides
    )
    return int(connection.execute(query).scalar_one())


def next_due(connection: sa.Connection) -> float | None:
    """Return when the next incident wants a look."""
    query = sa.select(sa.func.min(incidents.c.due_at)).where(incidents.c.state != IncidentState.running.value, _ACTIVE)
    return connection.execute(query).scalar()


def open_incidents(connection: sa.Connection, fresh: Sequence[Mapping[str, Any]]) -> list[int]:
    """Begin incidents and return their numbers, in the same order."""
    statement = incidents.insert().returning(incidents.c.id, sort_by_parameter_order=True)
    return list(connection.execute(statement, list(fresh)).scalars()) if fresh else []


def open_incident(connection: sa.Connection, fault: Fault, target: Target, **beginning_of: Any) -> int:
    """Begin one incident and return its number; see beginning."""
    return open_incidents(connection, [beginning(fault, target, **beginning_of)])[0]


def beginning(
    fault: Fault, target: Target, *, mode: FaultMode, root_cause: str, starts_at: float, now: float
) -> dict[str, Any]:
    """Return the row of a new incident."""
    return {
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
        "queued": False,
    }


def update(connection: sa.Connection, incident_id: int, now: float, **values: Any) -> None:
    """Change an incident."""
    statement = incidents.update().where(incidents.c.id == incident_id)
    connection.execute(statement.values(updated_at=now, **values))


def tell(connection: sa.Connection, incident_id: int, at: float, kind: str, text: str) -> None:
    """Add a line to the timeline that people read."""
    connection.execute(timeline.insert(), {"incident_id": incident_id, "at": at, "kind": kind, "text": text})


def tell_all(connection: sa.Connection, lines: Sequence[Mapping[str, Any]]) -> None:
    """Add lines to timelines, in this order."""
    if lines:
        connection.execute(timeline.insert(), list(lines))


def told_of(connection: sa.Connection, incident_id: int, kind: str) -> list[str]:
    """Return the timeline's lines of one kind, oldest first."""
    query = sa.select(timeline.c.text).where(timeline.c.incident_id == incident_id, timeline.c.kind == kind)
    return list(connection.execute(query.order_by(timeline.c.id)).scalars())


def wake_if_quiet(connection: sa.Connection, incident_ids: Collection[int], now: float) -> None:
    """Have incidents looked at once the last of their alerts has resolved; before that, their own clocks count."""
    for incident_id in incident_ids:
        if not still_firing(connection, incident_id):
            update(connection, incident_id, now, due_at=now)


def verifying(connection: sa.Connection) -> Sequence[sa.Row[Any]]:
    """Return the targets whose repair waits for its proof, and C(run), the last run on each."""
    run = sa.select(sa.func.max(runs.c.id)).where(runs.c.incident_id == incidents.c.id).scalar_subquery()
    query = sa.select(incidents, run.label("run")).where(incidents.c.state == IncidentState.verifying.value)
    return list(connection.execute(query.order_by(incidents.c.id)))


def look_again(connection: sa.Connection, incident_ids: Collection[int], now: float) -> None:
    """Have incidents looked at whose repair waits for its proof."""
    waits = incidents.c.id.in_(incident_ids) & (incidents.c.state == IncidentState.verifying.value)
    connection.execute(incidents.update().where(waits).values(due_at=now))


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
