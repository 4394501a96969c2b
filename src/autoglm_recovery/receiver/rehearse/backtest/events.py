# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From recorded series of ALERTS to what Alertmanager would have told: pure.

A record is a grid of moments, one a step.  A series has a value at each moment at which its alert fired.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

# What Prometheus adds to the labels of an alert in ALERTS.
_ADDED = ("__name__", "alertstate")
# Moments come back as text with milliseconds.
_SLACK_S = 0.01


@dataclass(frozen=True)
class FiringSpan:
    """The first and the last moment at which something was there without a break."""

    first: float
    last: float


@dataclass(frozen=True)
class Series:
    """One alert: its labels as Alertmanager gets them, and when it fired."""

    labels: tuple[tuple[str, str], ...]
    spans: tuple[FiringSpan, ...]


@dataclass(frozen=True)
class AlertRecord:
    """What was recorded from ``since`` to ``until``, both moments of the grid.

    ``seen`` is when Prometheus recorded anything at all; between those spans nobody knows what was.
    """

    since: float
    until: float
    step: float
    series: tuple[Series, ...]
    seen: tuple[FiringSpan, ...]
    warnings: tuple[str, ...] = ()

    @property
    def holes(self) -> tuple[FiringSpan, ...]:
        """Return the moments, after the first that was recorded, at which nothing was."""
        edges = [*self.seen, FiringSpan(self.until + self.step, self.until + self.step)]
        pairs = pairwise(edges)
        return tuple(
            FiringSpan(before.last + self.step, after.first - self.step)
            for before, after in pairs
            if after.first - before.last > self.step + _SLACK_S
        )


@dataclass(frozen=True)
class Event:
    """News about one alert at a moment: ``status`` is firing or resolved."""

    at: float
    status: str
    labels: tuple[tuple[str, str], ...]
    starts_at: float


def alert_labels(metric: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return the labels of the alert that a series of ALERTS is about."""
    return tuple(sorted((name, value) for name, value in metric if name not in _ADDED))


def spans_of(moments: Iterable[float], step: float) -> tuple[FiringSpan, ...]:
    """Gather moments, oldest first, into spans: a moment of the grid that is missing ends one."""
    return joined((FiringSpan(moment, moment) for moment in moments), step)


def joined(spans: Iterable[FiringSpan], longest_gap: float) -> tuple[FiringSpan, ...]:
    """Join spans, oldest first, that are no further apart than that."""
    found: list[FiringSpan] = []
    for span in spans:
        if found and span.first - found[-1].last <= longest_gap + _SLACK_S:
            found[-1] = FiringSpan(found[-1].first, max(span.last, found[-1].last))
        else:
            found.append(span)
    return tuple(found)


def events_of(record: AlertRecord, bridge: float = 0.0) -> list[Event]:
    """Return what was told, in the order in which it was; the same record gives the same list.

    An alert has resolved at the first moment of the grid at which it is not there.  One that is there at the last
    moment still fires.  ``bridge`` is how long an alert may be away, in seconds, without being told as resolved: what
    comes back within Alertmanager's ``group_interval`` is not.
    """
    events = [event for series in record.series for event in _of_series(series, record, bridge)]
    # What resolves at a moment makes room for what fires at the same.
    return sorted(events, key=lambda event: (event.at, event.status == "firing", event.labels))


def _of_series(series: Series, record: AlertRecord, bridge: float) -> Iterator[Event]:
    for span in joined(series.spans, bridge + record.step):
        yield Event(span.first, "firing", series.labels, span.first)
        gone_at = span.last + record.step
        if gone_at <= record.until + _SLACK_S:
            yield Event(gone_at, "resolved", series.labels, span.first)


def deliveries(events: Sequence[Event]) -> Iterator[tuple[float, list[Event]]]:
    """Yield the events of each moment together, as they were told."""
    together: list[Event] = []
    for event in events:
        if together and event.at > together[0].at:
            yield together[0].at, together
            together = []
        together.append(event)
    if together:
        yield together[0].at, together
