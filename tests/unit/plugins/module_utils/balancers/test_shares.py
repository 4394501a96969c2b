# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far load goes down and how it comes back: the promises of shares.py, each as a property."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers import shares
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.pool import MinimumActive
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.protocol import PoolMember
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.shares import (
    ServerLoad,
    ShedNote,
    ShedRefused,
    ShedRules,
)
from hypothesis import given
from hypothesis import strategies as st

RULES = ShedRules(50, 2)
WHOLE = ServerLoad(100, 8)
A, B, C, D = (PoolMember(name, "active", "up", 100) for name in "abcd")

settings = st.builds(ServerLoad, st.none() | st.integers(1, 256), st.none() | st.integers(1, 1000))
rules = st.builds(ShedRules, st.integers(1, 99), st.integers(1, 10), st.none() | st.integers(1, 100))


def low(one: int | None, other: int | None) -> bool:
    """Whether the first is at most the second, of which None is no bound."""
    return other is None or (one is not None and one <= other)


def noted(now: ServerLoad = WHOLE, rules: ShedRules = RULES) -> tuple[ServerLoad, ShedNote]:
    plan = shares.shed(now, None, rules)
    assert plan.note is not None
    return plan.wanted, plan.note


@given(settings, rules)
def test_load_goes_down_never_to_nothing_and_comes_back_to_exactly_what_there_was(
    before: ServerLoad, rules: ShedRules
) -> None:
    try:
        now, note = noted(before, rules)
    except ShedRefused:
        assert before.weight in {None, 1}
        return
    assert now.weight is None if before.weight is None else 1 <= (now.weight or 0) <= before.weight
    assert now.limit is None or now.limit >= 1
    assert low(now.limit, before.limit)
    for _step in range(rules.steps + 1):
        plan = shares.raise_one_step(now, note, rules.steps)
        assert plan.wanted.weight is None or now.weight <= plan.wanted.weight <= before.weight
        assert low(plan.wanted.limit, before.limit)
        now = plan.wanted
        if plan.note is None:
            break
        note = plan.note
    assert now == before


@given(settings, rules, rules)
def test_one_that_is_shed_twice_has_the_first_whole_again(
    before: ServerLoad, first: ShedRules, second: ShedRules
) -> None:
    try:
        now, note = noted(before, first)
        again = shares.shed(now, note, second)
    except ShedRefused:
        return
    assert again.note is not None
    assert low(again.wanted.weight, now.weight) or now.weight is None
    assert again.note.before == before
    assert shares.restore(again.wanted, again.note).wanted == before


def test_the_steps_are_even_and_the_last_one_is_the_whole() -> None:
    now, note = noted(rules=ShedRules(40, 3))
    seen = [now]
    while note is not None:
        plan = shares.raise_one_step(now, note, 3)
        now, note = plan.wanted, plan.note
        seen.append(now)
    assert seen == [ServerLoad(40, 3), ServerLoad(60, 4), ServerLoad(80, 6), WHOLE]


def test_a_limit_is_given_to_one_that_has_none_and_taken_away_again() -> None:
    now, note = noted(ServerLoad(1, None), ShedRules(50, 2, ceiling=4))
    assert now == ServerLoad(1, 4)
    half = shares.raise_one_step(now, note, 2)
    assert half.wanted == ServerLoad(1, 6)
    assert shares.restore(half.wanted, half.note).wanted == ServerLoad(1, None)


def test_what_cannot_become_less_is_refused() -> None:
    with pytest.raises(ShedRefused, match="weights such as 100 and not 1, or a limit"):
        shares.shed(ServerLoad(1, None), None, RULES)


def test_what_somebody_has_set_since_is_left_and_forgotten_about() -> None:
    _now, note = noted()
    for theirs in (ServerLoad(30, 2), ServerLoad(70, 5)):
        for plan in (shares.raise_one_step(theirs, note, 2), shares.restore(theirs, note)):
            assert (plan.wanted, plan.note) == (theirs, None)
            assert "somebody has set" in plan.reasons[0]
    # Of one of both: only what is ours comes back.
    assert shares.restore(ServerLoad(50, 2), note).wanted == ServerLoad(100, 2)
    assert shares.shed(ServerLoad(80, 4), note, RULES).note == replace(
        note, before=ServerLoad(80, 8), ours=(ServerLoad(50, 4), ServerLoad(40, 4))
    )


def test_a_balancer_that_has_forgotten_has_nothing_to_bring_back_and_can_be_told_again() -> None:
    shed, note = noted()
    assert shares.raise_one_step(WHOLE, note, 2).note is None
    assert shares.shed(WHOLE, note, RULES).wanted == shed


@pytest.mark.parametrize(
    ("members", "reduced", "rules", "words"),
    [
        ((A, B), (), RULES, ""),
        ((A, B, C, D), ("b",), RULES, ""),
        ((A, B, C, D), ("b", "c"), RULES, "3 of 4 would be reduced, and at most 50% may be; reduced already: b, c"),
        ((A, B, C, D), ("b", "c"), replace(RULES, most_reduced=80), ""),
        ((A,), (), replace(RULES, needed=MinimumActive(0)), "0 of the others serve with their whole load, and 1 must"),
        ((A, B), ("b",), RULES, "0 of the others serve with their whole load"),
        ((A, replace(B, admin="drained")), (), RULES, "0 of the others"),
        ((A, replace(B, health="down")), (), RULES, "0 of the others"),
        ((A, replace(B, health="unknown")), (), RULES, "give peers, or count_unchecked"),
        ((A, replace(B, health="unknown")), (), replace(RULES, count_unchecked=True), ""),
        ((A, replace(B, backup=True)), (), RULES, "0 of the others"),
        ((A, B, C), (), replace(RULES, needed=MinimumActive(100, True)), "2 of the others serve"),
        ((replace(A, admin="maintenance"), B), (), RULES, "there is nothing to shed"),
        ((replace(A, health="down"), B), (), RULES, "there is nothing to shed"),
        ((B, C), (), RULES, "no server 'a'; it has: b, c"),
    ],
)
def test_the_pool_must_be_able_to_take_it(
    members: tuple[PoolMember, ...], reduced: tuple[str, ...], rules: ShedRules, words: str
) -> None:
    why = shares.why_not("a", members, reduced, rules)
    assert words in why
    assert bool(words) is bool(why)
