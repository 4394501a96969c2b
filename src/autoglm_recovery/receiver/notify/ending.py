# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of an incident, and with it the notice to those who were called about it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from autoglm_recovery.receiver.notify import notices as texts
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store import notices
from autoglm_recovery.receiver.values.model import IncidentState


def end_incident(connection: sa.Connection, row: sa.Row[Any], now: float, state: IncidentState, reason: str) -> bool:
    """End an incident, in its caller's transaction; return whether there is a notice to send.

    A notice that it is over is written only where somebody was called about it; who that was is known when it is sent.
    """
    store.end(connection, row.id, now, state, reason)
    called = [notice for notice in notices.of_incident(connection, row.id) if notices.may_have_paged(notice)]
    if not called:
        return False
    notices.add(
        connection,
        now,
        incident_id=row.id,
        occasion="resolved",
        about=called[-1].about,
        title=texts.title_of("resolved", row),
        body=texts.over(row, state, reason, now),
    )
    store.tell(connection, row.id, now, "notified", "those who were called are told that it is over")
    return True
