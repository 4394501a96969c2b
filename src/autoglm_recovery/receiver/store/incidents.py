# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read and write incidents and the alerts that belong to them.  Every function works in its caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.knowledge.faults.classes import STILL_SERVING
from autoglm_recovery.receiver.store.runs import ACTS
from autoglm_recovery.receiver.store.schema import alerts, incidents, runs, timeline
from autoglm_recovery.receiver.store.well import WELL
from autoglm_recovery.receiver.values.alerts import taken_together
from autoglm_recovery.receiver.values.model import ENDED, NO_ATTEMPT, Fault, FaultMode, IncidentState, Target

# When nothing but news from outside can move an incident.
NEVER = 1e12

# Where a proof is waited for.
UNCERTAIN = (IncidentState.verifying.value, IncidentState.unproven.value)

_ACTIVE = incidents.c.state.not_in([state.value for state in ENDED])


def _out(serving: Collection[str]) -> sa.ColumnElement[bool]:
    """Select what takes its target out of service: all but the classes with which it still serves."""
    return _ACTIVE & incidents.c.failure_class.not_in(sorted(serving)) & sa.not_(WELL)


def target_key(target: Target) -> str:
    """Identify the target: what has the same key shares one incident."""
    # A host name never holds a newline, so that two targets cannot be spelled alike.
    return f"{target.host}\n{target.service or ''}"


def active_incidents(connection: sa.Connection, keys: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return the incidents that are going on at targets, by target key."""
    query = sa.select(incidents).where(incidents.c.target_key.in_(keys), _ACTIVE)
    return {row["target_key"]: dict(row) for row in connection.execute(query).mappings()} if keys else {}


def incidents_of_alerts(connection: sa.Connection, identities: Collection[str]) -> dict[str, int]:
    """Return the active incident that each alert belongs to, for news that it has resolved."""
    query = (
        sa.select(alerts.c.identity, sa.func.max(incidents.c.id))
        .join(incidents, alerts.c.incident_id == incidents.c.id)
        .where(alerts.c.identity.in_(identities), _ACTIVE)
        .group_by(alerts.c.identity)
    )
    return {row[0]: row[1] for row in connection.execute(query)} if identities else {}


def acted_on(connection: sa.Connection, keys: Collection[str], since: float) -> set[tuple[str, str]]:
    """Return the targets, by key and failure class, on which something was run since a moment."""
    query = (
        sa.select(incidents.c.target_key, incidents.c.failure_class)
        .join(runs, runs.c.incident_id == incidents.c.id)
        .where(incidents.c.target_key.in_(keys), runs.c.started_at >= since, runs.c.state.not_in(NO_ATTEMPT), ACTS)
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
    set_free(connection, incident_id, now, f"incident {incident_id}, which explained this one, has ended: {reason}")


def set_free(connection: sa.Connection, incident_id: int, now: float, why: str) -> None:
    """Have those looked at again that an incident explained."""
    free = {"explained_by": None, "state": IncidentState.open.value, "due_at": now}
    held = (incidents.c.explained_by == incident_id) & (incidents.c.state == IncidentState.held.value)
    freed = connection.execute(incidents.update().where(held).values(**free).returning(incidents.c.id)).scalars().all()
    for child in freed:
        tell(connection, child, now, "decided", why)


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
    query = (
        sa.select(incidents)
        .where(incidents.c.host == host, incidents.c.service.is_(None), incidents.c.id != incident_id, _ACTIVE)
        .where(sa.not_(WELL))
    )
    return connection.execute(query.order_by(incidents.c.id)).all()


def firing(connection: sa.Connection, incident_id: int) -> Sequence[sa.Row[Any]]:
    """Return the alerts of an incident that fire: the latest news of each decides."""
    latest = (
        sa.select(sa.func.max(alerts.c.id))
        .where(alerts.c.incident_id == incident_id)
        .group_by(alerts.c.identity)
        .scalar_subquery()
    )
    query = sa.select(alerts).where(alerts.c.id.in_(latest), alerts.c.status == "firing").order_by(alerts.c.id)
    return connection.execute(query).all()


def times_fired(connection: sa.Connection, incident_id: int, since: float) -> int:
    """Return how often the most restless alert of an incident has fired, over all incidents."""
    mine = sa.select(alerts.c.identity).where(alerts.c.incident_id == incident_id).distinct().scalar_subquery()
    counts = (
        sa.select(sa.func.count(sa.distinct(alerts.c.starts_at)).label("fired"))
        .where(alerts.c.identity.in_(mine), alerts.c.status == "firing", alerts.c.committed_at >= since)
        .group_by(alerts.c.identity)
        .subquery()
    )
    return int(connection.execute(sa.select(sa.func.max(counts.c.fired))).scalar() or 0)


def out_of_service(
    connection: sa.Connection, pool: str, besides: int, serving: Collection[str] = STILL_SERVING
) -> set[tuple[str, str | None]]:
    """Return the hosts and services in a pool, and whole hosts of any, with incidents that take them out."""
    query = sa.select(incidents.c.host, incidents.c.service).where(
        _out(serving),
        (incidents.c.pool == pool) | incidents.c.service.is_(None),
        incidents.c.id != besides,
    )
    return {(row.host, row.service) for row in connection.execute(query)}


def hosts_out(connection: sa.Connection, serving: Collection[str] = STILL_SERVING) -> frozenset[str]:
    """Return the hosts with incidents that take something on them out of service."""
    query = sa.select(incidents.c.host).distinct().where(_out(serving))
    return frozenset(connection.execute(query).scalars())


def next_due(connection: sa.Connection) -> float | None:
    """Return when the next incident wants a look."""
    query = sa.select(sa.func.min(incidents.c.due_at)).where(incidents.c.state != IncidentState.running.value, _ACTIVE)
    return connection.execute(query).scalar()


def open_incidents(connection: sa.Connection, fresh: Sequence[Mapping[str, Any]]) -> list[int]:
    """Begin incidents and return their numbers, in the same order."""
    statement = incidents.insert().returning(incidents.c.id, sort_by_parameter_order=True)
    return list(connection.execute(statement, list(fresh)).scalars()) if fresh else []


def beginning(
    fault: Fault,
    target: Target,
    *,
    mode: FaultMode,
    root_cause: str,
    starts_at: float,
    now: float,
    cause: str | None = None,
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
        "cause": cause,
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
    """Have incidents looked at once none of their alerts tells that they go on; before that, their own clocks count."""
    for incident_id in incident_ids:
        if not taken_together(latest_news(connection, incident_id)).denies:
            update(connection, incident_id, now, due_at=now)


def verifying(connection: sa.Connection) -> Sequence[sa.Row[Any]]:
    """Return the incidents whose repair waits for its proof, with ``run``, the last on each, and ``run_ended_at``."""
    last = sa.select(sa.func.max(runs.c.id).label("id")).where(ACTS).group_by(runs.c.incident_id).subquery()
    query = sa.select(incidents, runs.c.id.label("run"), runs.c.ended_at.label("run_ended_at"))
    query = query.join(runs, runs.c.incident_id == incidents.c.id).join(last, last.c.id == runs.c.id)
    query = query.where(incidents.c.state.in_(UNCERTAIN))
    return list(connection.execute(query.order_by(incidents.c.id)))


def latest_news(connection: sa.Connection, incident_id: int) -> Sequence[sa.Row[Any]]:
    """Return the latest news of each alert of an incident."""
    latest = sa.select(sa.func.max(alerts.c.id)).where(alerts.c.incident_id == incident_id)
    query = sa.select(alerts).where(alerts.c.id.in_(latest.group_by(alerts.c.identity).scalar_subquery()))
    return connection.execute(query.order_by(alerts.c.id)).all()


def look_again(connection: sa.Connection, incident_ids: Collection[int], now: float) -> None:
    """Have incidents looked at whose repair waits for its proof."""
    waits = incidents.c.id.in_(incident_ids) & incidents.c.state.in_(UNCERTAIN)
    connection.execute(incidents.update().where(waits).values(due_at=now))


def earlier_actions(
    connection: sa.Connection, target: Target, failure_class: str, *, since: float, before: int | None = None
) -> dict[str, int]:
    """Return the actions that were run for this failure of this target in earlier incidents, and how often each."""
    query = (
        sa.select(runs.c.action, sa.func.count())
        .join(incidents, incidents.c.id == runs.c.incident_id)
        .where(
            incidents.c.target_key == target_key(target),
            incidents.c.failure_class == failure_class,
            runs.c.started_at >= since,
            runs.c.state.not_in(NO_ATTEMPT),
            ACTS,
        )
        .group_by(runs.c.action)
    )
    if before is not None:
        query = query.where(incidents.c.id < before)
    return {row[0]: row[1] for row in connection.execute(query)}
