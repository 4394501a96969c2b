# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read and write runs.  Every function works in its caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.receiver.model import UNFINISHED, Attempt, RunState
from autoglm_recovery.receiver.store.schema import incidents, runs

_UNFINISHED = runs.c.state.in_([state.value for state in UNFINISHED])


def unfinished(connection: sa.Connection) -> Sequence[sa.Row[Any]]:
    """Return the runs that are being launched or are going on."""
    return connection.execute(sa.select(runs).where(_UNFINISHED).order_by(runs.c.id)).all()


def create(connection: sa.Connection, **values: Any) -> int:
    """Begin a run and return its number, which is also its fencing token."""
    return int(connection.execute(runs.insert().returning(runs.c.id), values).scalar_one())


def update(connection: sa.Connection, run_id: int, **values: Any) -> None:
    """Change a run."""
    connection.execute(runs.update().where(runs.c.id == run_id).values(**values))


def attempts(connection: sa.Connection, incident_id: int, after: int) -> tuple[Attempt, ...]:
    """Return the ended runs of an incident with a number above C(after), oldest first."""
    query = (
        sa.select(runs)
        .where(runs.c.incident_id == incident_id, runs.c.id > after, sa.not_(_UNFINISHED))
        .order_by(runs.c.id)
    )
    return tuple(
        Attempt(action=row.action, state=RunState(row.state), ended_at=row.ended_at)
        for row in connection.execute(query)
    )


def newest(connection: sa.Connection, incident_id: int) -> sa.Row[Any] | None:
    """Return the last run of an incident."""
    query = sa.select(runs).where(runs.c.incident_id == incident_id).order_by(runs.c.id.desc()).limit(1)
    return connection.execute(query).one_or_none()


def of_incident(connection: sa.Connection, incident_id: int) -> Sequence[sa.Row[Any]]:
    """Return all runs of an incident, oldest first."""
    return connection.execute(sa.select(runs).where(runs.c.incident_id == incident_id).order_by(runs.c.id)).all()


def last_on_target(connection: sa.Connection, key: str) -> float | None:
    """Return when the last run on a target ended."""
    query = (
        sa.select(sa.func.max(runs.c.ended_at))
        .join(incidents, incidents.c.id == runs.c.incident_id)
        .where(incidents.c.target_key == key)
    )
    return connection.execute(query).scalar()


def count_on_host(connection: sa.Connection, host: str, since: float) -> int:
    """Count the runs that were started on a host."""
    query = sa.select(sa.func.count()).select_from(runs).where(runs.c.host == host, runs.c.started_at >= since)
    return int(connection.execute(query).scalar_one())
