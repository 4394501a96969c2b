# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person may order about an incident, and what comes of it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.receiver.model import ENDED, IncidentState
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store import pauses, runs
from autoglm_recovery.receiver.store.database import Database


class Order(StrEnum):
    """The orders of the API and the command line."""

    approve = "approve"
    reject = "reject"
    retry = "retry"
    close = "close"


class OrderRefused(ValueError):
    """An order that does not fit the incident's state, and why."""


_FROM = {
    Order.approve: {IncidentState.held},
    Order.reject: {IncidentState.held},
    Order.retry: {IncidentState.held, IncidentState.escalated},
    Order.close: set(IncidentState) - ENDED - {IncidentState.running},
}


def carry_out(database: Database, incident_id: int, order: Order, who: str) -> None:
    """Carry out an order.

    :raises KeyError: if there is no such incident.
    :raises OrderRefused: if its state does not allow the order.
    """
    now = time.time()
    with database.writing() as connection:
        row = store.incident(connection, incident_id)
        if row is None:
            raise KeyError(incident_id)
        if row.state not in _FROM[order]:
            allowed = ", ".join(sorted(_FROM[order]))
            raise OrderRefused(f"incident {incident_id} is {row.state}; {order} is for incidents that are {allowed}")
        store.tell(connection, incident_id, now, "order", f"{order} by {who}")
        if order in (Order.approve, Order.retry):
            last = runs.newest(connection, incident_id)
            fresh = {"attempts_from": last.id if last else -1} if order is Order.retry else {}
            store.update(connection, incident_id, now, state=IncidentState.open, approved=True, due_at=now, **fresh)
            return
        store.end(connection, incident_id, now, IncidentState.closed, f"{order} by {who}")
        store.tell(connection, incident_id, now, "closed", f"closed by {who}")


def pause(database: Database, who: str, reason: str = "") -> None:
    """Stop all actions from now on: nothing is begun, until somebody resumes.  Runs under way go on to their end."""
    _turn(database, True, who, reason)


def resume(database: Database, who: str, reason: str = "") -> None:
    """Let actions be begun again."""
    _turn(database, False, who, reason)


def _turn(database: Database, paused: bool, who: str, reason: str) -> None:
    line = " ".join(reason.split())[:500]
    with database.writing() as connection:
        pauses.turn(connection, paused=paused, who=who, reason=line, now=time.time())


def pause_state(connection: sa.Connection) -> dict[str, Any]:
    """Return how the switch stands: C(paused), and C(since), C(by), C(reason) of its last turn if there was one."""
    switch = pauses.newest(connection)
    if switch is None:
        return {"paused": False, "since": None, "by": None, "reason": None}
    since = datetime.fromtimestamp(switch.at, UTC).isoformat()
    return {"paused": switch.paused, "since": since, "by": switch.who, "reason": switch.reason}
