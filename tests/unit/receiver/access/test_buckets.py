# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""So many a second, with a burst, for each of many."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.receiver.access.buckets import RateBuckets


class Clock:
    """A clock that stands until it is moved."""

    now = 0.0

    def __call__(self):
        """Return the time."""
        return self.now


def test_a_burst_then_the_rate():
    clock = Clock()
    buckets = RateBuckets(2, 3, clock=clock)
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b") == 0
    clock.now = 0.5
    assert [buckets.take("a") for _ in range(2)] == [0, 0.5]
    clock.now = 100
    assert [buckets.take("a") == 0 for _ in range(4)] == [True, True, True, False]


def test_to_ask_takes_nothing():
    buckets = RateBuckets(1, 1, clock=Clock())
    assert [buckets.wait("a"), buckets.take("a"), buckets.wait("a"), buckets.wait("a")] == [0, 0, 1, 1]


@given(st.lists(st.floats(0, 3), max_size=60), st.floats(0.1, 10), st.integers(1, 10))
def test_never_more_than_the_burst_and_the_rate(pauses, rate, burst):
    clock = Clock()
    buckets = RateBuckets(rate, burst, clock=clock)
    taken = 0
    for pause in pauses:
        clock.now += pause
        taken += buckets.take("a") == 0
    assert taken <= burst + clock.now * rate + 1e-6


def test_strangers_do_not_fill_the_memory():
    buckets = RateBuckets(1, 1, most=10, clock=Clock())
    for n in range(1000):
        buckets.take(str(n))
    assert len(buckets._buckets) == 10
