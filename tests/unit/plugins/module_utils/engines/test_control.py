# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When an order is given, when it is not, and when its success is not believed."""

from __future__ import annotations

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.control import (
    ORDERS,
    UNSEEN,
    Condition,
    contradiction,
    expected,
    is_reached,
)
from hypothesis import given, settings
from hypothesis import strategies as st

UNKNOWN = Condition(None, None, None)


@pytest.mark.parametrize(
    ("state", "seen", "reached"),
    [
        ("accepting", Condition(True, True, 3), True),
        ("accepting", Condition(False, True, 0), False),
        ("stopped", Condition(False, True, 3), True),
        ("paused", Condition(False, True, 3), True),
        ("paused", Condition(True, True, 0), False),
        ("aborted", Condition(True, True, 0), True),
        ("aborted", Condition(True, True, 1), False),
        ("asleep", Condition(True, False, None), True),
        ("asleep", Condition(True, True, 0), False),
        ("awake", Condition(True, True, 0), True),
        ("awake", Condition(None, False, None), False),
        ("reset", Condition(True, True, 0), False),
        ("cleared", Condition(True, True, 0), False),
    ],
)
def test_a_state_that_is_reached_needs_no_order(state: str, seen: Condition, reached: bool) -> None:
    assert is_reached(state, seen) is reached


@pytest.mark.parametrize("state", sorted(ORDERS))
def test_what_is_unknown_is_neither_reached_nor_contradicted(state: str) -> None:
    assert not is_reached(state, UNKNOWN)
    assert contradiction(state, UNKNOWN) is None


@pytest.mark.parametrize(
    ("state", "seen"),
    [
        ("accepting", Condition(False, True, 0)),
        ("cleared", Condition(False, True, 0)),
        ("stopped", Condition(True, True, 0)),
        ("paused", Condition(True, True, 0)),
        ("asleep", Condition(True, True, 0)),
        ("awake", Condition(True, False, 0)),
    ],
)
def test_an_order_that_did_nothing_is_no_success(state: str, seen: Condition) -> None:
    assert contradiction(state, seen)


known = st.none() | st.booleans()
conditions = st.builds(Condition, known, known, st.none() | st.integers(0, 9))


@settings(deadline=None)
@given(st.sampled_from(sorted(set(ORDERS) - UNSEEN)), conditions)
def test_what_is_expected_is_reached_and_not_contradicted(state: str, seen: Condition) -> None:
    assert is_reached(state, expected(state, seen))
    assert contradiction(state, expected(state, seen)) is None
