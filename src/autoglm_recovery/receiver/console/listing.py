# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of incidents: one line each, a page at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.knowledge.faults.classes import FAILURE_CLASSES
from autoglm_recovery.receiver.console.filters import Filter
from autoglm_recovery.receiver.console.findings import FAILED
from autoglm_recovery.receiver.console.moments import moment, took
from autoglm_recovery.receiver.store.runs import CHECK
from autoglm_recovery.receiver.store.schema import incidents, runs

A_PAGE = 50


@dataclass(frozen=True)
class Summary:
    """An incident in one line."""

    id: int
    state: str
    where: str
    pool: str | None
    failure_class: str
    mode: str
    root_cause: str
    cause: str | None
    reason: str
    began: datetime | None
    ended: datetime | None
    # From the first alert to the end.
    took: timedelta | None
    # How the last run ended, if it failed.
    failed: str | None = None


@dataclass(frozen=True)
class Listing:
    """A page of a list, and the addresses of its neighbours where there are any."""

    chosen: Filter
    wrong: tuple[str, ...]
    summaries: tuple[Summary, ...]
    older: str | None
    newer: str | None
    pools: tuple[str, ...]
    hosts: tuple[str, ...]
    classes: tuple[str, ...] = FAILURE_CLASSES


def where(host: str, service: str | None, gpu: str | None = None) -> str:
    """Return a target's name for people."""
    named = f"{service} on {host}" if service else host
    return f"{named}, {gpu}" if gpu else named


def failed_runs(connection: sa.Connection, rows: Iterable[Any]) -> dict[int, str]:
    """Return how the last run of each incident failed, for those whose last run did."""
    numbers = [row.id for row in rows]
    # A check of the service is no repair, so its end must not hide that the repair failed.
    repairs = runs.c.incident_id.in_(numbers) & (runs.c.action != CHECK)
    newest = sa.select(sa.func.max(runs.c.id)).where(repairs).group_by(runs.c.incident_id)
    of_these = sa.select(runs.c.incident_id, runs.c.state).where(runs.c.id.in_(newest))
    return {run.incident_id: run.state for run in connection.execute(of_these) if run.state in FAILED}


def summary(row: Any, failed: Mapping[int, str] = MappingProxyType({})) -> Summary:
    """Return the summary of a row; ``failed`` has the incidents whose last run failed."""
    began, ended = moment(row.first_starts_at), moment(row.ended_at)
    return Summary(
        id=row.id,
        state=row.state,
        where=where(row.host, row.service),
        pool=row.pool,
        failure_class=row.failure_class,
        mode=row.fault_mode,
        root_cause=row.root_cause,
        cause=row.cause,
        reason=row.reason,
        began=began,
        ended=ended,
        took=took(began, ended) if began and ended else None,
        failed=failed.get(row.id),
    )


def select(chosen: Filter) -> sa.Select[Any]:
    """Return the query of a filter, newest first, without paging."""
    query = sa.select(incidents).order_by(incidents.c.id.desc())
    if chosen.states:
        query = query.where(incidents.c.state.in_(chosen.states))
    for column, wanted in (
        (incidents.c.failure_class, chosen.failure_class),
        (incidents.c.host, chosen.host),
        (incidents.c.pool, chosen.pool),
    ):
        if wanted:
            query = query.where(column == wanted)
    return query.where(_mentions(chosen.text)) if chosen.text else query


def _mentions(text: str) -> sa.ColumnElement[bool]:
    """Return the condition that a text of an incident contains these words; a number also matches the incident's."""
    c = incidents.c
    held = [
        column.icontains(text, autoescape=True)
        for column in (c.root_cause, c.cause, c.reason, c.host, c.service, c.gpu, c.failure_class, c.pool)
    ]
    number = text.removeprefix("#")
    if number.isascii() and number.isdigit() and len(number) < 19:
        held.append(c.id == int(number))
    return sa.or_(*held)


def page(connection: sa.Connection, chosen: Filter, most: int = A_PAGE) -> tuple[Sequence[Any], bool, bool]:
    """Return the rows of a page, newest first, and whether there are older and newer ones."""
    query, c = select(chosen), incidents.c
    if chosen.after is not None:
        upwards = query.where(c.id > chosen.after).order_by(None).order_by(c.id).limit(most + 1)
        rows = list(connection.execute(upwards))
        return rows[:most][::-1], True, len(rows) > most
    if chosen.before is not None:
        query = query.where(c.id < chosen.before)
    rows = list(connection.execute(query.limit(most + 1)))
    return rows[:most], len(rows) > most, chosen.before is not None


def listing(
    page_of: tuple[Sequence[Any], bool, bool],
    chosen: Filter,
    wrong: tuple[str, ...],
    *,
    pools: Iterable[str],
    hosts: Collection[str],
    classes: Iterable[str] = FAILURE_CLASSES,
    failed: Mapping[int, str] = MappingProxyType({}),
) -> Listing:
    """Return a page of the list."""
    rows, is_older, is_newer = page_of
    return Listing(
        chosen=chosen,
        wrong=wrong,
        summaries=tuple(summary(row, failed) for row in rows),
        older=chosen.query(before=rows[-1].id, after=None) if rows and is_older else None,
        newer=chosen.query(after=rows[0].id, before=None) if rows and is_newer else None,
        # A chosen host or pool stays in the list of choices after it has left the inventory.
        pools=tuple(sorted({*pools, *filter(None, [chosen.pool])})),
        hosts=tuple(sorted({*hosts, *filter(None, [chosen.host])})),
        classes=tuple(classes),
    )
