# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress, from looks at counters: a table of the states that an engine can be in."""

from __future__ import annotations

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.work import Lane, WorkSample
from ansible_collections.autoglm.recovery.plugins.module_utils.health.motion import judge_motion, undecided
from hypothesis import given
from hypothesis import strategies as st


def lane(
    in_hand: float | None, tokens: float | None = 0, other: float = 0, cache: float = 0, steady: bool = True
) -> Lane:
    made = {} if tokens is None else {"tokens": tokens}
    return Lane(in_hand, made, {"prompt": other}, {"cache": cache}, steady)


def looks(*seen: tuple[float, Lane | dict[str, Lane]]) -> list[WorkSample]:
    return [WorkSample(at, what if isinstance(what, dict) else {"": what}) for at, what in seen]


TABLE = {
    "tokens come": (looks((0, lane(356, 100)), (1, lane(356, 4100))), "generates"),
    "tokens come, one in ten seconds": (looks((0, lane(1, 5)), (10, lane(1, 6))), "generates"),
    "short requests, none in hand when looked at": (looks((0, lane(0, 5)), (1, lane(0, 9))), "generates"),
    "speculative decoding: some steps bring several tokens": (looks((0, lane(2, 5)), (1, lane(2, 14))), "generates"),
    "a long prompt in parts: nothing is counted but the cache fills": (
        looks((0, lane(1, 5, 7, 0.1)), (12, lane(1, 5, 7, 0.2)), (24, lane(1, 5, 7, 0.3))),
        "works",
    ),
    "a prompt was counted, and no token yet": (looks((0, lane(1, 5, 7)), (24, lane(1, 5, 900))), "works"),
    "idle": (looks((0, lane(0, 5)), (24, lane(0, 5))), "idle"),
    "just started: all counters are 0": (looks((0, lane(0)), (1, lane(0))), "idle"),
    "the one request was given up": (looks((0, lane(1, 5)), (24, lane(0, 5))), "idle"),
    "requests came while it was looked at": (looks((0, lane(0, 5)), (24, lane(3, 5))), "idle"),
    "stands still, not for long enough": (looks((0, lane(3, 5)), (19.9, lane(3, 5))), "still"),
    "stands still for long enough": (looks((0, lane(3, 5)), (1, lane(3, 5)), (20, lane(3, 5))), "stalled"),
    "the queue grows, and nothing else moves": (looks((0, lane(3, 5)), (20, lane(90, 5))), "stalled"),
    "the cache is emptied by clients that give up": (
        looks((0, lane(3, 5, 0, 0.5)), (20, lane(2, 5, 0, 0.4))),
        "stalled",
    ),
    "one look": (looks((0, lane(3, 5))), "still"),
    "counters began anew: another process": (
        looks((0, lane(3, 500)), (15, lane(3, 0)), (30, lane(3, 0))),
        "still",
    ),
    "counters began anew, and grow": (looks((0, lane(3, 500)), (15, lane(3, 0)), (16, lane(3, 8))), "generates"),
    "counters began anew, and it stands still for long enough": (
        looks((0, lane(3, 500)), (15, lane(3, 0)), (36, lane(3, 0))),
        "stalled",
    ),
    "counters that do not move at every step": (
        looks((0, lane(3, 5, steady=False)), (60, lane(3, 5, steady=False))),
        "unread",
    ),
    "the same, and it has ended some": (
        looks((0, lane(3, 5, steady=False)), (9, lane(3, 50, steady=False))),
        "generates",
    ),
    "it does not tell what is in hand": (looks((0, lane(None, 5)), (60, lane(None, 5))), "unread"),
    "no counters": ([WorkSample(0, unread="404"), WorkSample(60, unread="404")], "unread"),
    "they could be read once": ([*looks((0, lane(3, 5))), WorkSample(60, unread="timeout")], "unread"),
    "one look between failed": (
        [*looks((0, lane(3, 5))), WorkSample(10, unread="timeout"), *looks((20, lane(3, 5)))],
        "stalled",
    ),
    "asleep, with requests in hand": ([WorkSample(at, {"": lane(3, 5)}, held_back="asleep") for at in (0, 60)], "held"),
    "two engines, one of them dead": (
        looks((0, {"0": lane(3, 5), "1": lane(3, 5)}), (20, {"0": lane(3, 900), "1": lane(3, 5)})),
        "stalled",
    ),
    "two engines, one of them idle": (
        looks((0, {"0": lane(3, 5), "1": lane(0, 5)}), (20, {"0": lane(3, 900), "1": lane(0, 5)})),
        "generates",
    ),
    "two engines, and totals of both": (
        looks(
            (0, {"0": lane(3, None, 5), "1": lane(0, None, 5), "": lane(None, 9)}),
            (20, {"0": lane(3, None, 8), "1": lane(0, None, 5), "": lane(None, 9)}),
        ),
        "works",
    ),
    "an engine was added": (looks((0, {"0": lane(3, 5)}), (20, {"0": lane(3, 5), "1": lane(3, 5)})), "still"),
}


@pytest.mark.parametrize("state", TABLE)
def test_states(state: str) -> None:
    seen, kind = TABLE[state]
    motion = judge_motion(seen, 20)
    assert motion.kind == kind, motion.reason
    assert motion.reason


def test_gauges_that_are_late_are_waited_for() -> None:
    """SGLang corrects those of a server that has become idle after 30 s."""
    seen = [WorkSample(at, {"": lane(1, 5)}, lag=30) for at in (0, 45)]
    assert judge_motion(seen, 20).kind == "still"
    assert judge_motion([*seen, WorkSample(50, {"": lane(1, 5)}, lag=30)], 20).kind == "stalled"


def test_the_engine_that_stands_still_is_named() -> None:
    motion = judge_motion(TABLE["two engines, one of them dead"][0], 20)
    assert motion.engines == {"0": "generates", "1": "stalled"}
    assert "(1)" in motion.reason


@pytest.mark.parametrize(
    ("state", "proven", "more"),
    [
        ("stands still, not for long enough", None, True),
        ("stands still for long enough", None, False),
        ("one look", None, True),
        ("idle", False, False),
        ("tokens come", False, False),
        ("a prompt was counted, and no token yet", None, False),
        ("no counters", False, False),
        ("asleep, with requests in hand", None, False),
        ("the same, and it has ended some", False, False),
        ("counters that do not move at every step", False, False),
    ],
)
def test_it_is_looked_at_again_only_where_that_may_tell_more(state: str, proven: bool | None, more: bool) -> None:
    seen = TABLE[state][0]
    assert undecided(judge_motion(seen, 20), seen, 20, proven) is more


lanes = st.builds(
    lane,
    in_hand=st.none() | st.integers(0, 3),
    tokens=st.none() | st.integers(0, 5),
    other=st.integers(0, 5),
    cache=st.sampled_from([0, 0.1]),
    steady=st.booleans(),
)
times = st.lists(st.floats(0, 100), min_size=1, max_size=5).map(sorted)


@given(at=times, data=st.data())
def test_what_grew_since_the_last_look_is_never_called_stalled(at: list[float], data: st.DataObject) -> None:
    seen = [WorkSample(when, {"": data.draw(lanes)}) for when in at]
    motion = judge_motion(seen, 20)
    if motion.kind == "stalled":
        first, last = seen[0].lanes[""], seen[-1].lanes[""]
        assert at[-1] - at[0] >= 20
        assert last.in_hand
        assert not last.made.get("tokens", 0) > seen[-2].lanes[""].made.get("tokens", 0)
        assert first.steady or last.steady
