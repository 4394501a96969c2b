# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at an incident that is due: resolve it, decide about it, write down the decision, and begin a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog

from autoglm_recovery.policy.durations import format_duration
from autoglm_recovery.receiver.clock import Clock, wall
from autoglm_recovery.receiver.decide import decide
from autoglm_recovery.receiver.gather import situation
from autoglm_recovery.receiver.metrics import Metrics
from autoglm_recovery.receiver.model import ENDED, Decision, FaultMode, IncidentState, RunState, Verb
from autoglm_recovery.receiver.notices import write_notice
from autoglm_recovery.receiver.proof import NOT_ASKED, NOTHING_TO_PROVE, Proof
from autoglm_recovery.receiver.silences import NONE_ASKED, Silences
from autoglm_recovery.receiver.situation import Situation
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store import runs
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.store.runs import Lease
from autoglm_recovery.receiver.world import World

# How soon is asked again what waits for others.  The end of a run or of an incident wakes it before that; this is for
# what nobody sees: a policy that was changed, a host that left the inventory.
_ASK_AGAIN_S = 30.0

# Decided again although a person is waited for, because what is in the way may have gone.
_DECIDED_AGAIN = (IncidentState.open, IncidentState.waiting, IncidentState.held)

log = structlog.get_logger()

_STATE_OF = {Verb.wait: IncidentState.waiting, Verb.hold: IncidentState.held, Verb.escalate: IncidentState.escalated}

# Hears of each decision, within its transaction.
Decided = Callable[[World, Situation, Decision], None]


@dataclass(frozen=True)
class Others:
    """What Alertmanager and Prometheus were last heard to say: threads of their own ask, so that no decision waits."""

    silences: Callable[[], Silences] = lambda: NONE_ASKED
    proof: Callable[[int], Proof] = lambda _run: NOT_ASKED


class Dispatcher:
    """Turns due incidents into decisions, and decisions into run rows.  Launching the rows is C(follow)'s work."""

    def __init__(
        self,
        database: Database,
        lease: Lease,
        runs_directory: Path,
        metrics: Metrics,
        *,
        others: Others = Others(),
        notified: Callable[[], None] = lambda: None,
        decided: Decided = lambda _world, _situation, _decision: None,
        clock: Clock = wall,
    ) -> None:
        self._database = database
        self._lease = lease
        self._runs_directory = runs_directory
        self._metrics = metrics
        self._others = others
        self._notified = notified
        self._decided = decided
        self._clock = clock

    def step(self, incident_id: int, world: World) -> None:
        """Look at one incident, in one transaction.

        What is decided is worked out again if a power cut undoes it, except for a run: that is made sure to be on disk
        before anything can launch it.
        """
        now = self._clock()
        with self._database.noting() as connection:
            row = store.incident(connection, incident_id)
            if row is None or row.due_at > now or row.state in ENDED:
                return
            begun = self._look(connection, row, world, now)
        if begun:
            with self._database.writing() as connection:
                store.update(connection, incident_id, now)

    def _look(self, connection: sa.Connection, row: sa.Row[Any], world: World, now: float) -> bool:
        """Move one incident on; return whether a run was begun."""
        firing = store.still_firing(connection, row.id)
        if row.state == IncidentState.verifying:
            self._verify(connection, row, world, now, firing)
        elif not firing:
            self._resolve(connection, row, world, now)
        elif row.state in _DECIDED_AGAIN:
            return self._decide(connection, row, world, now)
        else:
            store.update(connection, row.id, now, due_at=store.NEVER)
        return False

    def _verify(self, connection: sa.Connection, row: sa.Row[Any], world: World, now: float, firing: bool) -> None:
        """Look at a repair that the playbook has proven: the alert has to resolve, and C(verify) to hold."""
        last = runs.newest(connection, row.id)
        assert last is not None  # noqa: S101 - it was a run's success that asks for a proof
        strategy = world.policy.recovery.strategy(row.failure_class)
        proof = NOTHING_TO_PROVE if strategy.expression is None else self._others.proof(last.id)
        deadline = last.ended_at + strategy.resolve_within.total_seconds()
        if not firing and proof.holds:
            seen = "" if strategy.expression is None else f", and verify holds: {proof.said}"
            self._resolve(connection, row, world, now, seen)
        elif now < deadline:
            store.update(connection, row.id, now, due_at=deadline)
            reason = f"the alert has resolved; verify has not been seen to hold: {proof.said}"
            # The first answer is a moment away: until then there is nothing to tell.
            if not firing and proof != NOT_ASKED and row.reason != reason:
                store.update(connection, row.id, now, reason=reason)
                store.tell(connection, row.id, now, "proof", reason)
        elif firing:
            self._not_verified(connection, row, last, now)
        else:
            runs.update(connection, last.id, state=RunState.unverified)
            # No higher rung without an alert: what is wrong, or whether anything is, is for a person to see.
            within = format_duration(strategy.resolve_within)
            reason = f"the alert has resolved, but verify did not hold within {within}: {proof.said}"
            known = situation(connection, row, world, now, self._others.silences())
            self._stand(connection, row, Decision(Verb.escalate, reason, last.action), known, world, now)

    def _resolve(self, connection: sa.Connection, row: sa.Row[Any], world: World, now: float, seen: str = "") -> None:
        last = runs.newest(connection, row.id)
        if last is None:
            text = "the alert resolved before anything was started"
        elif last.state == RunState.succeeded:
            text = f"{last.action} proved its repair and the alert has resolved{seen}"
            self._metrics.verified(now - row.first_starts_at)
        else:
            text = f"the alert has resolved, though the last run, {last.action}, {_told(last.state)}"
        store.end(connection, row.id, now, IncidentState.resolved, text)
        store.ask_again(connection, now, world.policy.guardrails.max_concurrent_runs)
        store.tell(connection, row.id, now, "resolved", f"{text}; {now - row.first_starts_at:.1f} s after it began")
        log.info("incident resolved", incident=row.id, host=row.host, reason=text)

    def _not_verified(self, connection: sa.Connection, row: sa.Row[Any], last: sa.Row[Any], now: float) -> None:
        if last.state == RunState.succeeded:
            runs.update(connection, last.id, state=RunState.unverified)
        store.update(
            connection, row.id, now, state=IncidentState.open, fault_mode=FaultMode.persistent.value, due_at=now
        )
        store.tell(connection, row.id, now, "proof", "the playbook succeeded, but the alert did not resolve in time")

    def _decide(self, connection: sa.Connection, row: sa.Row[Any], world: World, now: float) -> bool:
        if row.state == IncidentState.waiting and row.queued and _full(connection, world):
            # Of a storm a thousand wait for a place, and need not all be worked out again while none is free.
            store.update(connection, row.id, now, due_at=now + _ASK_AGAIN_S)
            return False
        known = situation(connection, row, world, now, self._others.silences())
        decision = decide(world.policy, known)
        self._decided(world, known, decision)
        if decision.verb is Verb.run:
            self._begin(connection, row, decision, world.policy.launcher(row.failure_class), now)
            return True
        self._stand(connection, row, decision, known, world, now)
        return False

    def _stand(
        self,
        connection: sa.Connection,
        row: sa.Row[Any],
        decision: Decision,
        known: Situation,
        world: World,
        now: float,
    ) -> None:
        """Write down a decision after which nothing runs."""
        state = _STATE_OF[decision.verb]
        if (row.state, row.reason) != (state, decision.reason):
            kind = {Verb.hold: "held", Verb.escalate: "escalated"}.get(decision.verb, "decided")
            store.tell(connection, row.id, now, kind, f"{decision.verb}: {decision.reason}")
            say = log.error if decision.verb is Verb.escalate else log.info
            say(f"decided to {decision.verb}", incident=row.id, host=row.host, reason=decision.reason)
        cause = known.explained_by.incident_id if decision.verb is Verb.hold and known.explained_by else None
        if decision.verb is Verb.escalate:
            # What a person approved has come to its end: whatever follows is asked for anew.
            store.update(connection, row.id, now, approved=False)
        held = {"state": state, "reason": decision.reason, "queued": decision.queued, "explained_by": cause}
        store.update(connection, row.id, now, **held, due_at=_due(decision, now))
        if row.state != state or (decision.asks and row.reason != decision.reason):
            self._call(connection, row, decision, known, world)

    def _call(
        self, connection: sa.Connection, row: sa.Row[Any], decision: Decision, known: Situation, world: World
    ) -> None:
        """Write a notice for a person, once for each time that one is needed."""
        occasion = "approval" if decision.asks else "escalated" if decision.verb is Verb.escalate else None
        if occasion and write_notice(connection, row, decision, known, world.policy, occasion):
            self._notified()

    def _begin(
        self, connection: sa.Connection, row: sa.Row[Any], decision: Decision, launcher: str, now: float
    ) -> None:
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
            launcher=launcher,
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
            queued=False,
            explained_by=None,
            due_at=store.NEVER,
        )
        service = f" for {row.service}" if row.service else ""
        store.tell(connection, row.id, now, "decided", f"run on {row.host}{service}: {decision.reason}")
        log.info("decided to run", incident=row.id, run=run_id, host=row.host, action=decision.action)
        if decision.attempt == 1:
            self._metrics.launched(now - row.first_starts_at)


def _full(connection: sa.Connection, world: World) -> bool:
    return len(runs.unfinished(connection)) >= world.policy.guardrails.max_concurrent_runs


def _due(decision: Decision, now: float) -> float:
    """Return when to look again.  What waits for a person waits for news."""
    if decision.verb is not Verb.wait:
        return store.NEVER
    until = decision.not_before or store.NEVER
    return min(until, now + _ASK_AGAIN_S) if decision.queued else until


def _told(state: str) -> str:
    return {RunState.lost.value: "was cut off"}.get(state, state)
