# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The outbox of notices.  Every function works in its caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.receiver.store.schema import notices

_UNSENT = notices.c.sent_at.is_(None) & notices.c.given_up_at.is_(None)


def add(connection: sa.Connection, now: float, **values: Any) -> None:
    """Write a notice, to be sent from now on."""
    fresh = {"delivered": [], "attempts": 0, "created_at": now, "due_at": now}
    connection.execute(notices.insert(), {**fresh, **values})


def claim(connection: sa.Connection, now: float, until: float, most: int) -> Sequence[sa.Row[Any]]:
    """Take the notices that are due, oldest first; nobody else gets them before C(until), also if we die."""
    first = sa.select(notices.c.id).where(_UNSENT, notices.c.due_at <= now).order_by(notices.c.due_at, notices.c.id)
    locked = first.limit(most).with_for_update(skip_locked=True)  # SQLite has one writer, and ignores it
    claimed = notices.update().where(notices.c.id.in_(locked.scalar_subquery())).values(due_at=until)
    attempts = notices.c.attempts + 1
    taken = connection.execute(claimed.values(attempts=attempts).returning(notices)).all()
    return sorted(taken, key=lambda notice: int(notice.id))


def settle(connection: sa.Connection, notice_id: int, **values: Any) -> None:
    """Note what became of an attempt."""
    connection.execute(notices.update().where(notices.c.id == notice_id).values(**values))


def next_due(connection: sa.Connection) -> float | None:
    """Return when the next notice is due."""
    return connection.execute(sa.select(sa.func.min(notices.c.due_at)).where(_UNSENT)).scalar()
