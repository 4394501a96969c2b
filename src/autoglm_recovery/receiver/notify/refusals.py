# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One notice for each new kind of refused alert: what was refused, why, and what would make it acceptable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.knowledge.host.plain import plain
from autoglm_recovery.policy.model import Policy
from autoglm_recovery.receiver.store import notices, refusals
from autoglm_recovery.receiver.store.database import Database

OCCASION = "refused"
_MOST_LABELS = 20


def tell_of_refusals(database: Database, policy: Policy, now: float) -> bool:
    """Write notices about kinds that nobody was told of; return whether there is one to be sent."""
    with database.reading() as connection:
        if not refusals.untold(connection):
            return False
    written = False
    with database.writing() as connection:
        fresh = refusals.untold(connection)
        for row in fresh:
            written |= _write(connection, row, policy, now)
        refusals.told(connection, [row.id for row in fresh], now)
    return written


def _write(connection: sa.Connection, row: sa.Row[Any], policy: Policy, now: float) -> bool:
    severity = row.labels.get("severity")
    severities = [str(severity)[:100]] if severity else []
    about = {"failure_class": row.failure_class, "pool": None, "severities": severities}
    if not any(route.wants(OCCASION, **about) for route in policy.notify.routes):
        return False
    notices.add(
        connection,
        now,
        incident_id=None,
        occasion=OCCASION,
        about={**about, "reason": plain(row.reason)[:1000]},
        title=title(row),
        body="\n".join(_body(row, policy.notify.console)),
    )
    return True


def title(row: Any) -> str:
    """Return the one line that a phone shows."""
    return f"[autoglm] alert refused: {plain(row.alert)[:200]}, nothing is done about it"


def _body(row: Any, console: str | None) -> Iterator[str]:
    yield f"What:  {plain(row.alert)[:200]} ({row.failure_class}) was refused: {row.refused_as}"
    yield f"Why:   {plain(row.reason)[:1000]}"
    yield f"Would be accepted: {plain(row.advice)[:1000]}"
    yield ""
    yield "Its labels:"
    yield from (
        f"  {plain(name)[:100]}={plain(str(value))[:200]}" for name, value in sorted(row.labels.items())[:_MOST_LABELS]
    )
    yield ""
    yield "Others of this kind are counted and not told of one by one."
    if console:
        yield f"  {console}/refused"
    yield "  autoglm explain PAYLOAD.json -i INVENTORY   # what would be done about a payload"
