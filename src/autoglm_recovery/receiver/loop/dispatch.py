# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at an incident that is due: resolve it, decide about it, write down the decision, and begin a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
import structlog

from autoglm_recovery.receiver.decide.decide import decide
from autoglm_recovery.receiver.decide.gather import situation
from autoglm_recovery.receiver.fleet.site_config import SiteConfig
from autoglm_recovery.receiver.loop.proving import NOTHING_HEARD, LastHeard, Prover
from autoglm_recovery.receiver.loop.turn import IncidentTurn
from autoglm_recovery.receiver.observe.metrics import Metrics
from autoglm_recovery.receiver.observe.own_silences import MARGIN_S, may_be_silenced
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store import own_silences, runs
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.store.runs import Lease
from autoglm_recovery.receiver.values.clock import Clock, wall
from autoglm_recovery.receiver.values.model import ENDED, Decision, IncidentState, Verb
from autoglm_recovery.receiver.values.situation import Situation

# How soon is asked again what waits for others.  The end of a run or of an incident wakes it before that; this is for
# what nobody sees: a policy that was changed, a host that left the inventory.
_ASK_AGAIN_S = 30.0

# Decided again although a person is waited for, because what is in the way may have gone.
_DECIDED_AGAIN = (IncidentState.open, IncidentState.waiting, IncidentState.held)

log = structlog.get_logger()

_STATE_OF = {Verb.wait: IncidentState.waiting, Verb.hold: IncidentState.held, Verb.escalate: IncidentState.escalated}

# Hears of each decision, within its transaction.
Decided = Callable[[SiteConfig, Situation, Decision], None]


class Dispatcher:
    """Turns due incidents into decisions, and decisions into run rows.  Launching the rows is ``follow``'s work."""

    def __init__(
        self,
        database: Database,
        lease: Lease,
        runs_directory: Path,
        metrics: Metrics,
        *,
        heard: LastHeard = NOTHING_HEARD,
        notified: Callable[[], None] = lambda: None,
        decided: Decided = lambda _config, _situation, _decision: None,
        clock: Clock = wall,
    ) -> None:
        self._database = database
        self._lease = lease
        self._runs_directory = runs_directory
        self._metrics = metrics
        self._heard = heard
        self._prover = Prover(lease, runs_directory, metrics, heard)
        self._notified = notified
        self._decided = decided
        self._clock = clock

    def step(self, incident_id: int, config: SiteConfig) -> None:
        """Process one incident that is due, in one transaction.

        What is decided is worked out again if a power cut undoes it, except for a run: that is made sure to be on disk
        before anything can launch it.
        """
        now = self._clock()
        with self._database.noting() as connection:
            row = store.incident(connection, incident_id)
            if row is None or row.due_at > now or row.state in ENDED:
                return
            turn = IncidentTurn(connection, row, config, now)
            self._advance(turn)
        # After the commit: before that, the one who is woken would find an empty outbox and sleep on.
        if turn.has_notices:
            self._notified()
        if turn.begun:
            with self._database.writing() as connection:
                store.update(connection, incident_id, now)

    def _advance(self, turn: IncidentTurn) -> None:
        """Move one incident on."""
        known = self._prover.known(turn)
        if self._prover.settles(turn, known):
            return
        if turn.row.state in _DECIDED_AGAIN:
            self._decide(turn)
        else:
            self._prover.leaves_to_a_person(turn, known)

    def _decide(self, turn: IncidentTurn) -> None:
        if (
            turn.row.state == IncidentState.waiting
            and turn.row.queued
            and _no_run_slot_free(turn.connection, turn.config)
        ):
            # Of a storm a thousand wait for a place, and need not all be worked out again while none is free.
            turn.update(due_at=turn.now + _ASK_AGAIN_S)
            return
        known = situation(turn.connection, turn.row, turn.config, turn.now, self._heard.silences())
        decision = decide(turn.config.policy, known)
        self._decided(turn.config, known, decision)
        if decision.verb is Verb.run:
            self._begin_run(turn, decision)
        else:
            self._record_without_run(turn, decision, known)

    def _record_without_run(self, turn: IncidentTurn, decision: Decision, known: Situation) -> None:
        """Write down a decision after which nothing runs."""
        row, state = turn.row, _STATE_OF[decision.verb]
        if (row.state, row.reason) != (state, decision.reason):
            kind = {Verb.hold: "held", Verb.escalate: "escalated"}.get(decision.verb, "decided")
            turn.tell(kind, f"{decision.verb}: {decision.reason}")
            say = log.error if decision.verb is Verb.escalate else log.info
            say(f"decided to {decision.verb}", incident=row.id, host=row.host, reason=decision.reason)
        cause = known.explained_by.incident_id if decision.verb is Verb.hold and known.explained_by else None
        if decision.verb is Verb.escalate:
            # What a person approved has come to its end: whatever follows is asked for anew.
            turn.update(approved=False)
        held = {"state": state, "reason": decision.reason, "queued": decision.queued, "explained_by": cause}
        turn.update(**held, due_at=_next_look_at(decision, turn.now))
        occasion = _occasion_of(decision)
        # Once for each time that a person is needed.
        if occasion and (row.state != state or (decision.asks and row.reason != decision.reason)):
            turn.notify(decision, known, occasion)

    def _begin_run(self, turn: IncidentTurn, decision: Decision) -> None:
        row, policy, now = turn.row, turn.config.policy, turn.now
        launcher = policy.launcher(row.failure_class, decision.action)
        run_id = turn.create_run(decision, launcher, self._lease, self._runs_directory)
        if policy.silences_own:
            alerts = [alert for alert in store.firing(turn.connection, row.id) if may_be_silenced(alert.labels)]
            longest = policy.timeout(row.failure_class, launcher, decision.action).total_seconds()
            own_silences.plan(turn.connection, run_id, row.id, alerts, now + longest + MARGIN_S)
        turn.update(
            state=IncidentState.running,
            reason=decision.reason,
            approved=False,
            queued=False,
            explained_by=None,
            due_at=store.NEVER,
        )
        service = f" for {row.service}" if row.service else ""
        turn.tell("decided", f"run on {row.host}{service}: {decision.reason}")
        log.info("decided to run", incident=row.id, run=run_id, host=row.host, action=decision.action)
        if decision.attempt == 1:
            self._metrics.launched(now - row.first_starts_at)


def _occasion_of(decision: Decision) -> str | None:
    """Return the occasion on which people are told of a decision."""
    if decision.watched:
        return "digest"
    return "approval" if decision.asks else "escalated" if decision.verb is Verb.escalate else None


def _no_run_slot_free(connection: sa.Connection, config: SiteConfig) -> bool:
    acting = [run for run in runs.unfinished(connection) if run.action != runs.CHECK]
    return len(acting) >= config.policy.guardrails.max_concurrent_runs


def _next_look_at(decision: Decision, now: float) -> float:
    """Return when to look again.  What waits for a person waits for news."""
    if decision.verb is not Verb.wait:
        return store.NEVER
    until = decision.not_before or store.NEVER
    return min(until, now + _ASK_AGAIN_S) if decision.queued else until
