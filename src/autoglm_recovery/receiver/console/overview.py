# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first page: incidents that need a person, active and recent ones, and the receiver's own state."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.policy.own_watch import OwnWatch
from autoglm_recovery.receiver.console.filters import GROUPS
from autoglm_recovery.receiver.console.listing import Summary, failed_runs, summary
from autoglm_recovery.receiver.console.moments import moment
from autoglm_recovery.receiver.process.worker import WorkerTrouble
from autoglm_recovery.receiver.store.schema import alerts, incidents, refusals
from autoglm_recovery.receiver.store.standing import Backlog
from autoglm_recovery.receiver.values.model import ENDED

MOST_SHOWN = 25
RECENT = 10
WATCHDOG_LATE = OwnWatch().watchdog
REFUSED_LATELY_S = 86400

_ENDED = incidents.c.state.in_([state.value for state in ENDED])
# An incident that another one explains waits for that one, and not for a person.
_NEEDS_A_PERSON = incidents.c.state.in_(GROUPS["person"]) & incidents.c.explained_by.is_(None)


@dataclass(frozen=True)
class Health:
    """One line on the receiver's state.  ``at`` is the time that it refers to, ``link`` a page with the details."""

    name: str
    stands: str
    well: bool
    at: datetime | None = None
    link: str | None = None


@dataclass(frozen=True)
class Group:
    """Incidents of one kind: the first of them, and how many there are."""

    summaries: tuple[Summary, ...]
    count: int


@dataclass(frozen=True)
class Overview:
    """The contents of the first page."""

    person: Group
    going_on: Group
    recent: tuple[Summary, ...]
    health: tuple[Health, ...]
    ever: bool


@dataclass(frozen=True)
class Rows:
    """The rows that were read from the database."""

    person: Sequence[Any]
    persons: int
    going_on: Sequence[Any]
    goes_on: int
    recent: Sequence[Any]
    last_alert: float | None
    standing: Backlog
    refused: int = 0
    failed: Mapping[int, str] = field(default_factory=dict)


def ask(connection: sa.Connection, now: Backlog) -> Rows:
    """Read in one transaction.  Of incidents that need a person, escalations come first, then the longest waiting."""
    escalated_first = sa.case((incidents.c.state == "escalated", 0), else_=1)
    goes_on = ~_ENDED & ~_NEEDS_A_PERSON
    ended = sa.select(incidents).where(_ENDED).order_by(incidents.c.ended_at.desc(), incidents.c.id.desc())
    person = _first_rows(connection, _NEEDS_A_PERSON, escalated_first, incidents.c.id)
    going_on = _first_rows(connection, goes_on, incidents.c.id.desc())
    recent = connection.execute(ended.limit(RECENT)).all()
    return Rows(
        person=person,
        persons=persons_needed(connection),
        going_on=going_on,
        goes_on=_count_rows(connection, goes_on),
        recent=recent,
        failed=failed_runs(connection, [*person, *going_on, *recent]),
        last_alert=connection.execute(sa.select(sa.func.max(alerts.c.committed_at))).scalar(),
        standing=now,
        refused=_count_rows(connection, refusals.c.last_at > time.time() - REFUSED_LATELY_S, refusals),
    )


def persons_needed(connection: sa.Connection) -> int:
    """Count the incidents that need a person."""
    return _count_rows(connection, _NEEDS_A_PERSON)


def _first_rows(connection: sa.Connection, which: sa.ColumnElement[bool], *order: Any) -> Sequence[Any]:
    return connection.execute(sa.select(incidents).where(which).order_by(*order).limit(MOST_SHOWN)).all()


def _count_rows(connection: sa.Connection, which: sa.ColumnElement[bool], table: sa.Table = incidents) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(table).where(which)).scalar_one())


def overview(rows: Rows, health: tuple[Health, ...]) -> Overview:
    """Build the page."""
    return Overview(
        person=Group(tuple(summary(row, rows.failed) for row in rows.person), rows.persons),
        going_on=Group(tuple(summary(row, rows.failed) for row in rows.going_on), rows.goes_on),
        recent=tuple(summary(row, rows.failed) for row in rows.recent),
        health=health,
        ever=bool(rows.last_alert),
    )


def health(
    rows: Rows,
    *,
    loop_well: bool,
    watchdog_at: float,
    now: float,
    enough_disk: bool,
    kept_old: str | None,
    troubles: Sequence[WorkerTrouble] = (),
    watchdog_late: timedelta | None = WATCHDOG_LATE,
) -> tuple[Health, ...]:
    """Return the lines on the receiver's state, problems first.

    ``watchdog_late`` is the policy's limit for a missing Watchdog, None where no sender sends one.
    """
    waiting = rows.standing.alerts_waiting
    told = [
        Health("Acting", "incidents are worked on" if loop_well else "the loop that acts does not turn", loop_well),
        Health("Background work", "; ".join(map(str, troubles)) or "all of it goes on", well=not troubles),
        Health("Database", "answers", well=True),
        Health("Disk", "has room" if enough_disk else "is nearly full: alerts may not be stored", enough_disk),
        Health(
            "Alerts not yet looked at",
            str(waiting),
            # A storm is absorbed within seconds; a longer wait has another cause.
            well=rows.standing.oldest_alert is None or now - rows.standing.oldest_alert < 60,
            at=moment(rows.standing.oldest_alert),
        ),
        Health(
            "Last alert",
            "committed" if rows.last_alert else "none yet; point Alertmanager's webhook at /api/v1/alerts",
            well=True,
            at=moment(rows.last_alert),
        ),
        Health(
            "Refused alerts",
            f"{rows.refused} kinds of alerts within a day, about which nothing is done"
            if rows.refused
            else "none lately",
            well=not rows.refused,
            link="/refused" if rows.refused else None,
        ),
        _watchdog_health(watchdog_at, now, watchdog_late),
        Health("Policy and inventory", kept_old or "as they were last read", well=kept_old is None),
    ]
    return tuple(sorted(told, key=lambda line: line.well))


def _watchdog_health(at: float, now: float, silent_for: timedelta | None) -> Health:
    name = "Watchdog of Alertmanager"
    if silent_for is None:
        return Health(name, "is not waited for, by the policy", well=True)
    if not at:
        return Health(name, "never heard: nothing proves that alerts get here; see autoglm rules", well=False)
    late = now - at > silent_for.total_seconds()
    return Health(name, "has gone silent: alerts may not get here" if late else "heard", not late, moment(at))
