# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a record to what Alertmanager would have told."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.receiver.fleet.fleet_http import shown
from autoglm_recovery.receiver.rehearse.backtest.events import (
    AlertRecord,
    Event,
    FiringSpan,
    Series,
    alert_labels,
    deliveries,
    events_of,
    joined,
    spans_of,
)
from autoglm_recovery.receiver.rehearse.backtest.prometheus import MOST_POINTS, chunks

OOM = (("alertname", "Oom"),)
STEP = 30.0


def record(
    *spans: FiringSpan, until: float = 900.0, seen: tuple[FiringSpan, ...] = (FiringSpan(0, 900),)
) -> AlertRecord:
    """Return a record of one alert from 0 on."""
    return AlertRecord(0.0, until, STEP, (Series(OOM, spans),), seen)


def told(events: list[Event]) -> list[tuple[float, str, float]]:
    """Return what matters of events."""
    return [(event.at, event.status, event.starts_at) for event in events]


def test_an_alert_resolves_at_the_first_moment_at_which_it_is_away():
    assert told(events_of(record(FiringSpan(60, 120)))) == [(60, "firing", 60), (150, "resolved", 60)]


def test_an_alert_that_fires_at_the_end_has_not_resolved():
    assert told(events_of(record(FiringSpan(60, 900)))) == [(60, "firing", 60)]


def test_a_gap_is_an_end_and_a_new_beginning():
    events = events_of(record(FiringSpan(0, 60), FiringSpan(120, 120)))
    assert told(events) == [(0, "firing", 0), (90, "resolved", 0), (120, "firing", 120), (150, "resolved", 120)]


def test_what_alertmanager_never_told_is_not_told():
    spans = (FiringSpan(0, 60), FiringSpan(120, 180), FiringSpan(600, 600))
    assert told(events_of(record(*spans), bridge=60)) == [
        *((0, "firing", 0), (210, "resolved", 0)),
        *((600, "firing", 600), (630, "resolved", 600)),
    ]


def test_at_one_moment_room_is_made_before_it_is_taken():
    other = Series((("alertname", "Crash"),), (FiringSpan(90, 90),))
    events = events_of(AlertRecord(0, 900, STEP, (other, Series(OOM, (FiringSpan(0, 60),))), ()))
    assert [(e.at, e.status) for e in events] == [(0, "firing"), (90, "resolved"), (90, "firing"), (120, "resolved")]
    assert [at for at, _ in deliveries(events)] == [0, 90, 120]


def test_a_prometheus_that_was_away_leaves_a_hole_that_is_named():
    restarted = record(FiringSpan(0, 60), seen=(FiringSpan(0, 300), FiringSpan(600, 840)))
    assert restarted.holes == (FiringSpan(330, 570), FiringSpan(870, 900))
    assert record().holes == ()


def test_the_labels_are_the_alerts_own():
    metric = {"__name__": "ALERTS", "alertname": "Oom", "alertstate": "firing", "host": "node-a"}
    assert alert_labels(metric.items()) == (("alertname", "Oom"), ("host", "node-a"))


@given(st.sets(st.integers(0, 200)), st.integers(1, 200))
def test_spans_say_the_same_whether_read_at_once_or_in_chunks(present, cut):
    moments = sorted(number * STEP for number in present)
    whole = spans_of(moments, STEP)
    halves = [spans_of([m for m in moments if (m < cut * STEP) is first], STEP) for first in (True, False)]
    assert joined((span for half in halves for span in half), STEP) == whole
    assert {s.first + n * STEP for s in whole for n in range(round((s.last - s.first) / STEP) + 1)} == set(moments)


@given(st.sets(st.integers(0, 60)), st.floats(0, 300))
def test_news_of_an_alert_takes_turns(present, bridge):
    spans = spans_of(sorted(number * STEP for number in present), STEP)
    events = events_of(record(*spans, until=1800), bridge)
    assert [e.status for e in events] == [("firing", "resolved")[n % 2] for n in range(len(events))]
    assert all(before.at < after.at for before, after in pairwise(events))


@given(st.integers(0, 10**6), st.integers(1, 100_000), st.sampled_from([1.0, 15.0, 30.0, 0.25]))
def test_chunks_are_the_grid_without_a_moment_twice_or_missing(first, points, step):
    found = list(chunks(first * step, (first + points) * step, step))
    sizes = [round((end - start) / step) + 1 for start, end in found]
    assert max(sizes) <= MOST_POINTS < 11_000
    assert sum(sizes) == points + 1
    assert all(abs(b[0] - a[1] - step) < 1e-6 for a, b in pairwise(found))


def test_an_address_is_shown_without_its_password():
    assert shown("https://me:pw@prometheus.example:9090/x") == "https://prometheus.example:9090/x"
