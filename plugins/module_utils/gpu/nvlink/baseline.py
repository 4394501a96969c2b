# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Earlier counters: two samples in a file, so that a verdict is about the last hours and not about years.

Counters only grow, and nobody knows when.  So rates are taken against a sample that is at least C(window) old where
there is one: of two samples kept, C(reference) is the one compared with, and C(next) takes its place when it has
become old enough.  A fault that has passed is thus forgotten after two windows at most, and a check that runs every
minute does not divide by a minute.

Both are of one boot and one load of the driver; those of another are dropped, as are counters that went backwards.
C(up) remembers, for the same boot and load, which links have ever been up and where they led: a link that is down
cannot tell.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...host import paths, whole_file

FORMAT = 1
FILE = "baseline.json"
_MAX_BYTES = 16 * 1024 * 1024
# A rate is never extrapolated from less than this: one replay in a second is not 3600 in an hour.
SHORTEST = 60.0


@dataclass(frozen=True)
class CounterSample:
    """at: seconds since boot.  counters: key of a link or port -> counter -> value."""

    at: float
    counters: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Baseline:
    """What is kept of one boot and one load of the driver. note: why there is nothing where something was expected."""

    identity: Mapping[str, Any]
    reference: CounterSample | None = None
    next: CounterSample | None = None
    up: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    note: str | None = None


def load(folder: Path, identity: Mapping[str, Any], now: float) -> Baseline:
    """The baseline of this boot and driver load; an empty one where there is none that fits. Never raises."""
    try:
        paths.check_own(str(folder))
        with (folder / FILE).open("rb") as file:
            stored = json.loads(file.read(_MAX_BYTES).decode("utf-8"))
        return _baseline_from(stored, identity, now)
    except FileNotFoundError:
        return Baseline(identity)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        return Baseline(identity, note=f"the baseline in {folder / FILE} is of no use: {type(error).__name__}: {error}")


def _baseline_from(stored: Any, identity: Mapping[str, Any], now: float) -> Baseline:
    if stored["format"] != FORMAT:
        raise ValueError(f"its format is {stored['format']!r}")
    if stored["identity"] != dict(identity):
        return Baseline(identity, note="the baseline was of another boot or driver load")
    reference, following = _sample_from(stored["reference"], now), _sample_from(stored["next"], now)
    return Baseline(identity, reference, following, {str(key): dict(one) for key, one in stored["up"].items()})


def advance(old: Baseline, now: CounterSample, up: Mapping[str, Mapping[str, Any]], window: float) -> Baseline:
    """The baseline to store after a reading."""
    reference, following = old.reference or now, old.next or now
    if now.at - following.at >= window:
        reference, following = following, now
    return Baseline(old.identity, reference, following, {**old.up, **up})


def deltas(reference: CounterSample | None, now: CounterSample) -> dict[str, dict[str, dict[str, float]]]:
    """key -> counter -> C({"delta", "per_hour"}); without those that have nothing to be compared with."""
    if reference is None or now.at <= reference.at:
        return {}
    hours = max(now.at - reference.at, SHORTEST) / 3600
    found: dict[str, dict[str, dict[str, float]]] = {}
    for key, counters in now.counters.items():
        before = reference.counters.get(key, {})
        found[key] = {
            name: {"delta": value - before[name], "per_hour": round((value - before[name]) / hours, 3)}
            for name, value in counters.items()
            if name in before and value >= before[name]
        }
    return found


def save(folder: Path, baseline: Baseline) -> None:
    """Write the baseline atomically. Raises OSError, also where other users could replace the file."""
    text = json.dumps(_as_document(baseline), separators=(",", ":"), sort_keys=True)
    directory = paths.open_directory(str(folder), make=0o755, own=True)
    try:
        whole_file.put(directory, FILE, str(folder / FILE), f"{text}\n", 0o644)
    finally:
        os.close(directory)


def _as_document(baseline: Baseline) -> dict[str, Any]:
    def sample(one: CounterSample | None) -> dict[str, Any] | None:
        return None if one is None else {"at": one.at, "counters": one.counters}

    return {
        "format": FORMAT,
        "identity": baseline.identity,
        "reference": sample(baseline.reference),
        "next": sample(baseline.next),
        "up": baseline.up,
    }


def _sample_from(stored: Any, now: float) -> CounterSample | None:
    if stored is None:
        return None
    at = float(stored["at"])
    if not 0 <= at <= now:
        raise ValueError(f"a sample of {at} s, which is not before {now} s")
    counters = {
        str(key): {str(name): int(value) for name, value in counters.items()}
        for key, counters in stored["counters"].items()
    }
    return CounterSample(at, counters)
