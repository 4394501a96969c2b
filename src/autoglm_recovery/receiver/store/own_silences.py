# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The silences that receivers make: planned with the run, asked for, made, and ended.

Every function works in its caller's transaction.  A row is planned in the transaction that begins the run; ``asked_at``
is written before Alertmanager is asked, so that whoever finds the row knows that there may be a silence of its key.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.receiver.store.incidents import NEVER
from autoglm_recovery.receiver.store.schema import alerts, incidents, own_silences, runs
from autoglm_recovery.receiver.values.model import ENDED, UNFINISHED

_GOES_ON = runs.c.state.in_([state.value for state in UNFINISHED])


def plan(connection: sa.Connection, run_id: int, incident_id: int, fired: Iterable[Any], until: float) -> None:
    """Have alerts silenced for a run: rows of alerts, and when their silences are to end by themselves."""
    for alert in fired:
        known_by = {"fingerprint": alert.fingerprint, "identity": alert.identity}
        about = {**known_by, "alert": str(alert.labels.get("alertname"))[:200]}
        planned = {"key": uuid.uuid4().hex, "incident_id": incident_id, "run_id": run_id, "until": until}
        connection.execute(own_silences.insert().values(**planned, **about))


def not_ended(connection: sa.Connection) -> Sequence[sa.Row[Any]]:
    """Return what is planned or stands, with ``host``, ``action`` and ``owner`` of its run, and whether it
    ``goes_on``."""
    query = sa.select(own_silences, runs.c.host, runs.c.action, runs.c.owner, _GOES_ON.label("goes_on"))
    query = query.join(runs, runs.c.id == own_silences.c.run_id).where(own_silences.c.ended_at.is_(None))
    return connection.execute(query.order_by(own_silences.c.id)).all()


def labels_of(connection: sa.Connection, row: Any) -> Mapping[str, str]:
    """Return the labels with which the alert of a row was stored."""
    its = (alerts.c.incident_id == row.incident_id) & (alerts.c.identity == row.identity)
    query = sa.select(alerts.c.labels).where(its).order_by(alerts.c.id.desc()).limit(1)
    labels: Mapping[str, str] = connection.execute(query).scalar() or {}
    return labels


def ask(connection: sa.Connection, number: int, owner: str, now: float) -> bool:
    """Note that Alertmanager is asked for a silence now; false where its run has ended or is another's meanwhile."""
    run = sa.exists().where(runs.c.id == own_silences.c.run_id, runs.c.owner == owner, _GOES_ON)
    wanted = (own_silences.c.id == number) & own_silences.c.ended_at.is_(None) & own_silences.c.silence.is_(None)
    return bool(connection.execute(own_silences.update().where(wanted, run).values(asked_at=now)).rowcount)


def stood_until(connection: sa.Connection, incident_id: int | None = None) -> dict[tuple[int, str], float]:
    """Return until when each alert, by incident and identity, was silenced: for ever where its silence may stand."""
    end = sa.func.max(sa.func.coalesce(own_silences.c.ended_at, NEVER)).label("end")
    query = sa.select(own_silences.c.incident_id, own_silences.c.identity, end)
    query = query.join(incidents, incidents.c.id == own_silences.c.incident_id).where(
        own_silences.c.asked_at.is_not(None), incidents.c.state.not_in([state.value for state in ENDED])
    )
    if incident_id is not None:
        query = query.where(own_silences.c.incident_id == incident_id)
    by_alert = query.group_by(own_silences.c.incident_id, own_silences.c.identity)
    return {(row.incident_id, row.identity): row.end for row in connection.execute(by_alert)}


def made(connection: sa.Connection, number: int, silence: str) -> bool:
    """Note the silence that was made; false where the row was ended meanwhile, so that it has to be ended as well."""
    open_ = (own_silences.c.id == number) & own_silences.c.ended_at.is_(None)
    return bool(connection.execute(own_silences.update().where(open_).values(silence=silence, error=None)).rowcount)


def ended(connection: sa.Connection, number: int, now: float) -> bool:
    """Note that nothing of a row stands any more; false where somebody has done so before."""
    open_ = (own_silences.c.id == number) & own_silences.c.ended_at.is_(None)
    return bool(connection.execute(own_silences.update().where(open_).values(ended_at=now)).rowcount)


def failed(connection: sa.Connection, number: int, what: str, why: str) -> bool:
    """Note what did not succeed, and why; true where that is to be told: once for making, once for ending."""
    open_ = (own_silences.c.id == number) & own_silences.c.ended_at.is_(None)
    untold = sa.not_(sa.func.coalesce(own_silences.c.error, "").startswith(what))
    statement = own_silences.update().where(open_, untold).values(error=f"{what}: {why}")
    return bool(connection.execute(statement).rowcount)
