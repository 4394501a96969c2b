# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine's work in hand and work done, read from its metrics.

One page may cover several engines (data-parallel ranks, models): each is a lane of its own, because the sum over all of
them grows even while one of them is dead. Each adapter has a table of the metrics and their meaning.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .exposition import Exposition, Sample, parse
from .server import EngineServer, describe
from .transport import TransportError
from .work import Lane, WorkSample

Match = tuple[str, Mapping[str, str]]  # a metric's name, and labels that it must have


@dataclass(frozen=True)
class WatchedMetrics:
    """The metrics of one kind of engine that show its work.

    by: labels that distinguish engines.  not_ours: requests counted in C(waiting) that wait for another server.
    steady: metrics of which one moves at every step.
    """

    by: tuple[str, ...]
    running: tuple[Match, ...]
    waiting: tuple[Match, ...]
    made: tuple[Match, ...]
    done: tuple[Match, ...] = ()
    levels: tuple[Match, ...] = ()
    not_ours: tuple[Match, ...] = ()
    steady: tuple[str, ...] = ()
    lag: float = 0.0


def each(*names: str) -> tuple[Match, ...]:
    """Metrics by their names alone."""
    return tuple((name, {}) for name in names)


def look(server: EngineServer, path: str, watched: WatchedMetrics, at: float) -> tuple[WorkSample, Exposition]:
    """Read the metrics once. C(at): when the request began; the sample's time is when it was answered."""
    try:
        answer = server.get(path)
    except TransportError as error:
        waited = server.timeout if error.kind == "timeout" else 0.0
        return WorkSample(at + waited, unread=f"{path}: {error.reason}", waited=waited), Exposition((), 0)
    if answer.status != 200:
        return WorkSample(at, unread=f"{path} answered {describe(answer)}"), Exposition((), 0)
    found = parse(answer.body.decode("utf-8", "replace"))
    return read(found, watched, at + answer.seconds, path), found


def read(found: Exposition, watched: WatchedMetrics, at: float, path: str = "/metrics") -> WorkSample:
    """The work that the metrics show, one lane for each engine."""
    groups: dict[str, list[Sample]] = {}
    for sample in found.samples:
        if math.isfinite(sample.value) and _is_watched(sample, watched):
            groups.setdefault(_lane_of(sample, watched.by), []).append(sample)
    common = groups.pop("", []) if len(groups) == 2 else []
    lanes = {name: _lane_from([*samples, *common], watched) for name, samples in groups.items()}
    if not any(lane.made or lane.done or lane.in_hand is not None for lane in lanes.values()):
        return WorkSample(at, unread=f"{path} holds no figure of the engine's work")
    return WorkSample(at, lanes, lag=watched.lag)


def _lane_from(samples: list[Sample], watched: WatchedMetrics) -> Lane:
    running, waiting = (_matching_values(samples, matches) for matches in (watched.running, watched.waiting))
    made, done, levels = (_matching_values(samples, m) for m in (watched.made, watched.done, watched.levels))
    others = sum(_matching_values(samples, watched.not_ours).values())
    in_hand = None
    if running or waiting:
        in_hand = sum(running.values()) + max(0.0, sum(waiting.values()) - others)
    steady = any(sample.name in watched.steady for sample in samples)
    return Lane(in_hand, made, done, levels, steady)


def _matching_values(samples: Iterable[Sample], matches: tuple[Match, ...]) -> dict[str, float]:
    """Metric and labels -> value, for the samples that match one of C(matches)."""
    return {
        f"{sample.name}{dict(sorted(sample.labels.items()))}": sample.value
        for sample in samples
        if any(sample.name == name and labels.items() <= dict(sample.labels).items() for name, labels in matches)
    }


def _is_watched(sample: Sample, watched: WatchedMetrics) -> bool:
    matches = (*watched.running, *watched.waiting, *watched.made, *watched.done, *watched.levels, *watched.not_ours)
    return any(sample.name == name for name, _labels in matches)


def _lane_of(sample: Sample, by: tuple[str, ...]) -> str:
    """The lane's name, such as C(engine=0); empty for a sample of all engines together."""
    return ", ".join(f"{label}={sample.labels[label]}" for label in by if label in sample.labels)
