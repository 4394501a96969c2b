# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API and the command line show of incidents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.receiver.store.audit import audit
from autoglm_recovery.receiver.store.runs import CHECK, TOLD_OF_S, of_earlier_incidents
from autoglm_recovery.receiver.store.schema import alerts, incidents, notices, rejects, runs, timeline

TIMES = frozenset(
    {
        "at",
        "opened_at",
        "updated_at",
        "ended_at",
        "started_at",
        "starts_at",
        "ends_at",
        "committed_at",
        "received_at",
        "first_starts_at",
        "created_at",
        "sent_at",
        "given_up_at",
    }
)
# What belongs to an incident.
# Of what was tried about earlier incidents of a target, the newest is shown.
MOST_EARLIER = 20
PARTS = {"alerts": alerts, "runs": runs, "notices": notices, "timeline": timeline}
INTERNAL = frozenset(
    {
        *("target_key", "due_at", "attempts_from", "redelivery_key", "cursor", "lease_until"),
        *("queued", "about", "delivered", "attempted"),
    }
)


# Of what belongs to one incident: the first and the newest.  A storm may give it 100,000 alerts; the rest is asked for
# page by page.
FIRST_SHOWN, NEWEST_SHOWN = 100, 400


def list_incidents(
    connection: sa.Connection,
    state: str | None,
    most: int,
    failure_class: str | None = None,
    host: str | None = None,
    before: int | None = None,
) -> list[dict[str, Any]]:
    """Return the newest incidents that are so, where anything is asked for."""
    query = sa.select(incidents)
    for column, wanted in (("state", state), ("failure_class", failure_class), ("host", host)):
        if wanted:
            query = query.where(incidents.c[column] == wanted)
    return _newest(connection, incidents, query, most, before)


def show_incident(connection: sa.Connection, incident_id: int) -> dict[str, Any] | None:
    """Return one incident with everything about it, or None."""
    found = connection.execute(sa.select(incidents).where(incidents.c.id == incident_id)).one_or_none()
    if found is None:
        return None
    row = found._mapping
    parts = {name: _first_and_newest(connection, table, incident_id) for name, table in PARTS.items()}
    shown: dict[str, Any] = {name: rows for name, (rows, _) in parts.items()}
    # Lines are told in the order in which they were learnt; people read them in the order in which they happened.
    shown["timeline"].sort(key=lambda line: line["at"])
    # Nothing was tried yet only where no incident of this target has tried it.
    earlier = of_earlier_incidents(connection, found, found.opened_at - TOLD_OF_S)
    shown["earlier_runs"] = [_shown(run._mapping) for run in earlier[-MOST_EARLIER:]]
    return {**_shown(row), **shown, "left_out": {name: left_out for name, (_, left_out) in parts.items()}}


def list_part(
    connection: sa.Connection, part: str, incident_id: int, most: int, before: int | None
) -> list[dict[str, Any]] | None:
    """Return the newest of one of ``PARTS``, with numbers below ``before``; None if there is no such incident."""
    if connection.execute(sa.select(incidents.c.id).where(incidents.c.id == incident_id)).one_or_none() is None:
        return None
    return _newest(connection, PARTS[part], _belonging(PARTS[part], incident_id), most, before)


def list_alerts(
    connection: sa.Connection, outcome: str | None, most: int, before: int | None = None
) -> list[dict[str, Any]]:
    """Return the newest alerts, among them those that were refused."""
    query = sa.select(alerts)
    if outcome:
        query = query.where(alerts.c.outcome == outcome)
    return _newest(connection, alerts, query, most, before)


def list_rejects(connection: sa.Connection, most: int, before: int | None = None) -> list[dict[str, Any]]:
    """Return what could not be read as an alert."""
    return _newest(connection, rejects, sa.select(rejects), most, before)


def list_audit(connection: sa.Connection, most: int, before: int | None = None) -> list[dict[str, Any]]:
    """Return the newest rows of the audit log."""
    return _newest(connection, audit, sa.select(audit), most, before)


def _newest(
    connection: sa.Connection, table: sa.Table, query: sa.Select[Any], most: int, before: int | None
) -> list[dict[str, Any]]:
    if before is not None:
        query = query.where(table.c.id < before)
    return [_shown(row) for row in connection.execute(query.order_by(table.c.id.desc()).limit(most)).mappings()]


def _belonging(table: sa.Table, incident_id: int) -> sa.Select[Any]:
    query = sa.select(table).where(table.c.incident_id == incident_id)
    # What only reads is told of in the timeline.
    return query.where(table.c.action != CHECK) if table is runs else query


def _first_and_newest(connection: sa.Connection, table: sa.Table, incident_id: int) -> tuple[list[dict[str, Any]], int]:
    """Return the first and the newest of what belongs to an incident, oldest first, and how many lie between."""
    query = _belonging(table, incident_id)
    count = connection.execute(sa.select(sa.func.count()).select_from(query.subquery())).scalar_one()
    if count <= FIRST_SHOWN + NEWEST_SHOWN:
        return [_shown(row) for row in connection.execute(query.order_by(table.c.id)).mappings()], 0
    first = connection.execute(query.order_by(table.c.id).limit(FIRST_SHOWN)).mappings()
    newest = _newest(connection, table, query, NEWEST_SHOWN, None)
    return [*map(_shown, first), *reversed(newest)], count - FIRST_SHOWN - NEWEST_SHOWN


def _shown(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        key: datetime.fromtimestamp(value, UTC).isoformat() if key in TIMES and value is not None else value
        for key, value in row.items()
        if key not in INTERNAL
    }
