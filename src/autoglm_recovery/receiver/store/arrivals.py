# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read and settle the alerts that were stored and are to be taken in.  Every function works in its caller's
transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.receiver.store.schema import alerts
from autoglm_recovery.receiver.values.alerts import AlertDelivery

# Of what was told of one alert, the newest is looked at.
MOST_TOLD = 50


def new_alerts(connection: sa.Connection, most: int) -> Sequence[sa.Row[Any]]:
    """Return alerts that nobody has looked at, oldest first."""
    query = sa.select(alerts).where(alerts.c.outcome == "new").order_by(alerts.c.id).limit(most)
    return connection.execute(query).all()


def settle_alerts(connection: sa.Connection, settled: Sequence[Mapping[str, Any]]) -> None:
    """Note what became of alerts: ``id``, ``outcome``, ``reason``, ``failure_class`` and ``incident_id`` of each."""
    if settled:
        statement = alerts.update().where(alerts.c.id == sa.bindparam("alert_id"))
        connection.execute(statement, [{"alert_id": one["id"], **_without_id(one)} for one in settled])


def _without_id(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != "id"}


def told_before(connection: sa.Connection, identities: Collection[str], first: int) -> dict[str, list[AlertDelivery]]:
    """Return what was told of alerts before alert number ``first``, by identity, the newest of it."""
    rank = sa.func.row_number().over(partition_by=alerts.c.identity, order_by=alerts.c.id.desc()).label("rank")
    counts = alerts.c.outcome.in_(("joined", "ignored"))
    ranked = sa.select(alerts, rank).where(alerts.c.identity.in_(identities), counts, alerts.c.id < first).subquery()
    query = sa.select(ranked).where(ranked.c.rank <= MOST_TOLD).order_by(ranked.c.id)
    found: dict[str, list[AlertDelivery]] = {}
    for row in connection.execute(query) if identities else ():
        found.setdefault(row.identity, []).append(told(row))
    return found


def told(row: sa.Row[Any]) -> AlertDelivery:
    """Return what an alert's row tells, to be compared with others."""
    stream = (row.sender, row.group_key)
    return AlertDelivery(row.id, row.status, row.starts_at, row.ends_at, row.committed_at, stream)


def doubts_over(connection: sa.Connection, before: float) -> None:
    """Have alerts looked at again that were doubted and committed before a moment."""
    doubted = (alerts.c.outcome == "doubted") & (alerts.c.committed_at <= before)
    connection.execute(alerts.update().where(doubted).values(outcome="new"))


def any_doubted(connection: sa.Connection, before: float) -> bool:
    """Tell whether there is any such alert."""
    query = sa.select(sa.exists().where(alerts.c.outcome == "doubted", alerts.c.committed_at <= before))
    return bool(connection.execute(query).scalar())


def doubts_settled(connection: sa.Connection, ends: Collection[sa.Row[Any]]) -> None:
    """Settle as late what was doubted and whose own sender has told the end of it since."""
    for end_ in ends:
        same = (alerts.c.identity == end_.identity) & (alerts.c.sender == end_.sender)
        same &= (alerts.c.group_key == end_.group_key) & (alerts.c.id < end_.id) & (alerts.c.outcome == "doubted")
        why = "a copy from before its end, which came late"
        connection.execute(alerts.update().where(same).values(outcome="late", reason=why))
