# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The circuit breaker: an action, or a pool, in which the last runs all failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from autoglm_recovery.policy.guardrails import CircuitBreaker
from autoglm_recovery.receiver.values.situation import PastRun


class Circuit(StrEnum):
    """Whether runs are let through: all, none, or one to try."""

    closed = "closed"
    open = "open"
    half_open = "half open"


@dataclass(frozen=True)
class BreakerState:
    """How a breaker stands.  ``until`` is when an open one lets a trial through; ``trial`` says that one is under
    way."""

    circuit: Circuit
    failures: int
    until: float | None = None
    trial: bool = False


def read_breaker(breaker: CircuitBreaker, runs: Sequence[PastRun], now: float) -> BreakerState:
    """Read the breaker off past runs, newest first.

    Nothing but the runs themselves is remembered, so that it is the same after a restart and on every replica.
    """
    since = now - breaker.window.total_seconds()
    ended = [run for run in runs if not run.pending]
    streak = 0
    for run in ended:
        if not run.failed or run.at < since:
            break
        streak += 1
    if streak < breaker.failures:
        return BreakerState(Circuit.closed, streak)
    until = ended[0].at + breaker.open_for.total_seconds()
    if now < until:
        return BreakerState(Circuit.open, streak, until)
    return BreakerState(Circuit.half_open, streak, trial=any(run.pending for run in runs))
