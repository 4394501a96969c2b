# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the page of an incident makes of what was told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.receiver.console.incident import (
    WIDTH,
    RunShown,
    TimelineRow,
    alerts,
    is_planned,
    orders,
    plan,
    track,
    weave,
)
from autoglm_recovery.receiver.values.model import Decision, IncidentState, Verb
from autoglm_recovery.report.document import Stage

T0 = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def at(seconds):
    """Return a time."""
    return T0 + timedelta(seconds=seconds)


def run(number, begin, end=None):
    """Return a run."""
    return RunShown(
        number, "restart_process", 1, "node-a", "running", "", "local", None, at(begin), end and at(end), None, None
    )


def told(entries):
    """Return the woven entries in short: texts, and for a run its number and the texts below it."""
    return [(e.id, [x.text for x in e.lines]) if isinstance(e, RunShown) else e.text for e in entries]


def test_a_rung_that_an_earlier_incident_tried_was_tried():
    found = {"runs": [], "earlier_runs": [{"action": "restart_process", "state": "failed", "incident_id": 3}]}
    ladder = [("restart_process", ""), ("failover_and_rebuild", "")]
    shown = plan(Decision(Verb.run, "next", "failover_and_rebuild"), [], ladder, found).ladder
    assert [rung.stands for rung in shown] == ["failed in incident 3", "not tried"]


def test_what_a_run_told_is_below_it_and_the_rest_is_around_it():
    lines = [
        TimelineRow(at(0), "alert", "fires"),
        TimelineRow(at(1), "decided", "run"),
        TimelineRow(at(2), "run_started", "started 1"),
        TimelineRow(at(3), "task", "stop: ok"),
        TimelineRow(at(4), "alert", "fires again"),
        TimelineRow(at(5), "run_finished", "failed"),
        TimelineRow(at(6), "decided", "run again"),
        TimelineRow(at(7), "task", "start: ok"),
    ]
    assert told(weave(lines, [run(1, 1, 5), run(2, 6)])) == [
        "fires",
        "run",
        (1, ["started 1", "stop: ok", "failed"]),
        "fires again",
        "run again",
        (2, ["start: ok"]),
    ]


def test_a_line_dated_by_a_clock_that_is_a_little_behind_still_is_its_runs():
    assert told(weave([TimelineRow(at(9), "task", "a")], [run(1, 10)])) == [(1, ["a"])]


def test_a_line_of_no_run_stands_alone():
    assert told(weave([TimelineRow(at(0), "proof", "healthy")], [])) == ["healthy"]
    assert told(weave([TimelineRow(at(0), "task", "old")], [run(1, 60)])) == ["old", (1, [])]


@given(st.lists(st.tuples(st.integers(0, 99), st.sampled_from(["alert", "task", "proof", "decided"])), max_size=30))
def test_nothing_that_was_told_is_lost_or_told_twice(given_lines):
    lines = [TimelineRow(at(seconds), kind, str(place)) for place, (seconds, kind) in enumerate(sorted(given_lines))]
    woven = weave(lines, [run(1, 10, 20), run(2, 50)])
    texts = [x.text for e in woven for x in (e.lines if isinstance(e, RunShown) else [e])]
    assert sorted(texts) == sorted(line.text for line in lines)


@given(st.lists(st.floats(-5, 1e6), min_size=0, max_size=7))
def test_every_stage_can_be_seen_and_all_fit_on_the_track(spans):
    stages = [Stage("first", T0, timedelta(0), timedelta(0))]
    stages += [Stage(str(n), T0, timedelta(0), timedelta(seconds=s)) for n, s in enumerate(spans)]
    segments = track(stages)
    assert all(segment.width >= 6 for segment in segments)
    assert sum(segment.width for segment in segments) <= WIDTH
    assert [s.x for s in segments] == [sum(x.width for x in segments[:n]) for n in range(len(segments))]


def alert(number, status, fingerprint="f", **changes):
    """Return an alert as the API shows it."""
    return {
        "id": number, "identity": fingerprint, "status": status, "starts_at": T0.isoformat(),
        "ends_at": at(9).isoformat(), "deliveries": 1, "reason": status, "labels": {"alertname": "Oom"},
        "annotations": {}, "generator_url": "", **changes,
    }  # fmt: skip


def test_an_alert_that_has_resolved_is_shown_once_as_what_it_was():
    (shown,) = alerts([alert(1, "firing", annotations={"summary": "s"}, deliveries=2), alert(2, "resolved")])
    assert (shown.status, shown.deliveries, shown.until) == ("resolved", 3, at(9))
    assert shown.annotations == (("summary", "s"),)


def test_an_alert_that_fires_again_fires():
    shown = alerts([alert(1, "firing"), alert(2, "resolved"), alert(3, "firing"), alert(4, "firing", "g")])
    assert [(each.status, each.until) for each in shown] == [("firing", None), ("firing", None)]


@pytest.mark.parametrize("state", IncidentState)
def test_orders_are_offered_where_they_would_be_carried_out(state):
    offered = {order for order, _ in orders(state)}
    assert ("approve" in offered) == (state == "held")
    assert ("retry" in offered) == (state in ("held", "escalated", "unproven"))
    assert bool(offered) == (state not in ("resolved", "closed"))


@pytest.mark.parametrize("state", ["resolved", "closed", "running", "verifying"])
def test_nothing_is_planned_where_something_runs_or_all_is_over(state):
    assert not is_planned(state)
