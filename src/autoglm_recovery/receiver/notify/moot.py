# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a notice still says something that is true, looked at just before it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store import notices
from autoglm_recovery.receiver.values.model import ENDED, IncidentState

# Where the receiver goes on by itself.  Whenever a person is needed after that, another notice is written.
_GOES_ON: dict[str, str] = {
    IncidentState.open: "the receiver is at it again",
    IncidentState.waiting: "the receiver goes on by itself",
    IncidentState.running: "a run is under way",
    IncidentState.verifying: "a repair waits for its proof",
}
_ANOTHER_MATTER: dict[str, dict[str, str]] = {
    "escalated": {IncidentState.held: "the incident is held now, as the policy wants it"},
    "approval": dict.fromkeys(
        (IncidentState.escalated, IncidentState.unproven), "there is nothing to approve any more"
    ),
}


def why_moot(occasion: str, state: str, *, explained_by: int | None, newer: bool) -> str | None:
    """Return why nobody needs a notice any more, or None where it holds.  Pure.

    ``state`` and ``explained_by`` are the incident's as it stands now; ``newer`` says that a later notice of the same
    occasion was written about it.  A state that is not known here leaves the notice as it is.
    """
    if occasion not in notices.PAGES:
        return None
    if state in ENDED:
        return f"the incident is {state} already"
    if newer:
        return "a newer notice says how it stands"
    if state == IncidentState.held and explained_by is not None:
        return f"incident {explained_by} explains this one"
    return {**_GOES_ON, **_ANOTHER_MATTER[occasion]}.get(state)


def look_again(connection: sa.Connection, claimed: Sequence[sa.Row[Any]], now: float) -> list[sa.Row[Any]]:
    """Take out of claimed notices what need not be sent, and what cannot be sent yet; return the others."""
    return [notice for notice in claimed if _still_needed(connection, notice, now, {each.id for each in claimed})]


def _still_needed(connection: sa.Connection, notice: sa.Row[Any], now: float, ours: set[int]) -> bool:
    if notice.incident_id is None:
        return True
    incident = store.incident(connection, notice.incident_id)
    assert incident is not None  # noqa: S101 - a foreign key says so
    others = [other for other in notices.of_incident(connection, notice.incident_id) if other.id != notice.id]
    newer = any(other.id > notice.id and other.occasion == notice.occasion for other in others)
    why = why_moot(notice.occasion, incident.state, explained_by=incident.explained_by, newer=newer)
    if notice.occasion == "resolved":
        # Who is being paged at this moment must be told as well, and cannot be known before that has ended.
        if any(notices.in_flight(other, now) for other in others if other.id not in ours):
            notices.settle(connection, notice.id, due_at=now + notices.A_MOMENT_S)
            return False
        why = why or (None if notices.paged(others) else "nobody was told that it had begun")
    if why is None:
        return True
    notices.settle(connection, notice.id, given_up_at=now, error=f"not sent: {why}")
    store.tell(connection, notice.incident_id, now, "notified", f"notice {notice.id} was not sent: {why}")
    return False
