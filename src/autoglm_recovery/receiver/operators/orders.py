# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator may command about an incident or the fleet, and how the receiver carries it out."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.knowledge.host.plain import one_line
from autoglm_recovery.receiver.notify.ending import end_incident
from autoglm_recovery.receiver.store import audit, pauses, runs
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.values.model import ENDED, UNFINISHED, IncidentState
from autoglm_recovery.receiver.values.principal import Principal


class OperatorCommand(StrEnum):
    """What an operator may command about one incident, by the API, the console or the command line."""

    approve = "approve"
    reject = "reject"
    retry = "retry"
    close = "close"
    cancel = "cancel"


class CommandRefused(ValueError):
    """The incident's state does not allow the command; the text says why."""


_FROM = {
    OperatorCommand.approve: {IncidentState.held},
    OperatorCommand.reject: {IncidentState.held},
    OperatorCommand.retry: {IncidentState.held, IncidentState.escalated, IncidentState.unproven},
    OperatorCommand.close: set(IncidentState) - ENDED,
    OperatorCommand.cancel: {IncidentState.running},
}


def possible(state: IncidentState) -> tuple[OperatorCommand, ...]:
    """Return the orders that an incident in this state allows."""
    return tuple(order for order in OperatorCommand if state in _FROM[order])


def carry_out(database: Database, incident_id: int, order: OperatorCommand, by: Principal, comment: str = "") -> None:
    """Carry out an order, and write into the audit log who gave it, in one transaction; a refused one is written too.

    Raises KeyError if there is no such incident.
    Raises OrderRefused if its state does not allow the order.
    """
    try:
        with database.writing() as connection:
            _carry_out(connection, incident_id, order, by, comment)
            audit.record(connection, by, audit.AuditEntry(order, "done", incident_id, comment))
    except (KeyError, CommandRefused) as error:
        why = str(error) if isinstance(error, CommandRefused) else "there is no such incident"
        with database.writing() as connection:
            audit.record(connection, by, audit.AuditEntry(order, "refused", incident_id, comment, why))
        raise


def _carry_out(
    connection: sa.Connection, incident_id: int, order: OperatorCommand, by: Principal, comment: str
) -> None:
    now = time.time()
    row = store.incident(connection, incident_id)
    if row is None:
        raise KeyError(incident_id)
    if row.state not in _FROM[order]:
        allowed = ", ".join(sorted(_FROM[order]))
        raise CommandRefused(f"incident {incident_id} is {row.state}; {order} is for incidents that are {allowed}")
    said = f"{order} by {by}" + (f": {comment}" if comment else "")
    store.tell(connection, incident_id, now, "order", said)
    if order in (OperatorCommand.approve, OperatorCommand.retry):
        last = runs.newest(connection, incident_id)
        fresh = {"attempts_from": last.id if last else -1} if order is OperatorCommand.retry else {}
        store.update(connection, incident_id, now, state=IncidentState.open, approved=True, due_at=now, **fresh)
        return
    if order is OperatorCommand.cancel:
        # The run goes on until its supervisor, or AWX, has ended it; then the incident is a person's.
        _cancel(connection, incident_id, f"cancelled by {said.removeprefix('cancel by ')}")
        store.update(connection, incident_id, now, reason=f"being {said.replace('cancel', 'cancelled', 1)}")
        return
    if row.state == IncidentState.running:
        _cancel(connection, incident_id, f"the incident was closed by {by}")
    end_incident(connection, row, now, IncidentState.closed, said)
    store.tell(connection, incident_id, now, "closed", f"closed by {by}")


def _cancel(connection: sa.Connection, incident_id: int, why: str) -> None:
    """Ask whichever receiver follows the incident's run to end it; the host is free once it has ended."""
    last = runs.newest(connection, incident_id)
    if last is not None and last.state in UNFINISHED:
        runs.update(connection, last.id, cancel=why)


class PauseCommand(StrEnum):
    """What an operator may command about the whole fleet: begin no action, also after a restart, until resumed."""

    pause = "pause"
    resume = "resume"


def turn(database: Database, order: PauseCommand, by: Principal, comment: str = "") -> dict[str, Any]:
    """Turn the switch and return how it stands.  Runs under way go on to their end."""
    with database.writing() as connection:
        line = one_line(comment)
        pauses.turn(connection, paused=order is PauseCommand.pause, who=str(by), reason=line, now=time.time())
        audit.record(connection, by, audit.AuditEntry(order, "done", None, comment))
        return pause_state(connection)


def pause_state(connection: sa.Connection) -> dict[str, Any]:
    """Return how the switch stands: ``paused``, and ``since``, ``by``, ``reason`` of its last turn if there was one."""
    switch = pauses.newest(connection)
    if switch is None:
        return {"paused": False, "since": None, "by": None, "reason": None}
    since = datetime.fromtimestamp(switch.at, UTC).isoformat()
    return {"paused": switch.paused, "since": since, "by": switch.who, "reason": switch.reason}
