# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions that a logout has ended, for as long as their cookies would be good otherwise; read by all replicas."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from autoglm_recovery.receiver.store.schema import ended_sessions as ended


def end(connection: sa.Connection, session: str, now: float, until: float) -> None:
    """Write down that a session is over, and forget those whose cookies have run out.  Twice is as good as once."""
    connection.execute(ended.delete().where(ended.c.until < now))
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    connection.execute(insert(ended).values(session=session, until=until).on_conflict_do_nothing())


def has_ended(connection: sa.Connection, session: str) -> bool:
    """Tell whether a session was ended."""
    return connection.execute(sa.select(ended.c.session).where(ended.c.session == session)).first() is not None
