# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alerts that fire as far as was delivered, and what Alertmanager itself says of them.

Every function works in its caller's transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store import own_silences
from autoglm_recovery.receiver.store.schema import alerts, incidents
from autoglm_recovery.receiver.values.alerts import ABSENT
from autoglm_recovery.receiver.values.model import ENDED

# Of what was absent for longer Alertmanager has told by itself: it repeats what fires.
LOOKED_FOR_S = 86400.0
_COPIED = [column.name for column in alerts.c if column.name != "id"]


@dataclass(frozen=True)
class FiringAlert:
    """The newest news of an alert; ``active_at`` is when Alertmanager was seen to have it, None if never.

    It was first seen then, or first after ``silenced_until``, when a silence of ours had ended.
    """

    id: int
    fingerprint: str
    labels: Mapping[str, str]
    active_at: float | None
    silenced_until: float | None = None

    def unseen(self, at: float) -> bool:
        """Tell whether it is news that Alertmanager had it at a moment."""
        if self.active_at is None:
            return True
        return self.silenced_until is not None and self.active_at <= self.silenced_until < at


def firing(connection: sa.Connection) -> list[FiringAlert]:
    """Return the alerts of incidents that are going on whose newest news is that they fire."""
    newest = (
        sa.select(sa.func.max(alerts.c.id))
        .join(incidents, incidents.c.id == alerts.c.incident_id)
        .where(incidents.c.state.not_in([state.value for state in ENDED]))
        .group_by(alerts.c.incident_id, alerts.c.identity)
        .scalar_subquery()
    )
    return _fired(connection, alerts.c.id.in_(newest) & (alerts.c.status == "firing"))


def absent(connection: sa.Connection, now: float) -> list[FiringAlert]:
    """Return the alerts that were noted as absent not long ago, and of which nothing was told since."""
    lately = (alerts.c.outcome == ABSENT) & (alerts.c.committed_at > now - LOOKED_FOR_S)
    return _fired(connection, lately & _is_newest())


def _is_newest() -> sa.ColumnElement[bool]:
    later = alerts.alias()
    return sa.not_(sa.exists().where(later.c.identity == alerts.c.identity, later.c.id > alerts.c.id))


def _fired(connection: sa.Connection, which: sa.ColumnElement[bool]) -> list[FiringAlert]:
    silenced, query = own_silences.stood_until(connection), sa.select(alerts).where(which).order_by(alerts.c.id)
    return [
        FiringAlert(row.id, row.fingerprint, row.labels, row.active_at, silenced.get((row.incident_id, row.identity)))
        for row in connection.execute(query)
    ]


def note_active(connection: sa.Connection, numbers: Collection[int], now: float) -> None:
    """Note when Alertmanager had alerts: from then on it tells something that it lacks them."""
    if numbers:
        connection.execute(alerts.update().where(alerts.c.id.in_(numbers)).values(active_at=now))


def note_had(connection: sa.Connection, incident_id: int, identity: str, now: float) -> None:
    """Note that Alertmanager has the alert of a silence, where nobody has seen that before."""
    mine = (alerts.c.incident_id == incident_id) & (alerts.c.identity == identity)
    newest = sa.select(sa.func.max(alerts.c.id)).where(mine).scalar_subquery()
    which = (alerts.c.id == newest) & (alerts.c.status == "firing") & alerts.c.active_at.is_(None)
    connection.execute(alerts.update().where(which).values(active_at=now))


def note_absent(connection: sa.Connection, number: int, now: float) -> bool:
    """Note that Alertmanager lacks an alert, unless something was told of it since; return whether it was noted."""
    row = _newest(connection, number)
    if row is None or row.incident_id is None:
        return False
    why = "Alertmanager has it no longer, and did not deliver its end; that proves nothing"
    ended = {"status": "resolved", "outcome": ABSENT, "reason": why, "ends_at": None}
    _add(connection, row, now, **ended)
    text = f"{str(row.labels.get('alertname') or 'an alert without a name')[:200]}: {why}"
    store.tell(connection, row.incident_id, now, "alert", text)
    store.wake_if_quiet(connection, [row.incident_id], now)
    return True


def note_back(connection: sa.Connection, number: int, starts_at: float, now: float) -> bool:
    """Take an alert in again that was noted as absent and that Alertmanager has; return whether that is news."""
    row = _newest(connection, number)
    if row is None:
        return False
    fresh = {"status": "firing", "starts_at": starts_at, "outcome": "new", "reason": None, "incident_id": None}
    _add(connection, row, now, **fresh, failure_class=None, active_at=now)
    return True


def _newest(connection: sa.Connection, number: int) -> sa.Row[Any] | None:
    """Return an alert's row if it is still the newest that was told of it, by whomever."""
    return connection.execute(sa.select(alerts).where(alerts.c.id == number, _is_newest())).one_or_none()


def _add(connection: sa.Connection, row: sa.Row[Any], now: float, **changes: Any) -> None:
    # Never what a delivery's key would be: what is delivered later is no copy of this.
    key = hashlib.sha256(f"Alertmanager was asked after alert {row.id}".encode()).hexdigest()
    values = {name: getattr(row, name) for name in _COPIED}
    own = {"redelivery_key": key, "deliveries": 1, "committed_at": now}
    connection.execute(alerts.insert().values({**values, **own, **changes}))
