# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs of the past tell a decision.  Every function works in its caller's transaction."""

from __future__ import annotations

import sqlalchemy as sa

from autoglm_recovery.receiver.store.runs import ACTS
from autoglm_recovery.receiver.store.schema import incidents, runs
from autoglm_recovery.receiver.store.well import WELL
from autoglm_recovery.receiver.values.model import NO_ATTEMPT, UNFINISHED, IncidentState, RunState
from autoglm_recovery.receiver.values.situation import PastRun

_GOING_ON = [state.value for state in UNFINISHED]


def gpu_actions(connection: sa.Connection, gpu: str, since: float) -> dict[str, int]:
    """Count the actions that were run for a GPU, on whatever host it was."""
    query = (
        sa.select(runs.c.action, sa.func.count())
        .join(incidents, incidents.c.id == runs.c.incident_id)
        .where(incidents.c.gpu == gpu, runs.c.started_at >= since, runs.c.state.not_in(NO_ATTEMPT), ACTS)
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

    A run that succeeded counts once its alert has resolved, or its service was found well; before that, nobody knows.
    One that the host refused, or that nobody launched, says nothing of its action.
    """
    waits = incidents.c.state.in_((IncidentState.verifying.value, IncidentState.unproven.value)) & sa.not_(WELL)
    base = sa.select(runs.c.state, runs.c.ended_at, waits.label("waits")).join(
        incidents, incidents.c.id == runs.c.incident_id
    )
    base = base.where(ACTS)
    going_on = base.where(which, runs.c.state.in_(_GOING_ON)).limit(most)
    # What the host refused, what nobody launched and what a person has ended tell nothing about the action.
    ended = base.where(which, runs.c.state.not_in((*NO_ATTEMPT, RunState.cancelled)), runs.c.ended_at >= since)
    found = [PastRun(failed=False, pending=True, at=0.0) for _ in connection.execute(going_on)]
    for row in connection.execute(ended.order_by(runs.c.ended_at.desc()).limit(most)):
        succeeded = row.state == RunState.succeeded
        pending = bool(succeeded and row.waits)
        found.append(PastRun(failed=not succeeded, pending=pending, at=row.ended_at))
    return tuple(found)


def running_in_pool(connection: sa.Connection, pool: str) -> int:
    """Count the runs that are going on in a pool."""
    query = (
        sa.select(sa.func.count())
        .select_from(runs)
        .join(incidents, incidents.c.id == runs.c.incident_id)
        .where(incidents.c.pool == pool, runs.c.state.in_(_GOING_ON), ACTS)
    )
    return int(connection.execute(query).scalar_one())
