# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read and write runs.  Every function works in its caller's transaction.

What a receiver writes about a run that goes on says in which claim it does (C(Claim)): after another receiver has taken
the run over, its claim has a higher fencing token, and the write is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.receiver.model import UNFINISHED, Attempt, RunState
from autoglm_recovery.receiver.store.schema import fencing, incidents, runs

_UNFINISHED = runs.c.state.in_([state.value for state in UNFINISHED])

# The owner of runs of the first release, which had only one receiver.
NOBODY = ""


class Superseded(RuntimeError):
    """Another receiver has the run, or it has ended: nothing was written."""


@dataclass(frozen=True)
class Claim:
    """That a run is one receiver's, until somebody claims it with a higher fencing token."""

    run_id: int
    owner: str
    fence: int


@dataclass(frozen=True)
class Lease:
    """For whom runs are claimed, for how long, and the clock that says when that is over."""

    owner: str
    seconds: float
    clock: sa.ColumnElement[float]

    @property
    def end(self) -> sa.ColumnElement[float]:
        """Return when a lease that is given now ends."""
        return self.clock + self.seconds


def claim_of(row: sa.Row[Any]) -> Claim:
    """Return the claim under which a run was read."""
    return Claim(row.id, row.owner, row.fence)


def unfinished(connection: sa.Connection) -> Sequence[sa.Row[Any]]:
    """Return the runs that are being launched or are going on."""
    return connection.execute(sa.select(runs).where(_UNFINISHED).order_by(runs.c.id)).all()


def next_fence(connection: sa.Connection) -> int:
    """Return a fencing token that is higher than all before it."""
    statement = fencing.update().values(last=fencing.c.last + 1).returning(fencing.c.last)
    return int(connection.execute(statement).scalar_one())


def create(connection: sa.Connection, lease: Lease, **values: Any) -> int:
    """Begin a run as the lease's owner's, and return its number."""
    row = {"cursor": 0, "fence": next_fence(connection), "owner": lease.owner, "lease_until": lease.end, **values}
    return int(connection.execute(runs.insert().values(row).returning(runs.c.id)).scalar_one())


def update(connection: sa.Connection, run_id: int, **values: Any) -> None:
    """Change a run whoever has it: for its creation, for orders, and for judgements once it has ended."""
    connection.execute(runs.update().where(runs.c.id == run_id).values(**values))


def report(connection: sa.Connection, claim: Claim, **values: Any) -> None:
    """Change a run that goes on, as its owner.

    :raises Superseded: if it is another's by now, or has ended.
    """
    mine = (runs.c.id == claim.run_id) & (runs.c.owner == claim.owner) & (runs.c.fence == claim.fence)
    if not connection.execute(runs.update().where(mine, _UNFINISHED).values(**values)).rowcount:
        raise Superseded(f"run {claim.run_id} is no longer held under fencing token {claim.fence}")


def renew(connection: sa.Connection, lease: Lease) -> Sequence[sa.Row[Any]]:
    """Extend the lease of all runs that the owner still has; return them."""
    mine = runs.update().where(runs.c.owner == lease.owner, _UNFINISHED)
    return connection.execute(mine.values(lease_until=lease.end).returning(runs.c.id, runs.c.directory)).all()


def lapsed(connection: sa.Connection, lease: Lease) -> Sequence[sa.Row[Any]]:
    """Return the runs of others whose lease is over."""
    query = sa.select(runs).where(_UNFINISHED, runs.c.owner != lease.owner, runs.c.lease_until < lease.clock)
    return connection.execute(query.order_by(runs.c.id)).all()


def next_lapse(connection: sa.Connection, lease: Lease) -> float | None:
    """Return in how many seconds the first lease of another receiver ends if it is not renewed."""
    query = sa.select(sa.func.min(runs.c.lease_until) - lease.clock).where(_UNFINISHED, runs.c.owner != lease.owner)
    return connection.execute(query).scalar()


def take_over(connection: sa.Connection, run: sa.Row[Any], lease: Lease) -> Claim | None:
    """Claim a run whose lease is over with a higher fencing token; None if somebody was faster or it was renewed."""
    same = (runs.c.id == run.id) & (runs.c.fence == run.fence) & (runs.c.lease_until < lease.clock)
    return _claim(connection, lease, same)


def take_up(connection: sa.Connection, lease: Lease) -> list[Claim]:
    """Claim what this receiver had before it was restarted, and what nobody has.  Its state directory is proof."""
    left = sa.select(runs.c.id).where(_UNFINISHED, runs.c.owner.in_((lease.owner, NOBODY))).order_by(runs.c.id)
    claims = [_claim(connection, lease, runs.c.id == run_id) for run_id in connection.execute(left).scalars()]
    return [claim for claim in claims if claim is not None]


def _claim(connection: sa.Connection, lease: Lease, which: sa.ColumnElement[bool]) -> Claim | None:
    values = {"owner": lease.owner, "fence": next_fence(connection), "lease_until": lease.end}
    statement = runs.update().where(which, _UNFINISHED).values(values)
    row = connection.execute(statement.returning(runs.c.id, runs.c.owner, runs.c.fence)).one_or_none()
    return None if row is None else claim_of(row)


def attempts(connection: sa.Connection, incident_id: int, after: int) -> tuple[Attempt, ...]:
    """Return the ended runs of an incident with a number above C(after), oldest first."""
    query = (
        sa.select(runs)
        .where(runs.c.incident_id == incident_id, runs.c.id > after, sa.not_(_UNFINISHED))
        .order_by(runs.c.id)
    )
    return tuple(
        Attempt(action=row.action, state=RunState(row.state), ended_at=row.ended_at)
        for row in connection.execute(query)
    )


def newest(connection: sa.Connection, incident_id: int) -> sa.Row[Any] | None:
    """Return the last run of an incident."""
    query = sa.select(runs).where(runs.c.incident_id == incident_id).order_by(runs.c.id.desc()).limit(1)
    return connection.execute(query).one_or_none()


def of_incident(connection: sa.Connection, incident_id: int) -> Sequence[sa.Row[Any]]:
    """Return all runs of an incident, oldest first."""
    return connection.execute(sa.select(runs).where(runs.c.incident_id == incident_id).order_by(runs.c.id)).all()


def last_on_target(connection: sa.Connection, key: str) -> float | None:
    """Return when the last run on a target ended."""
    query = (
        sa.select(sa.func.max(runs.c.ended_at))
        .join(incidents, incidents.c.id == runs.c.incident_id)
        .where(incidents.c.target_key == key)
    )
    return connection.execute(query).scalar()


def count_on_host(connection: sa.Connection, host: str, since: float) -> int:
    """Count the runs that were started on a host."""
    query = sa.select(sa.func.count()).select_from(runs).where(runs.c.host == host, runs.c.started_at >= since)
    return int(connection.execute(query).scalar_one())
