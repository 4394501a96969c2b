# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy of a drain: the table of what follows from what, and what may never follow."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.policy import (
    REMAINING,
    SETTLE,
    WITNESSES,
    DrainProgress,
    DrainRules,
    PoolReading,
    decide,
)
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.pool import (
    MinimumActive,
    may_serve,
    serving,
    total,
)
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.protocol import Count, PoolMember
from hypothesis import given
from hypothesis import strategies as st

ZERO, ONE = Count(0, "none"), Count(1, "one")
UNREAD, CANNOT = Count(None, "no metrics", "unread"), Count(None, "never tells", "unsupported")
GONE, SILENT = Count(None, "refused", "gone"), Count(None, "timeout", "silent")
ACTIVE, OUT = PoolMember("a", "active", "up"), PoolMember("a", "drained", "up")
DEAD = PoolMember("a", "active", "down")
B, C = PoolMember("b", "active", "up"), PoolMember("c", "active", "up")
RULES = DrainRules(MinimumActive(1), deadline=100, remaining_deadline=50)
FRESH = DrainProgress("a")
TOLD = DrainProgress("a", before=(ACTIVE, B), told=True, drained_here=True, seconds=1, out=1)


def look(*pool: PoolMember, balancer: Count = ZERO, engine: Count = ZERO, restarted: bool = False) -> PoolReading:
    return PoolReading(pool, balancer, engine, restarted=restarted)


@pytest.mark.parametrize(
    ("seen", "rules", "verb"),
    [
        (look(ACTIVE, B), RULES, "drain"),
        (look(ACTIVE), RULES, "refuse"),
        (look(ACTIVE), replace(RULES, needed=MinimumActive(0)), "drain"),
        (look(ACTIVE, replace(B, health="down")), RULES, "refuse"),
        (look(ACTIVE, replace(B, admin="drained")), RULES, "refuse"),
        (look(ACTIVE, replace(B, weight=0)), RULES, "refuse"),
        (look(ACTIVE, replace(B, backup=True)), RULES, "refuse"),
        (look(ACTIVE, replace(B, health="unknown")), RULES, "refuse"),
        (look(ACTIVE, replace(B, health="unknown")), replace(RULES, count_unchecked=True), "drain"),
        (look(replace(ACTIVE, health="unknown")), RULES, "refuse"),  # it may serve
        (look(DEAD), RULES, "drain"),  # it surely does not
        (look(ACTIVE, B, C), replace(RULES, needed=MinimumActive(50, True)), "drain"),  # 2 of 3 stay
        (look(ACTIVE, B), replace(RULES, needed=MinimumActive(51, True)), "refuse"),
        (PoolReading(None, ZERO, ZERO, unread="gone"), RULES, "refuse"),
        (look(B), RULES, "refuse"),  # no such server
        (look(OUT, B), RULES, "wait"),  # zero, once
    ],
)
def test_before_anything_was_done(seen: PoolReading, rules: DrainRules, verb: str) -> None:
    assert decide(seen, FRESH, rules).verb == verb


@pytest.mark.parametrize(
    ("balancer", "engine", "witnesses", "verb"),
    [
        (ZERO, ZERO, "all", "done"),
        (ONE, ZERO, "all", "wait"),
        (ZERO, ONE, "all", "wait"),
        (ZERO, CANNOT, "all", "done"),
        (CANNOT, ZERO, "all", "done"),
        (CANNOT, CANNOT, "all", "wait"),
        (ZERO, UNREAD, "all", "wait"),
        (ZERO, UNREAD, "any", "done"),
        (ONE, UNREAD, "any", "wait"),
        (ZERO, ONE, "any", "wait"),
        (UNREAD, ZERO, "balancer", "wait"),
        (ZERO, UNREAD, "balancer", "done"),
        (ZERO, ONE, "balancer", "wait"),
        (UNREAD, ZERO, "engine", "done"),
        (ZERO, CANNOT, "engine", "wait"),
        (ZERO, GONE, "all", "wait"),  # the balancer's checks say that it is up
        (ZERO, SILENT, "all", "wait"),
    ],
)
def test_who_must_count_zero(balancer: Count, engine: Count, witnesses: str, verb: str) -> None:
    seen = look(OUT, B, balancer=balancer, engine=engine)
    rules = replace(RULES, witnesses=witnesses)
    assert decide(seen, replace(TOLD, quiet=1), rules).verb == verb
    assert decide(seen, TOLD, rules).verb == "wait"  # never on the first look


@pytest.mark.parametrize(
    ("balancer", "engine", "verb"),
    [
        (ZERO, GONE, "done"),
        (ZERO, SILENT, "done"),
        (CANNOT, GONE, "done"),
        (CANNOT, SILENT, "wait"),
        (ONE, GONE, "wait"),
    ],
)
def test_a_server_that_is_down(balancer: Count, engine: Count, verb: str) -> None:
    seen = look(replace(OUT, health="down"), B, balancer=balancer, engine=engine)
    assert decide(seen, replace(TOLD, quiet=1), RULES).verb == verb


@pytest.mark.parametrize(
    ("remaining", "seconds", "changes", "verb"),
    [
        ("fail", 99, {}, "wait"),
        ("fail", 100, {}, "put_back"),
        ("wait", 100, {}, "wait"),
        ("wait", 150, {}, "put_back"),
        ("abort", 100, {}, "abort"),
        ("abort", 101, {"aborted": True}, "wait"),
        ("abort", 101, {"aborted": True, "abort_refused": "it cannot"}, "put_back"),
        ("abort", 150, {"aborted": True}, "put_back"),
    ],
)
def test_what_remains(remaining: str, seconds: float, changes: dict, verb: str) -> None:
    progress = replace(TOLD, seconds=seconds, **changes)
    assert decide(look(OUT, B, engine=ONE), progress, replace(RULES, remaining=remaining)).verb == verb


@pytest.mark.parametrize(
    ("pool", "progress", "verb"),
    [
        # Another server died: back at once. So too if it was drained by somebody who does not race with us.
        ((OUT, replace(B, health="down")), TOLD, "put_back"),
        ((OUT, replace(B, admin="drained"), replace(C, health="down")), replace(TOLD, before=(ACTIVE, C)), "put_back"),
        # Both left at once: the greater name goes back at once, the other gives it a moment.
        ((OUT, replace(B, admin="drained")), TOLD, "wait"),
        ((OUT, replace(B, admin="drained")), replace(TOLD, out=SETTLE), "put_back"),
        (
            (OUT, PoolMember("A", "drained", "up")),
            replace(TOLD, before=(ACTIVE, PoolMember("A", "active", "up"))),
            "put_back",
        ),
        # It was out before we came, or is dead itself: putting it back helps nobody.
        ((OUT,), replace(TOLD, drained_here=False, quiet=1), "done"),
        ((replace(OUT, health="down"),), replace(TOLD, quiet=1), "done"),
    ],
)
def test_a_pool_that_is_below(pool: tuple[PoolMember, ...], progress: DrainProgress, verb: str) -> None:
    assert decide(look(*pool), progress, RULES).verb == verb


def test_a_balancer_that_cannot_be_read_is_waited_for_and_not_for_ever() -> None:
    unread = PoolReading(None, UNREAD, ZERO, unread="no socket")
    assert decide(unread, TOLD, RULES).verb == "wait"
    assert decide(unread, replace(TOLD, seconds=100), RULES).verb == "put_back"


def test_active_again_is_somebody_s_will_unless_the_balancer_forgot() -> None:
    assert decide(look(ACTIVE, B), TOLD, RULES).verb == "fail"
    assert decide(look(ACTIVE, B, restarted=True), TOLD, RULES).verb == "drain"
    unchecked = replace(B, health="unknown")  # its first check is not over
    assert decide(look(ACTIVE, unchecked, restarted=True), TOLD, RULES).verb == "wait"
    assert decide(look(ACTIVE, B, restarted=True), replace(TOLD, seconds=100), RULES).verb == "put_back"


counts = st.one_of(
    st.integers(0, 3).map(lambda value: Count(value, "read")),
    st.sampled_from(["unsupported", "unread", "gone", "silent"]).map(lambda kind: Count(None, kind, kind)),
)


def members(name: str) -> st.SearchStrategy[PoolMember]:
    return st.builds(
        PoolMember,
        st.just(name),
        st.sampled_from(["active", "drained", "maintenance"]),
        st.sampled_from(["up", "down", "unknown"]),
        st.sampled_from([None, 0, 1, 100]),
        st.booleans(),
    )


pools = st.integers(1, 5).flatmap(lambda size: st.tuples(*(members(name) for name in "abcde"[:size])))
looks = st.builds(PoolReading, st.one_of(st.none(), pools), counts, counts, st.just("?"), st.booleans())
rules = st.builds(
    DrainRules,
    st.builds(MinimumActive, st.integers(0, 6)) | st.builds(MinimumActive, st.integers(0, 100), st.just(True)),
    st.booleans(),
    st.sampled_from(WITNESSES),
    st.floats(0, 100),
    st.sampled_from(REMAINING),
    st.floats(0, 100),
    st.integers(1, 4),
)
progresses = st.builds(
    DrainProgress,
    st.sampled_from("abf"),
    pools,
    st.booleans(),
    st.booleans(),
    st.integers(0, 5),
    st.floats(0, 300),
    st.floats(0, 300),
    st.booleans(),
    st.sampled_from(["", "it cannot"]),
)


@given(looks, progresses, rules)
def test_it_is_never_called_drained_while_anything_may_be_in_flight(
    seen: PoolReading, done: DrainProgress, asked: DrainRules
) -> None:
    step = decide(seen, done, asked)
    if step.verb != "done":
        return
    assert not seen.balancer.value
    assert not seen.engine.value
    assert done.quiet + 1 >= asked.zeros
    me = next(member for member in seen.pool or () if member.name == done.server)
    assert me.admin != "active"
    # Somebody really said so: a zero that was read, or a dead engine that the balancer does not call alive.
    gone = seen.engine.kind == "gone" and me.health != "up"
    assert seen.balancer.value == 0 or seen.engine.value == 0 or gone


@given(looks, progresses, rules)
def test_a_pool_is_never_taken_below_its_minimum(seen: PoolReading, done: DrainProgress, asked: DrainRules) -> None:
    if decide(seen, done, asked).verb != "drain":
        return
    assert seen.pool is not None
    me = next(member for member in seen.pool if member.name == done.server)
    left = serving(seen.pool, asked.count_unchecked, without=me.name)
    assert len(left) >= asked.needed.of(total(seen.pool)) or not may_serve(me)


@given(looks, progresses, rules)
def test_what_left_a_pool_below_its_minimum_does_not_stay_out(
    seen: PoolReading, done: DrainProgress, asked: DrainRules
) -> None:
    me = next((member for member in seen.pool or () if member.name == done.server), None)
    if me is None or me.admin == "active" or not done.drained_here or me.health == "down":
        return
    if len(serving(seen.pool or (), asked.count_unchecked, without=me.name)) >= asked.needed.of(total(seen.pool or ())):
        return
    assert decide(seen, replace(done, out=SETTLE), asked).verb == "put_back"


@given(looks, progresses, rules)
def test_the_deadline_always_ends_it(seen: PoolReading, done: DrainProgress, asked: DrainRules) -> None:
    late = replace(done, seconds=asked.deadline + asked.remaining_deadline, out=SETTLE)
    step = decide(seen, late, asked)
    assert step.verb in ("done", "put_back", "fail", "refuse") or (step.verb == "drain" and not done.told)
    assert step.reason


@given(looks, progresses, rules)
def test_nothing_is_undone_that_was_not_done_here(seen: PoolReading, done: DrainProgress, asked: DrainRules) -> None:
    if decide(seen, replace(done, told=False, drained_here=False), asked).verb == "fail":
        raise AssertionError("a task that has done nothing refuses")
