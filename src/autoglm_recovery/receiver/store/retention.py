# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is over for long goes, a piece at a time.  Every function works in its caller's transaction.

Deliveries wait for a writer on SQLite, so that no piece may take long: an incident may have 100,000 alerts.
"""

from __future__ import annotations

import sqlalchemy as sa

from autoglm_recovery.receiver.store.schema import alerts, incidents, notices, own_silences, rejects, runs, timeline
from autoglm_recovery.receiver.values.model import ENDED, UNFINISHED

PIECE = 1000
# Whoever may send could fill the disk within the time: of what belongs to no incident, no more than so many are kept.
MOST_KEPT = 200_000
_ENDED = [state.value for state in ENDED]
_UNFINISHED = [state.value for state in UNFINISHED]
# Nothing has become of these yet.
_WAITING = ("new", "doubted")


def forget_incidents(connection: sa.Connection, before: float, most: int = PIECE) -> int:
    """Remove a piece of the incidents that ended before a time; return how many rows went."""
    old = _old(connection, before)
    if not old:
        return 0
    for table in (alerts, timeline, notices, own_silences, runs):
        # The oldest first: an alert's end is the last of its rows to go, or it would seem to fire again.
        piece = sa.select(table.c.id).where(table.c.incident_id.in_(old)).order_by(table.c.id).limit(most)
        if gone := _remove(connection, table, piece):
            return gone
    return _remove(connection, incidents, sa.select(incidents.c.id).where(incidents.c.id.in_(old)))


def forget_loose_alerts(connection: sa.Connection, before: float, most: int = PIECE, kept: int = MOST_KEPT) -> int:
    """Remove a piece of the alerts that belong to no incident, the oldest first; return how many went."""
    # The end of an alert may have come after its incident's: without it that would seem to fire for ever.
    of_incidents = sa.select(alerts.c.identity).where(alerts.c.incident_id.is_not(None))
    newest = sa.select(sa.func.max(alerts.c.id)).where(alerts.c.identity.in_(of_incidents))
    needed = newest.group_by(alerts.c.identity)
    free = alerts.c.incident_id.is_(None) & alerts.c.outcome.not_in(_WAITING)
    loose = sa.select(alerts.c.id).where(free, alerts.c.id.not_in(needed))
    return _forget(connection, loose, alerts.c.committed_at, before, most, kept)


def forget_rejects(connection: sa.Connection, before: float, most: int = PIECE, kept: int = MOST_KEPT) -> int:
    """Remove a piece of what could not be read, the oldest first; return how many went."""
    return _forget(connection, sa.select(rejects.c.id), rejects.c.received_at, before, most, kept)


def _old(connection: sa.Connection, before: float, most: int = 100) -> list[int]:
    """Return incidents that are over for good: no run goes on, and none of their alerts fires still."""
    later = alerts.alias()
    fires = sa.exists().where(
        alerts.c.incident_id == incidents.c.id,
        alerts.c.status == "firing",
        ~sa.exists().where(later.c.identity == alerts.c.identity, later.c.id > alerts.c.id),
    )
    acts = sa.exists().where(runs.c.incident_id == incidents.c.id, runs.c.state.in_(_UNFINISHED))
    over = incidents.c.state.in_(_ENDED) & (incidents.c.ended_at < before)
    # SQLite gives the newest one's number again once that is gone, and notices and bundles have it in their names.
    newest = sa.select(sa.func.max(incidents.c.id)).scalar_subquery()
    query = sa.select(incidents.c.id).where(over, incidents.c.id < newest, ~fires, ~acts)
    return list(connection.execute(query.order_by(incidents.c.id).limit(most)).scalars())


def _forget(
    connection: sa.Connection, every: sa.Select[tuple[int]], at: sa.Column[float], before: float, most: int, kept: int
) -> int:
    """Remove a piece of ``every`` row: what came before a time, then what is too much."""
    table = at.table
    if gone := _remove(connection, table, every.where(at < before).order_by(table.c.id).limit(most)):
        return gone
    last_kept = every.order_by(table.c.id.desc()).offset(kept).limit(1).scalar_subquery()
    return _remove(connection, table, every.where(table.c.id <= last_kept).order_by(table.c.id).limit(most))


def _remove(connection: sa.Connection, table: sa.Table, piece: sa.Select[tuple[int]]) -> int:
    return connection.execute(table.delete().where(table.c.id.in_(piece))).rowcount
