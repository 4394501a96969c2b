# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a server out of traffic and wait until it has nothing in flight: the shell around policy.decide()."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Callable

from ..engines.protocol import Engine, EngineError
from ..engines.protocol import NotSupported as EngineCannot
from . import witnesses
from .policy import DrainProgress, DrainRules, DrainStep, PoolReading, decide
from .protocol import ACTIVE, Balancer, BalancerError, Count, Obstacle, PoolMember

_PUT_BACK_SECONDS = 30.0
_SAID_NO = ("denied", "refused", "unknown_backend", "unknown_server")


class Clock:
    """Seconds that only go forward."""

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass(frozen=True)
class DrainContext:
    """The server that a task drains or activates, with its balancer, its engine and the other engines of the pool."""

    balancer: Balancer
    server: str
    engine: Engine | None = None
    peers: Mapping[str, Engine] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)
    poll: float = 0.5


@dataclass
class DrainOutcome:
    """What a task returns. C(outcome): C(drained), C(leaving), C(active), C(queried), C(refused) or C(failed)."""

    outcome: str = "failed"
    changed: bool = False
    reasons: list[str] = field(default_factory=list)
    before: PoolMember | None = None
    after: PoolMember | None = None
    pool: tuple[PoolMember, ...] = ()
    in_flight_before: Count | None = None
    balancer: Count | None = None
    engine: Count | None = None
    aborted: bool = False
    obstacles: list[Obstacle] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return self.outcome in ("drained", "leaving", "active", "queried")


def drain(context: DrainContext, rules: DrainRules, check_mode: bool = False) -> DrainOutcome:
    """Drain the server unless it is drained. Errors of the balancer or the engine end up in the outcome."""
    return _Draining(context, rules, check_mode).run()


class _Draining:
    def __init__(self, context: DrainContext, rules: DrainRules, check_mode: bool) -> None:
        self._context, self._rules, self._check_mode = context, rules, check_mode
        self._began = context.clock.now()
        self._out_since = self._began
        self._incarnation: str | None = None
        self._progress = DrainProgress(context.server)
        self._outcome = DrainOutcome()
        self._noted_verbs: list[str] = []

    def run(self) -> DrainOutcome:
        look = self._read_pool()
        self._note_initial_state(look)
        step = self._next_step(look)
        while step.verb in ("drain", "wait", "abort"):
            if self._check_mode:
                return self._predicted_outcome(step)
            if step.verb == "drain":
                step = self._take_out()
                continue
            if step.verb == "abort":
                self._abort_requests()
            self._context.clock.sleep(self._context.poll)
            step = self._next_step(self._read_pool())
        return self._finish(step)

    def _read_pool(self) -> PoolReading:
        balancer, server = self._context.balancer, self._context.server
        engine = witnesses.engine_in_flight(self._context.engine)
        counted = balancer.in_flight(server)
        self._outcome.engine, self._outcome.balancer = engine, counted
        try:
            incarnation = balancer.incarnation()
            pool = witnesses.with_peers(balancer.members(), self._context.peers)
        except BalancerError as error:
            return PoolReading(None, counted, engine, unread=error.reason)
        self._incarnation = self._incarnation or incarnation
        self._outcome.pool = pool
        self._outcome.after = next((member for member in pool if member.name == server), None)
        return PoolReading(pool, counted, engine, restarted=incarnation != self._incarnation)

    def _note_initial_state(self, look: PoolReading) -> None:
        """Note the state of the server and the pool before this task changes anything."""
        self._outcome.before = self._outcome.after
        self._outcome.in_flight_before = look.balancer if look.balancer.value is not None else look.engine
        found = self._outcome.before
        told = found is not None and found.admin != ACTIVE and not found.pending
        self._progress = replace(self._progress, before=look.pool or (), told=told)

    def _next_step(self, look: PoolReading) -> DrainStep:
        now = self._context.clock.now()
        self._progress = replace(self._progress, seconds=now - self._began, out=now - self._out_since)
        step = decide(look, self._progress, self._rules)
        self._progress = replace(self._progress, quiet=self._progress.quiet + 1 if step.quiet else 0)
        self._note_reason(step)
        return step

    def _note_reason(self, step: DrainStep) -> None:
        """Keep one reason for each phase: the last."""
        if self._noted_verbs and self._noted_verbs[-1] == step.verb:
            self._outcome.reasons[-1] = step.reason
        else:
            self._noted_verbs.append(step.verb)
            self._outcome.reasons.append(step.reason)

    def _take_out(self) -> DrainStep:
        """Under the pool's lock: decide again, drain the server if that still holds, and read the pool once more."""
        balancer = self._context.balancer
        try:
            with balancer.exclusively():
                look = self._read_pool()
                if not self._progress.told:
                    self._progress = replace(self._progress, before=look.pool or ())
                step = self._next_step(look)
                if step.verb != "drain":
                    return step
                self._incarnation = balancer.incarnation()
                self._out_since = self._context.clock.now()
                self._drain_at_balancer()
                return self._next_step(self._read_pool())
        except BalancerError as error:
            return DrainStep("put_back" if self._progress.drained_here else "refuse", error.reason)

    def _drain_at_balancer(self) -> None:
        """Drain the server. After an error that is no clear refusal the task assumes that the drain took effect."""
        try:
            self._context.balancer.drain(self._context.server)
        except BalancerError as error:
            drained = self._progress.drained_here or error.kind not in _SAID_NO
            self._progress = replace(self._progress, told=drained, drained_here=drained)
            raise
        self._progress = replace(self._progress, told=True, drained_here=True)

    def _abort_requests(self) -> None:
        self._progress = replace(self._progress, aborted=True)
        if self._context.engine is None:
            self._progress = replace(self._progress, abort_refused="there is no engine_url to abort at")
            return
        try:
            self._context.engine.abort_all()
            self._outcome.aborted = self._outcome.changed = True
        except (EngineCannot, EngineError) as error:
            self._progress = replace(self._progress, abort_refused=f"what remains was not aborted: {error}")

    def _predicted_outcome(self, step: DrainStep) -> DrainOutcome:
        self._outcome.outcome = self._success_word()
        self._outcome.changed = step.verb == "drain"
        return self._outcome

    def _finish(self, step: DrainStep) -> DrainOutcome:
        outcome = self._outcome
        outcome.changed = outcome.changed or self._progress.drained_here
        outcome.outcome = {"done": self._success_word(), "refuse": "refused"}.get(step.verb, "failed")
        if not outcome.reasons or outcome.reasons[-1] != step.reason:
            outcome.reasons.append(step.reason)
        if step.verb == "put_back":
            outcome.reasons.append(self._put_back())
        outcome.seconds = round(self._context.clock.now() - self._began, 3)
        return outcome

    def _success_word(self) -> str:
        """Return the outcome of a success: "drained" only if the task waited for requests in flight."""
        return "drained" if self._rules.wait else "leaving"

    def _put_back(self) -> str:
        """Make the server active again if this task drained it. Returns what happened, in words."""
        context = self._context
        if not self._progress.drained_here:
            return f"{context.server} had been out of traffic before this task, and is left so"
        deadline = context.clock.now() + _PUT_BACK_SECONDS
        while True:
            try:
                with context.balancer.exclusively():
                    context.balancer.ready(context.server)
                self._outcome.after = context.balancer.state(context.server)
            except BalancerError as error:
                if error.kind == "denied" or context.clock.now() >= deadline:
                    return f"{context.server} could NOT be made active again: {error.reason}"
                context.clock.sleep(context.poll)
            else:
                was_active = self._outcome.before is not None and self._outcome.before.admin == ACTIVE
                self._outcome.changed = self._outcome.aborted or not was_active
                return f"{context.server} was made active again"


def wait_until(condition: Callable[[], bool], clock: Clock, seconds: float, poll: float) -> bool:
    """Whether the condition became true in time."""
    deadline = clock.now() + seconds
    while not condition():
        if clock.now() >= deadline:
            return False
        clock.sleep(poll)
    return True
