# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Incidents whose service was found well, and which go on because an alert over a window still fires.

For all others they are as good as over: such a service is not out, explains nothing, and its repair has succeeded.
"""

from __future__ import annotations

import sqlalchemy as sa

from autoglm_recovery.receiver.store.runs import CHECK
from autoglm_recovery.receiver.store.schema import incidents, runs
from autoglm_recovery.receiver.values.model import UNFINISHED, IncidentState, RunState

_ENDED = runs.c.state.not_in([state.value for state in UNFINISHED])
_READ = (runs.c.action == CHECK) & (runs.c.state == RunState.succeeded.value)
# A verdict that is not there is not healthy: without the first, its comparison would be neither true nor false.
_HEALTHY = _READ & runs.c.verdict.is_not(None) & (runs.c.verdict == "healthy")
_last_ended = sa.select(sa.func.max(runs.c.id)).where(runs.c.incident_id == incidents.c.id, _ENDED)

# Of the row of incidents that a query is at: its service was asked last of all, and is well.
WELL = incidents.c.state.in_((IncidentState.verifying.value, IncidentState.unproven.value)) & sa.exists(
    sa.select(sa.literal(1)).where(runs.c.id == _last_ended.correlate(incidents).scalar_subquery(), _HEALTHY)
).correlate(incidents)


def well_since(connection: sa.Connection, incident_id: int) -> float | None:
    """Return since when every reading of an incident's service has found it well; None if the last run did not."""
    mine = (runs.c.incident_id == incident_id) & _ENDED
    other = sa.select(sa.func.coalesce(sa.func.max(runs.c.id), 0)).where(mine, sa.not_(_HEALTHY))
    query = sa.select(sa.func.min(runs.c.ended_at)).where(mine, runs.c.id > other.scalar_subquery())
    found: float | None = connection.execute(query).scalar()
    return found


def first_well(connection: sa.Connection, incident_id: int) -> float | None:
    """Return when an incident's service was first found well after the last run that was to repair it."""
    query = sa.select(sa.func.min(runs.c.ended_at)).where(_checks(incident_id), _ENDED, _HEALTHY)
    found: float | None = connection.execute(query).scalar()
    return found


def first_asked(connection: sa.Connection, incident_id: int) -> float | None:
    """Return when an incident's service was first asked after the last run that was to repair it."""
    query = sa.select(sa.func.min(runs.c.started_at)).where(_checks(incident_id))
    found: float | None = connection.execute(query).scalar()
    return found


def _checks(incident_id: int) -> sa.ColumnElement[bool]:
    """Of the runs that a query is at: a check since the last ended repair of an incident."""
    mine = runs.c.incident_id == incident_id
    repair = sa.select(sa.func.coalesce(sa.func.max(runs.c.id), 0)).where(mine, _ENDED, runs.c.action != CHECK)
    return mine & (runs.c.action == CHECK) & (runs.c.id > repair.scalar_subquery())
