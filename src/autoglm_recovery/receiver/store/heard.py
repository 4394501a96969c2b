# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the alert that always fires was last delivered, to whichever receiver of this database, and since when without
a gap."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from autoglm_recovery.receiver.store.schema import heard
from autoglm_recovery.receiver.values.watchdog import WatchdogStretch

WATCHDOG = "watchdog"
# Longer than its usual repeat with a delivery that fails. Where Prometheus is gone for longer than an alert lasts by
# itself, Alertmanager tells the Watchdog's end as well, see broken.
LONGEST_SILENCE_S = 300.0


def note(connection: sa.Connection, at: float) -> None:
    """Write down that the Watchdog was delivered.  Two receivers that are told at once wait for nobody else."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(heard).values(name=WATCHDOG, at=at, since=at)
    later = sa.case((heard.c.at > at, heard.c.at), else_=at)
    anew = heard.c.since.is_(None) | (at - heard.c.at > LONGEST_SILENCE_S)
    since = sa.case((anew, at), else_=heard.c.since)
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"at": later, "since": since}))


def broken(connection: sa.Connection) -> None:
    """Write down that the Watchdog has ended: whoever sent it had stopped, and so had its other alerts."""
    connection.execute(heard.update().where(heard.c.name == WATCHDOG).values(since=None))


def last(connection: sa.Connection) -> float:
    """Return when that was, and 0 where it never was."""
    return float(connection.execute(sa.select(heard.c.at).where(heard.c.name == WATCHDOG)).scalar() or 0.0)


def stretch(connection: sa.Connection) -> WatchdogStretch:
    """Return since when it has been delivered without a gap, and when it was last."""
    row = connection.execute(sa.select(heard.c.since, heard.c.at).where(heard.c.name == WATCHDOG)).one_or_none()
    return WatchdogStretch() if row is None or row.since is None else WatchdogStretch(row.since, row.at)
