# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The outbox of notices.  Every function works in its caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.receiver.store.schema import notices

# What calls a person; the other occasions only tell.
PAGES = ("escalated", "approval")
# How soon is looked again at what waits for another sender.
A_MOMENT_S = 5.0

_UNSENT = notices.c.sent_at.is_(None) & notices.c.given_up_at.is_(None)


def add(connection: sa.Connection, now: float, **values: Any) -> None:
    """Write a notice, to be sent from now on."""
    fresh = {"delivered": [], "attempted": {}, "attempts": 0, "created_at": now, "due_at": now}
    connection.execute(notices.insert(), {**fresh, **values})


def claim(connection: sa.Connection, now: float, until: float, most: int) -> Sequence[sa.Row[Any]]:
    """Take the notices that are due, oldest first; nobody else gets them before ``until``, also if we die."""
    first = sa.select(notices.c.id).where(_UNSENT, notices.c.due_at <= now).order_by(notices.c.due_at, notices.c.id)
    locked = first.limit(most).with_for_update(skip_locked=True)  # SQLite has one writer, and ignores it
    claimed = notices.update().where(notices.c.id.in_(locked.scalar_subquery())).values(due_at=until)
    # Without an error it is known as one that is being sent, see in_flight.
    fresh = {"attempts": notices.c.attempts + 1, "error": None}
    taken = connection.execute(claimed.values(fresh).returning(notices)).all()
    return sorted(taken, key=lambda notice: int(notice.id))


def settle(connection: sa.Connection, notice_id: int, **values: Any) -> None:
    """Note what became of an attempt."""
    connection.execute(notices.update().where(notices.c.id == notice_id).values(**values))


def attempt(connection: sa.Connection, notice: sa.Row[Any], addresses: Iterable[str], until: float) -> None:
    """Write down, before it is done, that addresses are called; nobody else calls them about this before ``until``."""
    begun = dict.fromkeys(addresses, until)
    if begun:
        settle(connection, notice.id, attempted={**notice.attempted, **begun})


def answered(connection: sa.Connection, answers: Mapping[int, Mapping[str, str | None]]) -> dict[int, list[str]]:
    """Write down what addresses have answered, None where one has taken a notice; return who has each notice.

    It is added to what is there: others may have written since the notice was claimed.
    """
    found = {}
    for number, by_address in answers.items():
        row = connection.execute(sa.select(notices).where(notices.c.id == number)).one_or_none()
        if row is None:  # forgotten since
            continue
        took = [address for address, wrong in by_address.items() if wrong is None and address not in row.delivered]
        found[number] = [*row.delivered, *took]
        ended = {**row.attempted, **dict.fromkeys(by_address, 0.0)}
        settle(connection, number, delivered=found[number], attempted=ended)
    return found


def hurry(connection: sa.Connection, numbers: Collection[int], now: float) -> None:
    """Have notices that wait for another attempt be due now; what a sender has in its hands stays there."""
    waiting = _UNSENT & notices.c.error.is_not(None) & (notices.c.due_at > now)
    connection.execute(notices.update().where(notices.c.id.in_(numbers), waiting).values(due_at=now))


def next_due(connection: sa.Connection) -> float | None:
    """Return when the next notice is due."""
    return connection.execute(sa.select(sa.func.min(notices.c.due_at)).where(_UNSENT)).scalar()


def of_incident(connection: sa.Connection, incident_id: int) -> Sequence[sa.Row[Any]]:
    """Return all notices about an incident, oldest first."""
    query = sa.select(notices).where(notices.c.incident_id == incident_id).order_by(notices.c.id)
    return connection.execute(query).all()


def in_flight(notice: sa.Row[Any], now: float) -> bool:
    """Tell whether a sender has a notice in its hands at this moment."""
    unsettled = notice.sent_at is None and notice.given_up_at is None
    return bool(unsettled and notice.attempts and notice.error is None and notice.due_at > now)


def may_have_paged(notice: sa.Row[Any]) -> bool:
    """Tell whether somebody was called by a notice, or may be at this moment."""
    return notice.occasion in PAGES and bool(_called(notice) or (notice.given_up_at is None and notice.attempts))


def paged(written: Iterable[sa.Row[Any]]) -> set[str]:
    """Return the digests of the addresses that were called by notices, or may have been."""
    return {address for notice in written if notice.occasion in PAGES for address in _called(notice)}


def _called(notice: sa.Row[Any]) -> set[str]:
    # A call that did not end well, or whose end nobody saw, may have been heard all the same.
    return {*notice.delivered, *notice.attempted}


def paged_about(connection: sa.Connection, incident_ids: Collection[int]) -> dict[int, set[str]]:
    """Return the digests of the addresses that were called, by incident."""
    query = sa.select(notices).where(notices.c.incident_id.in_(incident_ids))
    found: dict[int, set[str]] = {number: set() for number in incident_ids}
    for notice in connection.execute(query):
        found[notice.incident_id] |= paged([notice])
    return found
