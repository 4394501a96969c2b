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
INTERNAL = frozenset(
    {
        *("target_key", "due_at", "attempts_from", "redelivery_key", "cursor", "lease_until"),
        *("queued", "about", "delivered"),
    }
)


def list_incidents(
    connection: sa.Connection, state: str | None, most: int, failure_class: str | None = None, host: str | None = None
) -> list[dict[str, Any]]:
    """Return the newest incidents that are so, where anything is asked for."""
    query = sa.select(incidents).order_by(incidents.c.id.desc()).limit(most)
    for column, wanted in (("state", state), ("failure_class", failure_class), ("host", host)):
        if wanted:
            query = query.where(incidents.c[column] == wanted)
    return [_shown(row) for row in connection.execute(query).mappings()]


def show_incident(connection: sa.Connection, incident_id: int) -> dict[str, Any] | None:
    """Return one incident with everything about it, or None."""
    row = connection.execute(sa.select(incidents).where(incidents.c.id == incident_id)).mappings().one_or_none()
    if row is None:
        return None
    return {
        **_shown(row),
        "alerts": _of(connection, alerts, incident_id),
        "runs": _of(connection, runs, incident_id),
        "notices": _of(connection, notices, incident_id),
        # Lines are told in the order in which they were learnt; people read them in the order in which they happened.
        "timeline": sorted(_of(connection, timeline, incident_id), key=lambda line: line["at"]),
    }


def list_alerts(connection: sa.Connection, outcome: str | None, most: int) -> list[dict[str, Any]]:
    """Return the newest alerts, among them those that were refused."""
    query = sa.select(alerts).order_by(alerts.c.id.desc()).limit(most)
    if outcome:
        query = query.where(alerts.c.outcome == outcome)
    return [_shown(row) for row in connection.execute(query).mappings()]


def list_rejects(connection: sa.Connection, most: int) -> list[dict[str, Any]]:
    """Return what could not be read as an alert."""
    return [
        _shown(r) for r in connection.execute(sa.select(rejects).order_by(rejects.c.id.desc()).limit(most)).mappings()
    ]


def list_audit(connection: sa.Connection, most: int) -> list[dict[str, Any]]:
    """Return the newest rows of the audit log."""
    return [
        _shown(row) for row in connection.execute(sa.select(audit).order_by(audit.c.id.desc()).limit(most)).mappings()
    ]


def _of(connection: sa.Connection, table: sa.Table, incident_id: int) -> list[dict[str, Any]]:
    query = sa.select(table).where(table.c.incident_id == incident_id).order_by(table.c.id)
    return [_shown(row) for row in connection.execute(query).mappings()]


def _shown(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        key: datetime.fromtimestamp(value, UTC).isoformat() if key in TIMES and value is not None else value
        for key, value in row.items()
        if key not in INTERNAL
    }
