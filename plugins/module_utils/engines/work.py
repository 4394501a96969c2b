# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an engine has in hand and has done: two such looks show whether it makes progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Lane:
    """One engine behind the address.

    in_hand: requests that run or wait, None where it does not tell.  made: counters that only a generated token moves.
    done: counters of other work, such as prompt tokens and finished requests.  levels: gauges that rise while a prompt
    is worked on.  steady: one of these moves at every step, so that standing still means something.
    """

    in_hand: float | None = None
    made: Mapping[str, float] = field(default_factory=dict)
    done: Mapping[str, float] = field(default_factory=dict)
    levels: Mapping[str, float] = field(default_factory=dict)
    steady: bool = False


@dataclass(frozen=True)
class WorkSample:
    """One look. C(at): seconds of a clock that only goes forward, when the answer had come.

    lanes: by the labels that tell one engine from another.  held_back: why nothing moves by somebody's order, if so.
    unread: why there are no lanes.  waited: seconds that the question took in vain.  lag: seconds by which the engine's
    gauges may be late.
    """

    at: float
    lanes: Mapping[str, Lane] = field(default_factory=dict)
    held_back: str | None = None
    unread: str | None = None
    waited: float = 0.0
    lag: float = 0.0
