# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Samples of an engine's work: two of them show whether the engine makes progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Lane:
    """One engine behind the address.

    in_hand: requests that run or wait, None where unknown.  made: counters that only a generated token moves.
    done: counters of other work, such as prompt tokens and finished requests.  levels: gauges that rise while a prompt
    is worked on.  steady: one of the counters moves at every step, so that standing still is a finding.
    """

    in_hand: float | None = None
    made: Mapping[str, float] = field(default_factory=dict)
    done: Mapping[str, float] = field(default_factory=dict)
    levels: Mapping[str, float] = field(default_factory=dict)
    steady: bool = False


@dataclass(frozen=True)
class WorkSample:
    """One sample. C(at): when the answer had arrived, in seconds of a monotonic clock.

    lanes: by the labels that distinguish engines.  held_back: why the server was ordered to do nothing, if so.
    unread: why there are no lanes.  waited: seconds that a failed request took.  lag: seconds by which the engine's
    gauges may be late.
    """

    at: float
    lanes: Mapping[str, Lane] = field(default_factory=dict)
    held_back: str | None = None
    unread: str | None = None
    waited: float = 0.0
    lag: float = 0.0
