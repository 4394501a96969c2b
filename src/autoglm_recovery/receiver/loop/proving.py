# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an incident is over: by what was heard of its alerts, of Prometheus and of the service itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import sqlalchemy as sa
import structlog

from autoglm_recovery.receiver.decide.gather import situation
from autoglm_recovery.receiver.loop.turn import IncidentTurn
from autoglm_recovery.receiver.notify.ending import end_incident
from autoglm_recovery.receiver.observe.metrics import Metrics
from autoglm_recovery.receiver.observe.silences import NONE_ASKED, SilenceSnapshot
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store import runs
from autoglm_recovery.receiver.store.pauses import paused
from autoglm_recovery.receiver.store.runs import Lease
from autoglm_recovery.receiver.store.well import well_since
from autoglm_recovery.receiver.values.model import Decision, FaultMode, IncidentState, RunState, Verb
from autoglm_recovery.receiver.values.watchdog import WatchdogStretch
from autoglm_recovery.receiver.verify.checks import (
    LONGEST_PAUSE_S,
    LONGEST_WATCH_S,
    SHORTEST_PAUSE_S,
    has_to_wait,
    known_of,
    obstacle,
    pause,
    unheard_of,
)
from autoglm_recovery.receiver.verify.proof import NOT_ASKED, Proof
from autoglm_recovery.receiver.verify.proven import ProofFacts, ProofState, ProofVerdict, verdict

# Why it is watched that a service is well.
_FIRES_ON = "an alert fires on that would not tell if the same happened again"
_UNHEARD_OF = (
    "its alert was silenced while it was repaired, and Alertmanager cannot be relied on to say whether it ended"
)

log = structlog.get_logger()


@dataclass(frozen=True)
class LastHeard:
    """What Alertmanager and Prometheus have said: threads of their own ask, so that no decision waits."""

    silences: Callable[[], SilenceSnapshot] = lambda: NONE_ASKED
    proof: Callable[[int], Proof] = lambda _run: NOT_ASKED
    watchdog: Callable[[sa.Connection], WatchdogStretch] = lambda _connection: WatchdogStretch()


NOTHING_HEARD = LastHeard()


class Prover:
    """Resolves what is proven to be over, has the service asked where nothing tells, and goes on where it is not."""

    def __init__(self, lease: Lease, runs_directory: Path, metrics: Metrics, heard: LastHeard) -> None:
        self._lease = lease
        self._runs_directory = runs_directory
        self._metrics = metrics
        self._heard = heard

    def known(self, turn: IncidentTurn) -> ProofFacts:
        """Return what is known of whether the incident is over."""
        repertoire = turn.config.policy.repertoire
        heard = self._heard.watchdog(turn.connection)
        return known_of(turn.connection, turn.row, heard, self._verify_answer(turn), repertoire)

    def settles(self, turn: IncidentTurn, known: ProofFacts) -> bool:
        """Judge an incident that may be over, and act on that; return whether this was its turn.

        Where an alert fires on and nobody doubts it, there is nothing to judge: the incident is to be decided about.
        """
        if turn.row.state not in store.UNCERTAIN and known.alerts.fires:
            return False
        judged = verdict(known)
        if judged.word is ProofState.proven:
            self._resolve(turn, judged.said)
            return True
        if judged.word is ProofState.watched:
            # Well, and as good as over for those that wait for this one.
            self._release_explained(turn)
        if judged.word in (ProofState.unproven, ProofState.watched):
            self._ask_service(turn, known, judged)
            return True
        if turn.row.state in store.UNCERTAIN:
            self._continue_ladder(turn, known, judged.said)
            return True
        return False

    def leaves_to_a_person(self, turn: IncidentTurn, known: ProofFacts) -> None:
        """Look again at what a person has: without an alert nothing but another look tells whether it is over."""
        fires, now = known.alerts.fires, turn.now
        if not fires and known.fresh is not None and now >= known.fresh.ended_at + LONGEST_PAUSE_S:
            self._ask_service(turn, known, ProofVerdict(ProofState.unproven, "a person has it"))
            return
        turn.update(due_at=store.NEVER if fires else now + pause(known.alerts.told_at, now))

    def _verify_answer(self, turn: IncidentTurn) -> Proof | None:
        """Return what Prometheus says to ``verify`` of the class, or None where nothing was run or nothing is asked."""
        if turn.config.policy.recovery.strategy(turn.row.failure_class).expression is None:
            return None
        last = runs.newest(turn.connection, turn.row.id)
        return None if last is None else self._heard.proof(last.id)

    def _proof_deadline(self, turn: IncidentTurn, known: ProofFacts, *, watched: bool = False) -> float:
        """Return until when a proof is waited for before a person is called, or the next rung taken.

        News give it more time, but not for ever; and none where it is watched, which is since the first proof.
        """
        told_at = known.alerts.told_at
        if known.asked_at is not None:
            told_at = min(told_at, known.asked_at + LONGEST_WATCH_S)
        since = known.last_ended_at if known.alerts.denies else max(known.last_ended_at, told_at)
        if watched:
            since = known.well_at or known.last_ended_at
        counts_from = known.expression.counts_from if known.expression is not None else None
        within = turn.config.policy.recovery.strategy(turn.row.failure_class).resolve_within.total_seconds()
        return max(since, counts_from or since) + (max(within, LONGEST_WATCH_S) if watched else within)

    def _continue_ladder(self, turn: IncidentTurn, known: ProofFacts, said: str) -> None:
        """Go on with the ladder where the fault is there still: at once, or when a repair had its time."""
        row = turn.row
        last = runs.newest(turn.connection, row.id)
        patient = known.alerts.denies and row.state == IncidentState.verifying and known.last is RunState.succeeded
        patient = patient and not known.struck_again
        deadline = self._proof_deadline(turn, known)
        if patient and turn.now < deadline:
            turn.update(due_at=deadline)
            return
        if known.last is RunState.succeeded and unheard_of(turn.connection, row) and self._asks_first(turn, known):
            return
        # One that the service itself has proven did its work, whatever has happened since.
        proven = known.well_at is not None or known.struck_again
        if last is not None and last.state == RunState.succeeded and not proven:
            runs.update(turn.connection, last.id, state=RunState.unverified)
            if known.alerts.denies:
                in_time = "the playbook succeeded, but the alert did not resolve in time"
                said = in_time if patient else "the alert fires again, and nothing had proven that it was over"
        mode = row.fault_mode if last is None else FaultMode(row.fault_mode).after_a_run().value
        turn.update(state=IncidentState.open, fault_mode=mode, reason=said, due_at=turn.now)
        turn.tell("proof", said)

    def _asks_first(self, turn: IncidentTurn, known: ProofFacts) -> bool:
        """Have the service itself asked before the next rung, where the alert may have ended under a silence of ours.

        Return whether it is asked, or is well; not where it is not well, or cannot tell, so that the alert counts.
        """
        if known.expression is not None and known.expression.holds is None:
            # A Prometheus that does not answer is as good a reason as any to ask the service itself.
            known = replace(known, expression=None)
        if known.expression is None and known.fresh is None:
            cannot = obstacle(turn.connection, turn.row, turn.config)
            if cannot is not None and cannot != paused(turn.connection):
                return False
            if cannot is not None or has_to_wait(turn.connection, turn.row, turn.config):
                turn.update(due_at=turn.now + SHORTEST_PAUSE_S)
            else:
                self._begin_check_run(turn)
            return True
        judged = verdict(replace(known, alerts=replace(known.alerts, denied_at=None, ended_at=None)))
        if judged.word not in (ProofState.proven, ProofState.watched):
            return False
        self._release_explained(turn)
        self._ask_service(turn, known, ProofVerdict(ProofState.watched, judged.said))
        return True

    def _ask_service(self, turn: IncidentTurn, known: ProofFacts, judged: ProofVerdict) -> None:
        """Have the service itself asked where nothing else proves that it is well.

        Where it is well, and an alert fires on that would not tell if the same happened again, it is asked on and on.
        """
        row, now = turn.row, turn.now
        why, watched = judged.said, judged.word is ProofState.watched
        cannot = obstacle(turn.connection, row, turn.config) if known.expression is None else why
        check = known.fresh
        asked_at = max(known.last_ended_at, known.alerts.told_at)
        if check is not None and check.holds is None:
            why = f"{why}; its own probe: {check.said}"
        old = check is None or now >= check.ended_at + pause(asked_at, check.ended_at)
        if cannot is None and old and not has_to_wait(turn.connection, row, turn.config):
            self._begin_check_run(turn)
            return
        deadline = self._proof_deadline(turn, known, watched=watched)
        wait = SHORTEST_PAUSE_S if cannot is None and check is None else pause(asked_at, now)
        reason = f"nothing proves that it is over: {why}"
        if watched:
            reason = f"well{why}; it is watched, as {_UNHEARD_OF if known.alerts.denies else _FIRES_ON}"
            if check is not None and cannot is None:
                wait = max(SHORTEST_PAUSE_S, check.ended_at + pause(asked_at, check.ended_at) - now)
        elif known.expression is not None:
            reason = f"the alert has resolved; {why}"
        if known.expression is None and cannot is not None:
            reason = f"{reason}; {cannot}"
        if row.state == IncidentState.escalated:
            turn.update(due_at=now + wait)
        elif now < deadline:
            self._wait_for_proof(turn, known, reason, min(deadline, now + wait))
        else:
            self._leave_unproven(turn, reason, unverified=not watched)
            turn.update(due_at=now + wait)

    def _wait_for_proof(self, turn: IncidentTurn, known: ProofFacts, reason: str, due_at: float) -> None:
        state = turn.row.state if turn.row.state in store.UNCERTAIN else IncidentState.verifying
        turn.update(state=state, due_at=due_at, queued=False, explained_by=None)
        # The first answer is a moment away: until then there is nothing to tell.
        if turn.row.reason != reason and known.expression != NOT_ASKED:
            turn.update(reason=reason)
            turn.tell("proof", reason)

    def _leave_unproven(self, turn: IncidentTurn, reason: str, *, unverified: bool) -> None:
        """Leave an incident among what needs a person, and tell one; it is asked again, ever more seldom."""
        row = turn.row
        news = row.state != IncidentState.unproven
        if news:
            last = runs.newest(turn.connection, row.id)
            expected = turn.config.policy.recovery.strategy(row.failure_class).expression is not None
            if last is not None and last.state == RunState.succeeded and expected and unverified:
                runs.update(turn.connection, last.id, state=RunState.unverified)
            turn.tell("unproven", reason)
            log.error("incident unproven", incident=row.id, host=row.host, reason=reason)
        values = {"state": IncidentState.unproven, "reason": reason, "queued": False}
        turn.update(approved=False, explained_by=None, **values)
        if news:
            about = situation(turn.connection, row, turn.config, turn.now, self._heard.silences())
            turn.notify(Decision(Verb.escalate, reason), about, "escalated")

    def _begin_check_run(self, turn: IncidentTurn) -> None:
        """Begin a run that only reads."""
        row = turn.row
        launcher = turn.config.policy.launcher(row.failure_class)
        decision = Decision(Verb.run, "the alerts prove nothing; the service itself is asked", runs.CHECK)
        turn.create_run(decision, launcher, self._lease, self._runs_directory)
        state = row.state if row.state in (*store.UNCERTAIN, IncidentState.escalated) else IncidentState.verifying
        due_at = turn.now + turn.config.policy.timeout(row.failure_class, launcher).total_seconds() + SHORTEST_PAUSE_S
        turn.update(state=state, due_at=due_at, queued=False, explained_by=None)
        log.info("decided to check", incident=row.id, host=row.host)

    def _release_explained(self, turn: IncidentTurn) -> None:
        number = turn.row.id
        store.set_free(turn.connection, number, turn.now, f"incident {number}, which explained this one, is well")

    def _resolve(self, turn: IncidentTurn, seen: str) -> None:
        connection, row, now = turn.connection, turn.row, turn.now
        last = runs.newest(connection, row.id)
        took = min(now, well_since(connection, row.id) or now) - row.first_starts_at
        if last is None:
            text = f"the alert resolved before anything was started{seen}"
        elif last.state == RunState.succeeded:
            own = turn.config.policy.repertoire.proof(last.action) is not None
            text = f"{last.action} {'ended well' if own else 'proved its repair'} and the alert has resolved{seen}"
            self._metrics.verified(took)
        else:
            text = f"the alert has resolved{seen}, though the last run, {last.action}, {_end_in_words(last.state)}"
        turn.has_notices |= end_incident(connection, row, now, IncidentState.resolved, text)
        store.ask_again(connection, now, turn.config.policy.guardrails.max_concurrent_runs)
        turn.tell("resolved", f"{text}; {now - row.first_starts_at:.1f} s after it began")
        log.info("incident resolved", incident=row.id, host=row.host, reason=text)


def _end_in_words(state: str) -> str:
    words = {
        RunState.lost.value: "was cut off",
        RunState.unverified.value: "was not proven in time",
        RunState.kept_out.value: "was kept out by somebody at work on the host",
        RunState.not_launched.value: "was not launched",
    }
    return words.get(state, state)
