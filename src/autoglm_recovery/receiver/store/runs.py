# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read and write runs.  Every function works in its caller's transaction.

What a receiver writes about a running run carries that receiver's claim (``RunClaim``): after another receiver has
taken the run over, the other claim has a higher fencing token, and the write is refused.

``key`` names a run over all databases, copies of this one among them: its number does not, once a database was lost,
restored or copied.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.receiver.store import fences
from autoglm_recovery.receiver.store.schema import incidents, runs
from autoglm_recovery.receiver.values.kept_out import KeptOut
from autoglm_recovery.receiver.values.model import NEVER_THERE, NO_ATTEMPT, UNFINISHED, Attempt, RunState

# The playbook that only reads: it repairs nothing, and counts nowhere as an action.
CHECK = "check_service"
ACTS = runs.c.action != CHECK

_UNFINISHED = runs.c.state.in_([state.value for state in UNFINISHED])

# The owner of runs of the first release, which had only one receiver.
NOBODY = ""


class Superseded(RuntimeError):
    """Another receiver has the run, or it has ended: nothing was written."""


@dataclass(frozen=True)
class RunClaim:
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


def claim_of(row: sa.Row[Any]) -> RunClaim:
    """Return the claim under which a run was read."""
    return RunClaim(row.id, row.owner, row.fence)


def unfinished(connection: sa.Connection) -> Sequence[sa.Row[Any]]:
    """Return the runs that are being launched or are going on."""
    return connection.execute(sa.select(runs).where(_UNFINISHED).order_by(runs.c.id)).all()


def new_key() -> str:
    """Return what names a run over all databases."""
    return uuid.uuid4().hex


def create(connection: sa.Connection, lease: Lease, **values: Any) -> int:
    """Begin a run as the lease's owner's, and return its number.  ``values`` holds its host."""
    fence = fences.give(connection, lease.clock, values["host"])
    own = {"key": new_key(), "cursor": 0, "fence": fence, "owner": lease.owner, "lease_until": lease.end}
    return int(connection.execute(runs.insert().values({**own, **values}).returning(runs.c.id)).scalar_one())


def update(connection: sa.Connection, run_id: int, **values: Any) -> None:
    """Change a run whoever has it: for its creation, for orders, and for judgements once it has ended."""
    connection.execute(runs.update().where(runs.c.id == run_id).values(**values))


def report(connection: sa.Connection, claim: RunClaim, **values: Any) -> None:
    """Change a run that goes on, as its owner.

    Raises Superseded if it is another's by now, or has ended.
    """
    mine = (runs.c.id == claim.run_id) & (runs.c.owner == claim.owner) & (runs.c.fence == claim.fence)
    if not connection.execute(runs.update().where(mine, _UNFINISHED).values(**values)).rowcount:
        raise Superseded(f"run {claim.run_id} is no longer held under fencing token {claim.fence}")


def cause(connection: sa.Connection, run_id: int) -> str | None:
    """Return why a run failed, in words for people, as far as its tasks told."""
    told: str | None = connection.execute(sa.select(runs.c.cause).where(runs.c.id == run_id)).scalar_one()
    return told


# What was done about earlier incidents of a target is told for so long.
TOLD_OF_S = 24 * 3600.0


def of_earlier_incidents(connection: sa.Connection, row: sa.Row[Any], since: float) -> Sequence[sa.Row[Any]]:
    """Return the runs of earlier incidents of the same target since a moment, oldest first."""
    query = (
        sa.select(runs)
        .join(incidents, incidents.c.id == runs.c.incident_id)
        .where(ACTS, incidents.c.target_key == row.target_key, incidents.c.id < row.id, runs.c.started_at >= since)
    )
    return connection.execute(query.order_by(runs.c.id)).all()


def cancelled(connection: sa.Connection, run_id: int) -> str | None:
    """Return why a run is to be ended, as it stands now, or None if nobody has asked for that."""
    why: str | None = connection.execute(sa.select(runs.c.cancel).where(runs.c.id == run_id)).scalar_one()
    return why


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


def take_over(connection: sa.Connection, run: sa.Row[Any], lease: Lease) -> RunClaim | None:
    """Claim a run whose lease is over with a higher fencing token; None if somebody was faster or it was renewed."""
    same = (runs.c.id == run.id) & (runs.c.fence == run.fence) & (runs.c.lease_until < lease.clock)
    return _claim(connection, lease, run.host, same)


def take_up(connection: sa.Connection, lease: Lease) -> list[RunClaim]:
    """Claim what this receiver had before it was restarted, and what nobody has.  Its state directory is proof."""
    mine = _UNFINISHED & runs.c.owner.in_((lease.owner, NOBODY))
    left = connection.execute(sa.select(runs.c.id, runs.c.host).where(mine).order_by(runs.c.id)).all()
    claims = [_claim(connection, lease, run.host, runs.c.id == run.id) for run in left]
    return [claim for claim in claims if claim is not None]


def _claim(connection: sa.Connection, lease: Lease, host: str, which: sa.ColumnElement[bool]) -> RunClaim | None:
    fence = fences.give(connection, lease.clock, host)
    values = {"owner": lease.owner, "fence": fence, "lease_until": lease.end}
    statement = runs.update().where(which, _UNFINISHED).values(values)
    row = connection.execute(statement.returning(runs.c.id, runs.c.owner, runs.c.fence)).one_or_none()
    return None if row is None else claim_of(row)


def attempts(connection: sa.Connection, incident_id: int, after: int) -> tuple[Attempt, ...]:
    """Return the ended runs of an incident with a number above ``after``, oldest first.

    One that the host refused, or that nobody launched, was no attempt at anything.
    """
    counted = sa.not_(_UNFINISHED) & runs.c.state.not_in(NO_ATTEMPT) & ACTS
    query = sa.select(runs).where(runs.c.incident_id == incident_id, runs.c.id > after, counted).order_by(runs.c.id)
    return tuple(
        Attempt(action=row.action, state=RunState(row.state), ended_at=row.ended_at)
        for row in connection.execute(query)
    )


def fenced_in_a_row(connection: sa.Connection, incident_id: int, after: int) -> int:
    """Count the last ended runs of an incident that the host refused because of a newer one, one after the other."""
    return sum(run.state == RunState.fenced for run in _refused_in_a_row(connection, incident_id, after))


def kept_out(connection: sa.Connection, incident_id: int, after: int) -> KeptOut | None:
    """Return what is known of the runs that the host's lock refused last, if the very last one is one of them."""
    refused_ = _refused_in_a_row(connection, incident_id, after)
    last = refused_[0] if refused_ else None
    if last is None or last.state != RunState.kept_out:
        return None
    those = [run for run in refused_ if run.state == RunState.kept_out]
    return KeptOut(last.host, str(last.held_by), len(those), those[-1].started_at, last.ended_at)


def _refused_in_a_row(connection: sa.Connection, incident_id: int, after: int) -> list[sa.Row[Any]]:
    """Return the last ended runs of an incident that were no attempts, newest first."""
    ended = connection.execute(
        sa.select(runs)
        .where(runs.c.incident_id == incident_id, runs.c.id > after, sa.not_(_UNFINISHED), ACTS)
        .order_by(runs.c.id.desc())
    )
    return list(itertools.takewhile(lambda run: run.state in NO_ATTEMPT, ended))


def held_by(connection: sa.Connection, run_id: int) -> str | None:
    """Return who was at work on the host, where its lock refused a run."""
    who: str | None = connection.execute(sa.select(runs.c.held_by).where(runs.c.id == run_id)).scalar_one()
    return who


def refused(connection: sa.Connection, run_id: int) -> str | None:
    """Return what the host said when it refused a run because a newer one had been there."""
    said: str | None = connection.execute(sa.select(runs.c.refused).where(runs.c.id == run_id)).scalar_one()
    return said


def newest(connection: sa.Connection, incident_id: int) -> sa.Row[Any] | None:
    """Return the last run of an incident that was to repair something."""
    query = sa.select(runs).where(runs.c.incident_id == incident_id, ACTS).order_by(runs.c.id.desc()).limit(1)
    return connection.execute(query).one_or_none()


def newest_check(connection: sa.Connection, incident_id: int) -> sa.Row[Any] | None:
    """Return the last reading of an incident's service."""
    query = sa.select(runs).where(runs.c.incident_id == incident_id, sa.not_(ACTS)).order_by(runs.c.id.desc())
    return connection.execute(query.limit(1)).one_or_none()


def of_incident(connection: sa.Connection, incident_id: int) -> Sequence[sa.Row[Any]]:
    """Return the runs of an incident that were to repair something, oldest first; its timeline tells of checks."""
    query = sa.select(runs).where(runs.c.incident_id == incident_id, ACTS).order_by(runs.c.id)
    return connection.execute(query).all()


def last_on_target(connection: sa.Connection, key: str) -> float | None:
    """Return when the last run on a target ended.  One that never got to work there was none."""
    query = (
        sa.select(sa.func.max(runs.c.ended_at))
        .join(incidents, incidents.c.id == runs.c.incident_id)
        .where(incidents.c.target_key == key, runs.c.state.not_in(NEVER_THERE), ACTS)
    )
    return connection.execute(query).scalar()


def count_on_host(connection: sa.Connection, host: str, since: float) -> int:
    """Count the runs that were started on a host, and neither kept out by somebody at work nor never launched."""
    which = (runs.c.host == host) & (runs.c.started_at >= since) & runs.c.state.not_in(NEVER_THERE) & ACTS
    query = sa.select(sa.func.count()).select_from(runs).where(which)
    return int(connection.execute(query).scalar_one())
