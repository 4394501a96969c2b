# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How things stand, as the database knows it: figures that survive a restart and are the same from every replica."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from autoglm_recovery.receiver.store.schema import alerts, incidents, rejects, runs
from autoglm_recovery.receiver.values.model import ENDED, UNFINISHED


@dataclass(frozen=True)
class Backlog:
    """Counts, and the oldest of what waits as seconds since the epoch (None where nothing waits)."""

    incidents: dict[str, int]
    oldest_incident: dict[str, float]
    runs: dict[tuple[str, str], int]
    oldest_run: float | None
    alerts_waiting: int
    oldest_alert: float | None
    rejects: int


def standing(connection: sa.Connection) -> Backlog:
    """Ask in one transaction.  Ended incidents and runs are counted, and only what goes on has an age."""
    states = connection.execute(
        sa.select(incidents.c.state, sa.func.count(), sa.func.min(incidents.c.opened_at)).group_by(incidents.c.state)
    ).all()
    going_on = runs.c.state.in_([state.value for state in UNFINISHED])
    waiting = connection.execute(
        sa.select(sa.func.count(), sa.func.min(alerts.c.committed_at)).where(alerts.c.outcome == "new")
    ).one()
    counted = connection.execute(
        sa.select(runs.c.action, runs.c.state, sa.func.count()).where(going_on).group_by(runs.c.action, runs.c.state)
    ).all()
    return Backlog(
        incidents={state: count for state, count, _ in states},
        oldest_incident={state: opened for state, _, opened in states if state not in set(ENDED)},
        runs={(action, state): count for action, state, count in counted},
        oldest_run=connection.execute(sa.select(sa.func.min(runs.c.started_at)).where(going_on)).scalar(),
        alerts_waiting=waiting[0],
        oldest_alert=waiting[1],
        rejects=int(connection.execute(sa.select(sa.func.count()).select_from(rejects)).scalar_one()),
    )
