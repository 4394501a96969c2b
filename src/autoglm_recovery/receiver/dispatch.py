# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at an incident that is due: resolve it, decide about it, write down the decision, and begin a run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog

from autoglm_recovery.receiver.decide import Situation, decide
from autoglm_recovery.receiver.metrics import Metrics
from autoglm_recovery.receiver.model import Decision, FaultMode, IncidentState, RunState, Target, Verb
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store import runs
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.store.runs import Lease
from autoglm_recovery.receiver.world import World

# How soon a limit of the fleet is asked again; a run that ends wakes the waiting ones before that.
_ASK_AGAIN_S = 5.0

log = structlog.get_logger()

_STATE_OF = {Verb.wait: IncidentState.waiting, Verb.hold: IncidentState.held, Verb.escalate: IncidentState.escalated}


class Dispatcher:
    """Turns due incidents into decisions, and decisions into run rows.  Launching the rows is C(follow)'s work."""

    def __init__(self, database: Database, lease: Lease, runs_directory: Path, metrics: Metrics) -> None:
        self._database = database
        self._lease = lease
        self._runs_directory = runs_directory
        self._metrics = metrics

    def step(self, incident_id: int, world: World) -> None:
        """Look at one incident, in one transaction."""
        now = time.time()
        with self._database.writing() as connection:
            row = store.incident(connection, incident_id)
            if row is None or row.due_at > now:
                return
            if not store.still_firing(connection, row.id):
                self._resolve(connection, row, now)
            elif row.state == IncidentState.verifying:
                self._not_verified(connection, row, now)
            elif row.state in (IncidentState.open, IncidentState.waiting):
                self._decide(connection, row, world, now)
            else:
                store.update(connection, row.id, now, due_at=store.NEVER)

    def _resolve(self, connection: sa.Connection, row: sa.Row[Any], now: float) -> None:
        last = runs.newest(connection, row.id)
        if last is None:
            text = "the alert resolved before anything was started"
        elif last.state == RunState.succeeded:
            text = f"{last.action} proved its repair and the alert has resolved"
            self._metrics.verified(now - row.first_starts_at)
        else:
            text = f"the alert has resolved, though the last run, {last.action}, {_told(last.state)}"
        store.update(connection, row.id, now, state=IncidentState.resolved, reason=text, ended_at=now)
        store.tell(connection, row.id, now, "resolved", f"{text}; {now - row.first_starts_at:.1f} s after it began")
        log.info("incident resolved", incident=row.id, host=row.host, reason=text)

    def _not_verified(self, connection: sa.Connection, row: sa.Row[Any], now: float) -> None:
        last = runs.newest(connection, row.id)
        if last is not None and last.state == RunState.succeeded:
            runs.update(connection, last.id, state=RunState.unverified)
        store.update(
            connection, row.id, now, state=IncidentState.open, fault_mode=FaultMode.persistent.value, due_at=now
        )
        store.tell(connection, row.id, now, "proof", "the playbook succeeded, but the alert did not resolve in time")

    def _decide(self, connection: sa.Connection, row: sa.Row[Any], world: World, now: float) -> None:
        decision = decide(world.policy, situation(connection, row, world, now))
        if decision.verb is Verb.run:
            self._begin(connection, row, decision, now)
            return
        state = _STATE_OF[decision.verb]
        if (row.state, row.reason) != (state, decision.reason):
            kind = {Verb.hold: "held", Verb.escalate: "escalated"}.get(decision.verb, "decided")
            store.tell(connection, row.id, now, kind, f"{decision.verb}: {decision.reason}")
            say = log.error if decision.verb is Verb.escalate else log.info
            say(f"decided to {decision.verb}", incident=row.id, host=row.host, reason=decision.reason)
        due = (decision.not_before or now + _ASK_AGAIN_S) if decision.verb is Verb.wait else store.NEVER
        store.update(connection, row.id, now, state=state, reason=decision.reason, due_at=due)

    def _begin(self, connection: sa.Connection, row: sa.Row[Any], decision: Decision, now: float) -> None:
        assert decision.action is not None  # noqa: S101 - a decision to run names its action
        run_id = runs.create(
            connection,
            self._lease,
            incident_id=row.id,
            host=row.host,
            action=decision.action,
            attempt=decision.attempt,
            state=RunState.launching,
            reason=decision.reason,
            launcher="local",
            directory="",
            started_at=now,
        )
        runs.update(connection, run_id, directory=str(self._runs_directory / str(run_id)))
        store.update(
            connection,
            row.id,
            now,
            state=IncidentState.running,
            reason=decision.reason,
            approved=False,
            due_at=store.NEVER,
        )
        service = f" for {row.service}" if row.service else ""
        store.tell(connection, row.id, now, "decided", f"run on {row.host}{service}: {decision.reason}")
        log.info("decided to run", incident=row.id, run=run_id, host=row.host, action=decision.action)
        if decision.attempt == 1:
            self._metrics.launched(now - row.first_starts_at)


def situation(connection: sa.Connection, row: sa.Row[Any], world: World, now: float) -> Situation:
    """Gather what a decision about an incident may depend on."""
    target = Target(row.host, row.service, row.pool, row.gpu)
    going_on = runs.unfinished(connection)
    since = now - world.policy.recovery.persistent_within.total_seconds()
    # After a person's "retry" the past counts no more.
    earlier = (
        frozenset[str]()
        if row.attempts_from
        else store.earlier_actions(connection, target, row.failure_class, since=since, before=row.id)
    )
    return Situation(
        failure_class=row.failure_class,
        mode=FaultMode(row.fault_mode),
        target=target,
        opened_at=row.opened_at,
        now=now,
        playbooks=world.playbooks,
        attempts=runs.attempts(connection, row.id, row.attempts_from),
        earlier_actions=earlier,
        approved=row.approved,
        last_action_on_target_at=runs.last_on_target(connection, row.target_key),
        busy_with=next((run.incident_id for run in going_on if run.host == row.host), None),
        running=len(going_on),
        host_actions_last_hour=runs.count_on_host(connection, row.host, now - 3600),
    )


def _told(state: str) -> str:
    return {RunState.lost.value: "was cut off"}.get(state, state)
