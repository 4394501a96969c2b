# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first page: who needs a person, what goes on, what was, and how the receiver stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.receiver.console.filters import GROUPS
from autoglm_recovery.receiver.console.listing import Summary, summary
from autoglm_recovery.receiver.console.moments import moment
from autoglm_recovery.receiver.model import ENDED
from autoglm_recovery.receiver.store.schema import alerts, incidents
from autoglm_recovery.receiver.store.standing import Standing

MOST_SHOWN = 25
RECENT = 10
# Alertmanager says it again each minute (see the rules that C(autoglm rules) makes); five are worth a look.
WATCHDOG_LATE_S = 300

_ENDED = incidents.c.state.in_([state.value for state in ENDED])
# What another incident explains waits for that one, and not for a person.
_NEEDS_A_PERSON = incidents.c.state.in_(GROUPS["person"]) & incidents.c.explained_by.is_(None)


@dataclass(frozen=True)
class Health:
    """One line on how the receiver stands.  C(at) is a time that belongs to it."""

    name: str
    stands: str
    well: bool
    at: datetime | None = None


@dataclass(frozen=True)
class Group:
    """Incidents of one kind: the first of them, and how many there are."""

    summaries: tuple[Summary, ...]
    count: int


@dataclass(frozen=True)
class Overview:
    """What the first page shows."""

    person: Group
    going_on: Group
    recent: tuple[Summary, ...]
    health: tuple[Health, ...]
    ever: bool


@dataclass(frozen=True)
class Rows:
    """What was asked of the database."""

    person: Sequence[Any]
    persons: int
    going_on: Sequence[Any]
    goes_on: int
    recent: Sequence[Any]
    last_alert: float | None
    standing: Standing


def ask(connection: sa.Connection, now: Standing) -> Rows:
    """Ask in one transaction.  Where a person is needed, an escalation comes first, and the longest waiting."""
    escalated_first = sa.case((incidents.c.state == "escalated", 0), else_=1)
    goes_on = ~_ENDED & ~_NEEDS_A_PERSON
    ended = sa.select(incidents).where(_ENDED).order_by(incidents.c.ended_at.desc(), incidents.c.id.desc())
    return Rows(
        person=_first(connection, _NEEDS_A_PERSON, escalated_first, incidents.c.id),
        persons=persons_needed(connection),
        going_on=_first(connection, goes_on, incidents.c.id.desc()),
        goes_on=_count(connection, goes_on),
        recent=connection.execute(ended.limit(RECENT)).all(),
        last_alert=connection.execute(sa.select(sa.func.max(alerts.c.committed_at))).scalar(),
        standing=now,
    )


def persons_needed(connection: sa.Connection) -> int:
    """Count the incidents that need a person."""
    return _count(connection, _NEEDS_A_PERSON)


def _first(connection: sa.Connection, which: sa.ColumnElement[bool], *order: Any) -> Sequence[Any]:
    return connection.execute(sa.select(incidents).where(which).order_by(*order).limit(MOST_SHOWN)).all()


def _count(connection: sa.Connection, which: sa.ColumnElement[bool]) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(incidents).where(which)).scalar_one())


def overview(rows: Rows, health: tuple[Health, ...]) -> Overview:
    """Return what the page shows."""
    return Overview(
        person=Group(tuple(map(summary, rows.person)), rows.persons),
        going_on=Group(tuple(map(summary, rows.going_on)), rows.goes_on),
        recent=tuple(map(summary, rows.recent)),
        health=health,
        ever=bool(rows.last_alert),
    )


def health(
    rows: Rows, *, loop_well: bool, watchdog_at: float, now: float, enough_disk: bool, kept_old: str | None
) -> tuple[Health, ...]:
    """Say how the receiver stands, what is wrong first."""
    waiting = rows.standing.alerts_waiting
    told = [
        Health("Acting", "incidents are worked on" if loop_well else "the loop that acts does not turn", loop_well),
        Health("Database", "answers", well=True),
        Health("Disk", "has room" if enough_disk else "is nearly full: alerts may not be stored", enough_disk),
        Health(
            "Alerts not yet looked at",
            str(waiting),
            # A storm is absorbed within seconds; what waits longer waits for something.
            well=rows.standing.oldest_alert is None or now - rows.standing.oldest_alert < 60,
            at=moment(rows.standing.oldest_alert),
        ),
        Health(
            "Last alert",
            "committed" if rows.last_alert else "none yet; point Alertmanager's webhook at /api/v1/alerts",
            well=True,
            at=moment(rows.last_alert),
        ),
        _watchdog(watchdog_at, now),
        Health("Policy and inventory", kept_old or "as they were last read", well=kept_old is None),
    ]
    return tuple(sorted(told, key=lambda line: line.well))


def _watchdog(at: float, now: float) -> Health:
    name = "Watchdog of Alertmanager"
    if not at:
        return Health(name, "not heard since this receiver was started; see autoglm rules", well=True)
    late = now - at > WATCHDOG_LATE_S
    return Health(name, "has gone silent: alerts may not get here" if late else "heard", not late, moment(at))
