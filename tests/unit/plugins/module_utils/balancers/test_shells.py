# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shells around the policy: what happens when a balancer or an engine fails in the middle."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.activation import (
    ActivationPlan,
    activate,
    ramp_weights,
)
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.draining import Clock, DrainContext, drain
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.policy import DrainRules
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.pool import MinimumActive
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.protocol import (
    BalancerError,
    BalancerNotSupported,
    Count,
    PoolMember,
    Weight,
)
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.witnesses import engine_in_flight, with_peers
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.protocol import NotSupported as EngineCannot
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.protocol import Reading, Stats
from hypothesis import given
from hypothesis import strategies as st

GONE = BalancerError("unreachable", "nobody answers")


class FastClock(Clock):
    """Time passes only when somebody waits; a test may do something at each moment."""

    def __init__(self, at: Callable[[float], None] = lambda _now: None) -> None:
        self.time, self._at = 0.0, at

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        self._at(self.time)


class MemoryBalancer:
    """A balancer that is a dictionary, and fails where it is told to."""

    name = "memory"

    def __init__(self, **members: PoolMember) -> None:
        self.pool = members or {name: PoolMember(name, "active", "up", 10) for name in ("a", "b")}
        self.counts = {"a": 0}
        self.fails: dict[str, list[Exception]] = {}
        self.weights: list[int] = []

    def members(self) -> tuple[PoolMember, ...]:
        self._fail("members")
        return tuple(self.pool.values())

    def state(self, server: str) -> PoolMember:
        return self.pool[server]

    def drain(self, server: str) -> None:
        self._fail("no")
        self.pool[server] = replace(self.pool[server], admin="drained")
        self._fail("drain")

    def ready(self, server: str) -> None:
        self._fail("ready")
        self.pool[server] = replace(self.pool[server], admin="active")

    def in_flight(self, server: str) -> Count:
        return Count(self.counts[server], "memory")

    def weight(self, server: str) -> Weight:
        return Weight(self.pool[server].weight or 0, 100)

    def set_weight(self, server: str, value: int) -> None:
        self.weights.append(value)
        self.pool[server] = replace(self.pool[server], weight=value)

    def incarnation(self) -> str:
        return "1"

    def exclusively(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def _fail(self, where: str) -> None:
        if self.fails.get(where):
            raise self.fails[where].pop(0)


class MadeUpEngine:
    """An engine that says what a test wants to hear."""

    name = "made up"

    def __init__(self, running: int | None = 0, kind: str = "answered", ready: bool | None = True) -> None:
        self.running, self.kind, self.is_ready = running, kind, ready
        self.can_abort = True

    def live(self) -> Reading:
        return Reading(True if self.kind == "answered" else None, self.kind, self.kind)

    def ready(self) -> Reading:
        return Reading(self.is_ready, "it says so", self.kind)

    def stats(self) -> Stats:
        return Stats(running=self.running, waiting=0, unread={"running": "no metrics"})

    def abort_all(self) -> None:
        if not self.can_abort:
            raise EngineCannot("it cannot abort")
        self.running = 0


RULES = DrainRules(MinimumActive(1), deadline=10, remaining_deadline=10)


def test_a_lost_answer_is_not_taken_for_a_no() -> None:
    balancer = MemoryBalancer()
    balancer.fails["drain"] = [GONE]  # it was done, and the answer did not come
    outcome = drain(DrainContext(balancer, "a", clock=FastClock()), RULES)
    assert outcome.outcome == "failed"
    assert outcome.changed is False
    assert balancer.pool["a"].admin == "active"
    assert outcome.reasons[-1] == "a was made active again"


def test_a_no_changes_nothing() -> None:
    balancer = MemoryBalancer()
    balancer.fails["no"] = [BalancerError("denied", "level admin is needed")]
    outcome = drain(DrainContext(balancer, "a", clock=FastClock()), RULES)
    assert (outcome.outcome, outcome.changed) == ("refused", False)


def test_what_cannot_be_put_back_is_tried_again_and_told() -> None:
    balancer = MemoryBalancer()
    balancer.counts["a"] = 1
    balancer.fails["ready"] = [GONE] * 5
    assert drain(DrainContext(balancer, "a", clock=FastClock()), RULES).reasons[-1] == "a was made active again"
    balancer.fails["ready"] = [GONE] * 1000
    outcome = drain(DrainContext(balancer, "a", clock=FastClock()), RULES)
    assert "could NOT be made active again: nobody answers" in outcome.reasons[-1]
    assert outcome.changed
    assert balancer.pool["a"].admin == "drained"


def test_a_balancer_that_goes_and_comes_back_is_waited_for() -> None:
    balancer = MemoryBalancer()
    balancer.counts["a"] = 1

    def at(now: float) -> None:
        if now == 1:
            balancer.fails["members"] = [GONE] * 3
        if now == 4:
            balancer.counts["a"] = 0

    outcome = drain(DrainContext(balancer, "a", clock=FastClock(at)), RULES)
    assert outcome.outcome == "drained", outcome.reasons


def test_a_pool_that_falls_below_gets_its_server_back() -> None:
    balancer = MemoryBalancer()
    balancer.counts["a"] = 1

    def at(now: float) -> None:
        if now == 2:
            balancer.pool["b"] = replace(balancer.pool["b"], health="down")

    outcome = drain(DrainContext(balancer, "a", clock=FastClock(at)), RULES)
    assert outcome.outcome == "failed"
    assert balancer.pool["a"].admin == "active"
    assert outcome.seconds == 2


@pytest.mark.parametrize(("can_abort", "result"), [(True, "drained"), (False, "failed")])
def test_what_remains_is_aborted_where_the_engine_can(can_abort: bool, result: str) -> None:
    engine = MadeUpEngine(running=2)
    engine.can_abort = can_abort
    balancer = MemoryBalancer()
    outcome = drain(DrainContext(balancer, "a", engine, clock=FastClock()), replace(RULES, remaining="abort"))
    assert outcome.outcome == result
    assert outcome.aborted is can_abort
    assert balancer.pool["a"].admin == ("drained" if can_abort else "active")


def test_an_engine_that_cannot_be_read_is_named_and_never_zero() -> None:
    outcome = drain(DrainContext(MemoryBalancer(), "a", MadeUpEngine(running=None), clock=FastClock()), RULES)
    assert outcome.outcome == "failed"
    assert "unknown, by the engine" in outcome.reasons[-2]
    assert "no metrics" in outcome.reasons[-2]


@pytest.mark.parametrize(
    ("kind", "running", "count"),
    [
        ("answered", 3, (3, "read")),
        ("answered", None, (None, "unread")),
        ("refused", 0, (None, "gone")),
        ("timeout", 0, (None, "silent")),
        ("unreachable", 0, (None, "silent")),
    ],
)
def test_what_an_engine_says(kind: str, running: int | None, count: tuple[int | None, str]) -> None:
    found = engine_in_flight(MadeUpEngine(running, kind))
    assert (found.value, found.kind) == count


def test_peers_answer_only_for_those_whom_the_balancer_does_not_know() -> None:
    pool = (PoolMember("a", "active", "down"), *(PoolMember(name, "active", "unknown") for name in "bcdef"))
    peers = {
        "a": MadeUpEngine(),
        "b": MadeUpEngine(),
        "c": MadeUpEngine(ready=False),
        "d": MadeUpEngine(kind="refused", ready=None),
        "e": MadeUpEngine(kind="timeout", ready=None),
    }
    assert [member.health for member in with_peers(pool, peers)] == ["down", "up", "down", "down", "unknown", "unknown"]


def test_a_slow_start_climbs() -> None:
    balancer = MemoryBalancer(a=PoolMember("a", "drained", "up", 100), b=PoolMember("b", "active", "up"))
    clock = FastClock()
    outcome = activate(DrainContext(balancer, "a", clock=clock), ActivationPlan(ramp=40, steps=4))
    assert outcome.outcome == "active", outcome.reasons
    assert balancer.weights == [25, 50, 75, 100]
    assert clock.time == 40


def test_a_slow_start_that_was_interrupted_goes_on() -> None:
    balancer = MemoryBalancer(a=PoolMember("a", "active", "up", 50))
    assert activate(DrainContext(balancer, "a", clock=FastClock()), ActivationPlan(ramp=40, steps=4)).changed
    assert balancer.weights == [75, 100]


def test_who_is_drained_during_a_slow_start_stays_so() -> None:
    balancer = MemoryBalancer(a=PoolMember("a", "drained", "up", 100))

    def at(now: float) -> None:
        if now == 10:
            balancer.pool["a"] = replace(balancer.pool["a"], admin="drained")

    outcome = activate(DrainContext(balancer, "a", clock=FastClock(at)), ActivationPlan(ramp=30, steps=4))
    assert outcome.outcome == "failed"
    assert balancer.weights == [25]


def test_no_traffic_for_an_engine_that_is_not_ready() -> None:
    balancer = MemoryBalancer(a=PoolMember("a", "drained", "up", 100))
    outcome = activate(
        DrainContext(balancer, "a", MadeUpEngine(ready=None), clock=FastClock()), ActivationPlan(deadline=5)
    )
    assert (outcome.outcome, outcome.changed) == ("failed", False)
    assert balancer.pool["a"].admin == "drained"
    plan = ActivationPlan(deadline=5, require_ready=False)
    assert activate(DrainContext(balancer, "a", MadeUpEngine(ready=None), clock=FastClock()), plan).outcome == "active"


def test_active_and_down_is_a_failure_that_is_told() -> None:
    balancer = MemoryBalancer(a=PoolMember("a", "drained", "down", 100, says="DOWN, L4CON"))
    outcome = activate(DrainContext(balancer, "a", clock=FastClock()), ActivationPlan(deadline=5))
    assert (outcome.outcome, outcome.changed) == ("failed", True)
    assert "DOWN, L4CON" in outcome.reasons[-1]


def test_a_balancer_without_weights_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(_server: str) -> Weight:
        raise BalancerNotSupported("it has no weights")

    balancer = MemoryBalancer(a=PoolMember("a", "drained", "up"))
    monkeypatch.setattr(balancer, "weight", cannot)
    outcome = activate(DrainContext(balancer, "a", clock=FastClock()), ActivationPlan(ramp=10))
    assert (outcome.outcome, outcome.reasons) == ("failed", ["it has no weights"])


@given(st.integers(1, 65535), st.integers(1, 50))
def test_a_ramp_rises_to_its_end(target: int, steps: int) -> None:
    weights = ramp_weights(target, steps)
    assert weights[-1] == target
    assert weights[0] >= 1
    assert weights == sorted(set(weights))
    assert len(weights) <= steps
