# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an engine makes progress, by several samples of its counters. Pure.

A counter that grows proves life. Standing still proves nothing while there is nothing to do; with requests in hand and
no step for long enough it is a deadlock, whatever the server reports about its health. Counters that go down belong to
a new process, so the time is then counted from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..engines.work import Lane, WorkSample

# How long requests may be in hand without a step. A step takes less than a second: engines split long prompts.
DEFAULT_STALL_SECONDS = 20.0

# GENERATES: tokens were generated.  WORKS: other work, such as a long prompt.  IDLE: nothing to do.  STILL: requests in
# hand and no step, but not for long enough.  STALLED: for long enough.  UNREAD: unknown.  HELD: ordered to do nothing.
GENERATES, WORKS, IDLE, HELD = "generates", "works", "idle", "held"
STILL, STALLED, UNREAD = "still", "stalled", "unread"
# Of several engines behind one address, one that stands still decides, whatever the others do; else the most active.
_GRAVITY = (STALLED, STILL, GENERATES, WORKS, UNREAD, IDLE)


@dataclass(frozen=True)
class Motion:
    """Whether an engine makes progress.

    kind: one of the above.  reason: a sentence.  seconds: from the first sample that counts to the last one; for
    C(unread), how long the failed requests took.  engines: the kind of each engine behind the address.
    generated_before: the engine has generated a token since it was started.
    """

    kind: str
    reason: str
    seconds: float = 0.0
    engines: Mapping[str, str] | None = None
    generated_before: bool = False


NOT_ASKED = Motion(UNREAD, "the counters were not asked")


def judge_motion(looks: Sequence[WorkSample], stall_seconds: float = DEFAULT_STALL_SECONDS) -> Motion:
    """Judge samples in the order of time."""
    if not looks:
        return NOT_ASKED
    for look in reversed(looks):
        if look.held_back is not None:
            return Motion(HELD, look.held_back)
    last = looks[-1]
    if last.unread is not None:
        return Motion(UNREAD, last.unread, last.waited)
    read = _since_the_start(looks)
    seconds = read[-1].at - read[0].at
    window = stall_seconds + last.lag
    told = any(lane.in_hand is not None for lane in last.lanes.values())
    kinds = {name: _lane_kind([look.lanes[name] for look in read], seconds >= window, told) for name in last.lanes}
    kind = min(kinds.values(), key=_GRAVITY.index)
    before = any(value > 0 for lane in last.lanes.values() for value in lane.made.values())
    return Motion(kind, _describe(kind, kinds, last, seconds, len(read)), round(seconds, 2), kinds, before)


def undecided(motion: Motion, looks: Sequence[WorkSample], stall_seconds: float, proven: bool | None) -> bool:
    """Whether another sample could change the result. proven: whether a completion came, None if none was requested."""
    if looks[-1].unread is not None or motion.kind in (HELD, STALLED):
        return False
    if motion.kind == STILL or len(looks) < 2:
        return True
    return motion.kind == WORKS and proven is not True and motion.seconds < stall_seconds + looks[-1].lag


def _since_the_start(looks: Sequence[WorkSample]) -> list[WorkSample]:
    """The samples of the present process: those since a counter went down, or an engine appeared or vanished."""
    kept = [looks[-1]]
    for earlier in reversed(looks[:-1]):
        if earlier.unread is not None:
            continue  # a failed sample is no sign of another process
        if set(earlier.lanes) != set(kept[0].lanes) or _went_down(earlier, kept[0]):
            break
        kept.insert(0, earlier)
    return kept


def _went_down(earlier: WorkSample, later: WorkSample) -> bool:
    return any(
        after[key] < value
        for name, lane in earlier.lanes.items()
        for before, after in ((lane.made, later.lanes[name].made), (lane.done, later.lanes[name].done))
        for key, value in before.items()
        if key in after
    )


def _lane_kind(lane: Sequence[Lane], long_enough: bool, others_tell: bool) -> str:
    """The kind of one lane. others_tell: other lanes have requests in hand, so a lane without that figure is idle."""
    first, last = lane[0], lane[-1]
    if _any_grew(first.made, last.made):
        return GENERATES
    if _any_grew(first.done, last.done) or any(_any_grew(a.levels, b.levels) for a, b in zip(lane, lane[1:])):
        return WORKS
    if any(look.in_hand is None for look in lane):
        return IDLE if others_tell and last.in_hand is None else UNREAD
    if not all(look.in_hand for look in lane):
        return IDLE
    if not last.steady:
        return UNREAD
    return STALLED if long_enough else STILL


def _any_grew(before: Mapping[str, float], after: Mapping[str, float]) -> bool:
    """Whether any counter grew. A new counter counts too: metrics clients create one at its first use."""
    return any(value > before.get(key, 0.0) for key, value in after.items())


def _describe(kind: str, kinds: Mapping[str, str], last: WorkSample, seconds: float, looks: int) -> str:
    names = [name for name, each in kinds.items() if each == kind and name]
    where = f" ({', '.join(names)})"[:200] if len(kinds) > 1 and names else ""
    in_hand = sum(lane.in_hand or 0 for name, lane in last.lanes.items() if kinds[name] == kind)
    within = f"within {seconds:.1f} s" if looks > 1 else "yet, after one look"
    return {
        GENERATES: f"its counter of generated tokens grew {within}{where}",
        WORKS: f"it works on {in_hand:g} requests, and no token came {within}{where}",
        IDLE: f"its counters tell of nothing to do{where}",
        STILL: f"{in_hand:g} requests are in hand, and nothing moved {within}{where}",
        STALLED: f"{in_hand:g} requests are in hand, and no token, no prompt token and no finished request came "
        f"{within}{where}",
        UNREAD: f"its counters stood still{where}, which proves nothing: they do not move at every step",
    }[kind]
