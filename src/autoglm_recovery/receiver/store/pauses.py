# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The switch that pauses all actions.  Every function works in its caller's transaction."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from autoglm_recovery.knowledge.host import clocks
from autoglm_recovery.receiver.store.schema import incidents, pauses


def newest(connection: sa.Connection) -> sa.Row[Any] | None:
    """Return the last turn of the switch, or None if nobody ever touched it."""
    return connection.execute(sa.select(pauses).order_by(pauses.c.id.desc()).limit(1)).one_or_none()


def paused(connection: sa.Connection) -> str | None:
    """Say who has paused all actions, or None where they go on."""
    switch = newest(connection)
    if switch is None or not switch.paused:
        return None
    since = clocks.in_words(switch.at)
    return f"all actions are paused since {since} by {switch.who}{f': {switch.reason}' if switch.reason else ''}"


def turn(connection: sa.Connection, *, paused: bool, who: str, reason: str, now: float) -> None:
    """Turn the switch, and have everything that waits looked at again where actions go on."""
    connection.execute(pauses.insert(), {"at": now, "paused": paused, "who": who, "reason": reason})
    if not paused:
        connection.execute(incidents.update().where(incidents.c.state == "waiting").values(due_at=now))
