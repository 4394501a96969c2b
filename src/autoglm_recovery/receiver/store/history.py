# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs of the past tell a decision.  Every function works in its caller's transaction."""

from __future__ import annotations

import sqlalchemy as sa

from autoglm_recovery.receiver.model import UNFINISHED, IncidentState, RunState
from autoglm_recovery.receiver.situation import PastRun
from autoglm_recovery.receiver.store.schema import incidents, runs

_GOING_ON = [state.value for state in UNFINISHED]


def gpu_actions(connection: sa.Connection, gpu: str, since: float) -> dict[str, int]:
    """Count the actions that were run for a GPU, on whatever host it was."""
    query = (
        sa.select(runs.c.action, sa.func.count())
        .join(incidents, incidents.c.id == runs.c.incident_id)
        .where(incidents.c.gpu == gpu, runs.c.started_at >= since)
        .group_by(runs.c.action)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def of_action(connection: sa.Connection, action: str, since: float, most: int) -> tuple[PastRun, ...]:
    """Return the newest runs of an action, newest first."""
    return _past(connection, runs.c.action == action, since, most)


def of_pool(connection: sa.Connection, pool: str, since: float, most: int) -> tuple[PastRun, ...]:
    """Return the newest runs in a pool, newest first."""
    return _past(connection, incidents.c.pool == pool, since, most)


def _past(connection: sa.Connection, which: sa.ColumnElement[bool], since: float, most: int) -> tuple[PastRun, ...]:
    """Runs that are going on, then those that have ended.

    A run that succeeded counts once its alert has resolved; before that, nobody knows.
    """
    base = sa.select(runs.c.state, runs.c.ended_at, incidents.c.state.label("incident_state")).join(
        incidents, incidents.c.id == runs.c.incident_id
    )
    going_on = base.where(which, runs.c.state.in_(_GOING_ON)).limit(most)
    ended = base.where(which, runs.c.ended_at >= since).order_by(runs.c.ended_at.desc()).limit(most)
    found = [PastRun(failed=False, pending=True, at=0.0) for _ in connection.execute(going_on)]
    for row in connection.execute(ended):
        succeeded = row.state == RunState.succeeded
        pending = succeeded and row.incident_state == IncidentState.verifying
        found.append(PastRun(failed=not succeeded, pending=pending, at=row.ended_at))
    return tuple(found)


def running_in_pool(connection: sa.Connection, pool: str) -> int:
    """Count the runs that are going on in a pool."""
    query = (
        sa.select(sa.func.count())
        .select_from(runs)
        .join(incidents, incidents.c.id == runs.c.incident_id)
        .where(incidents.c.pool == pool, runs.c.state.in_(_GOING_ON))
    )
    return int(connection.execute(query).scalar_one())
