# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of alerts that were refused, one row a kind.  Every function works in its caller's transaction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from autoglm_recovery.receiver.store.schema import refusals

# Whoever may send alerts can invent kinds; what comes after so many is counted together.
MOST_KINDS = 500
OTHERS = "(other alerts)"
# A kind that was not seen for so long is new again.
FORGOTTEN_AFTER_S = 7 * 86400.0
UNREADABLE = "unreadable"


@dataclass(frozen=True)
class RefusedAlert:
    """An alert that was refused, in the words of ``target``, or one that could not be read (``UNREADABLE``)."""

    refused_as: str
    alert: str
    sender: str
    failure_class: str
    reason: str
    advice: str
    labels: Mapping[str, str]

    @property
    def kind(self) -> str:
        """Return what all alerts share that one person would repair at one place."""
        return _digest(self.refused_as, self.alert, self.sender)


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def note(connection: sa.Connection, refused: Iterable[RefusedAlert], now: float) -> None:
    """Count refused alerts by their kind, with the newest of each as the example."""
    counted: dict[str, tuple[RefusedAlert, int]] = {}
    for one in refused:
        counted[one.kind] = (one, counted.get(one.kind, (one, 0))[1] + 1)
    if not counted:
        return
    known = set(connection.execute(sa.select(refusals.c.kind)).scalars())
    settled: dict[str, tuple[RefusedAlert, int]] = {}
    for kind, (one, times) in counted.items():
        new = kind not in known
        if new and len(known) >= MOST_KINDS:
            # Others share one row, whatever they are.
            one_of_many = replace(one, alert=OTHERS, sender="")
            settled[one_of_many.kind] = (one_of_many, settled.get(one_of_many.kind, (one, 0))[1] + times)
            continue
        known.add(kind)
        settled[kind] = (one, times)
    # In the order of the keys, so that two receivers never wait for each other in a circle.
    for kind in sorted(settled):
        _count(connection, kind, *settled[kind], now)


def _count(connection: sa.Connection, kind: str, one: RefusedAlert, times: int, now: float) -> None:
    example = {**asdict(one), "labels": dict(one.labels), "last_at": now}
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert(refusals).values(**example, kind=kind, times=times, first_at=now)
    forgotten = refusals.c.last_at < now - FORGOTTEN_AFTER_S
    told_at = sa.case((forgotten, sa.null()), else_=refusals.c.told_at)
    again = {**example, "times": refusals.c.times + times, "told_at": told_at}
    connection.execute(statement.on_conflict_do_update(index_elements=["kind"], set_=again))


def untold(connection: sa.Connection) -> Sequence[sa.Row[Any]]:
    """Return the kinds of which nobody was told."""
    return connection.execute(sa.select(refusals).where(refusals.c.told_at.is_(None)).order_by(refusals.c.id)).all()


def told(connection: sa.Connection, numbers: Iterable[int], now: float) -> None:
    """Note that somebody was told, or that nobody wants to be."""
    connection.execute(refusals.update().where(refusals.c.id.in_([*numbers])).values(told_at=now))


def newest(connection: sa.Connection, most: int) -> Sequence[sa.Row[Any]]:
    """Return the kinds that were seen last."""
    query = sa.select(refusals).order_by(refusals.c.last_at.desc(), refusals.c.id.desc())
    return connection.execute(query.limit(most)).all()
