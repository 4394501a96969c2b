# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metrics by which engines show pending work and progress, collected from the adapters."""

from __future__ import annotations

from autoglm_recovery.knowledge.engines.registry import ENGINES

_JUDGED = tuple(engine.scraped.progress for engine in ENGINES.values() if engine.scraped.progress)

REQUESTS = tuple(name for engine in _JUDGED for name in engine.requests)
WORK = tuple(name for engine in _JUDGED for name in engine.work)
NEEDED = tuple(engine.work[0] for engine in _JUDGED)
CACHE = tuple(name for engine in _JUDGED for name in engine.cache)
_PACES = tuple(engine.pace for engine in _JUDGED if engine.pace)
PACE_SECONDS = tuple(seconds for seconds, _ in _PACES)
PACE_TOKENS = tuple(tokens for _, tokens in _PACES)
WAITING = tuple(engine.waiting for engine in _JUDGED if engine.waiting)
# By what the policy calls them; the samples that a quantile is made of.
LATENCIES = {
    "first_token": tuple(f"{engine.until_first}_bucket" for engine in _JUDGED if engine.until_first),
    "request": tuple(f"{engine.until_done}_bucket" for engine in _JUDGED if engine.until_done),
}
FAILED = tuple(each for engine in _JUDGED for each in engine.failed)
ALL = (*REQUESTS, *WORK, *CACHE, *PACE_SECONDS)
# Samples of the job with the longer time-out have names of their own.
SLOW_PREFIX = "autoglm_slow:"


def pattern(names: tuple[str, ...]) -> str:
    """Return a regular expression, anchored as Prometheus does it, that finds exactly these names."""
    return "|".join(names)


def slow(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the samples of the job with the longer time-out."""
    return tuple(f"{SLOW_PREFIX}{name}" for name in names)
