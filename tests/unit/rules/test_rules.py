# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When each alert fires and when it resolves, decided by Prometheus' own engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from autoglm_recovery.policy import Policy, parse_policy
from autoglm_recovery.rules.render import render_rules
from tests.unit.rules.timeline import UNIT, Player, Timeline

OOM, CRASHED, UNRESPONSIVE = "InferenceOOMKilled", "InferenceCrashed", "InferenceUnresponsive"
DRAINED, LEFT_OUT = "InferenceDrained", "InferenceLeftOut"


Timelines = Callable[[int], Timeline]


@pytest.fixture
def timeline(promtool: str, policy: Policy, tmp_path: Path) -> Timelines:
    """Timelines that are played to the rules when the `with` block that describes them ends."""
    return lambda seconds: Timeline(seconds, Player(promtool, render_rules(policy), tmp_path))


def test_nothing_fires_while_all_is_well(timeline: Timelines) -> None:
    with timeline(120) as t:
        for at in (0, 2, 60, 120):
            t.expect(at)


def test_an_oom_kill_is_one_on_the_host_whose_unit_failed(timeline: Timelines) -> None:
    """The counter rises on both, because containers share a kernel; the unit of node-b is well."""
    with timeline(60) as t:
        t.oom_kill(at=20)
        t.unit("node-a", "failed", since=20)
        t.endpoint("node-a", answers=False, since=20)
        t.expect(18)
        for at in (20, 22, 24, 40, 60):
            t.expect(at, (OOM, "node-a"))
        t.expect_alert(
            at=30,
            name=OOM,
            labels={
                "failure_class": "oom",
                "nature": "state",
                "severity": "critical",
                "host": "node-a",
                "service": "llm-node-a",
                "pool": "llm",
                "unit": UNIT,
            },
            annotations={
                "summary": "llm-node-a on node-a was killed for lack of memory",
                "description": "The kernel's OOM killer struck on node-a within 2m, and llm.service has failed since. "
                "Where the exporter reads the kernel's log, it struck in this unit.",
                "runbook": "autoglm.recovery acts by the policy, one step after the other until one helps - "
                "restart_process, failover_and_rebuild, a person is called.",
            },
        )


def test_the_rest_of_the_unit_may_take_its_time_to_stop(timeline: Timelines) -> None:
    with timeline(200) as t:
        t.oom_kill(at=20)
        t.unit("node-a", "deactivating", since=20)
        t.endpoint("node-a", answers=False, since=20)
        t.unit("node-a", "failed", since=110)
        t.expect(108)
        t.expect(110, (OOM, "node-a"))
        t.expect(200, (OOM, "node-a"))


def test_the_class_outlasts_the_window_of_the_kill(timeline: Timelines) -> None:
    with timeline(400) as t:
        t.oom_kill(at=20)
        t.unit("node-a", "failed", since=20)
        t.endpoint("node-a", answers=False, since=20)
        t.expect(400, (OOM, "node-a"))


def test_an_alert_resolves_when_the_endpoint_answers_not_when_the_process_starts(
    timeline: Timelines,
) -> None:
    with timeline(100) as t:
        t.oom_kill(at=20)
        t.unit("node-a", "failed", since=20)
        t.endpoint("node-a", answers=False, since=20, until=60)
        t.unit("node-a", "activating", since=40)
        t.unit("node-a", "active", since=44)
        t.expect(42, (OOM, "node-a"))
        t.expect(58, (OOM, "node-a"))
        t.expect(60)
        t.expect(100)


def test_a_crash_is_called_a_crash(timeline: Timelines) -> None:
    with timeline(60) as t:
        t.unit("node-b", "failed", since=20)
        t.endpoint("node-b", answers=False, since=20, until=40)
        t.unit("node-b", "active", since=38)
        t.expect(20)
        t.expect(22, (CRASHED, "node-b"))
        t.expect(38, (CRASHED, "node-b"))
        t.expect(40)


def test_a_kill_seen_one_scrape_late_is_still_an_oom_kill(timeline: Timelines) -> None:
    with timeline(40) as t:
        t.unit("node-a", "failed", since=20)
        t.endpoint("node-a", answers=False, since=20)
        t.oom_kill(at=22)
        t.expect(20)
        t.expect(22, (OOM, "node-a"))
        t.expect(40, (OOM, "node-a"))


def test_a_kill_elsewhere_does_not_turn_a_crash_into_an_oom_kill(timeline: Timelines) -> None:
    with timeline(90) as t:
        t.unit("node-b", "failed", since=20)
        t.endpoint("node-b", answers=False, since=20)
        t.oom_kill(at=40)
        t.unit("node-a", "failed", since=40)
        t.endpoint("node-a", answers=False, since=40)
        t.expect(38, (CRASHED, "node-b"))
        t.expect(40, (CRASHED, "node-b"), (OOM, "node-a"))
        t.expect(90, (CRASHED, "node-b"), (OOM, "node-a"))


def test_a_crash_that_was_healed_and_then_an_oom_kill(timeline: Timelines) -> None:
    with timeline(90) as t:
        t.unit("node-a", "failed", since=10)
        t.endpoint("node-a", answers=False, since=10, until=30)
        t.unit("node-a", "active", since=28)
        t.oom_kill(at=60)
        t.unit("node-a", "failed", since=60)
        t.endpoint("node-a", answers=False, since=60)
        t.expect(20, (CRASHED, "node-a"))
        t.expect(40)
        t.expect(60, (OOM, "node-a"))
        t.expect(90, (OOM, "node-a"))


def test_systemd_restarting_it_again_and_again_is_a_crash(timeline: Timelines) -> None:
    with timeline(120) as t:
        t.endpoint("node-a", answers=False, since=10, until=80)
        for at in (10, 20, 30, 40):
            t.unit("node-a", "activating", since=at)
            t.systemd_restarts("node-a", at=at)
            t.unit("node-a", "active", since=at + 4)
        t.expect(28)
        t.expect(44, (CRASHED, "node-a"))
        t.expect(78, (CRASHED, "node-a"))
        t.expect(80)


def test_one_restart_by_systemd_that_helps_is_no_alert(timeline: Timelines) -> None:
    with timeline(60) as t:
        t.unit("node-a", "activating", since=20)
        t.systemd_restarts("node-a", at=20)
        t.unit("node-a", "active", since=22)
        t.endpoint("node-a", answers=False, since=20, until=40)
        for at in (20, 24, 30, 38, 40, 60):
            t.expect(at)


def test_a_silent_engine_is_unresponsive_after_as_many_heartbeats_as_the_policy_says(
    timeline: Timelines,
) -> None:
    with timeline(60) as t:
        t.endpoint("node-a", answers=False, since=20, until=40)
        t.expect(24)
        t.expect(26, (UNRESPONSIVE, "node-a"))
        t.expect(38, (UNRESPONSIVE, "node-a"))
        t.expect(40)


def test_one_missed_heartbeat_is_no_alert(timeline: Timelines) -> None:
    with timeline(60) as t:
        t.endpoint("node-a", answers=False, since=20, until=24)
        t.endpoint("node-a", answers=False, since=26, until=30)
        for at in (22, 26, 28, 30, 40):
            t.expect(at)


def test_an_engine_that_loads_its_model_is_left_alone(timeline: Timelines) -> None:
    with timeline(800) as t:
        t.unit("node-a", "deactivating", since=20)
        t.endpoint("node-a", answers=False, since=20)
        t.unit("node-a", "active", since=24)
        for at in (26, 60, 300, 600):
            t.expect(at)
        # but not for ever
        t.expect(700, (UNRESPONSIVE, "node-a"))


def test_an_engine_that_answered_once_has_no_more_grace(timeline: Timelines) -> None:
    with timeline(100) as t:
        t.unit("node-a", "activating", since=10)
        t.unit("node-a", "active", since=12)
        t.endpoint("node-a", answers=False, since=10, until=30)
        t.endpoint("node-a", answers=False, since=40)
        t.expect(28)
        t.expect(48, (UNRESPONSIVE, "node-a"))


def test_a_unit_that_was_stopped_on_purpose_is_nobodys_business(timeline: Timelines) -> None:
    with timeline(120) as t:
        t.unit("node-a", "deactivating", since=20)
        t.endpoint("node-a", answers=False, since=20)
        t.unit("node-a", "inactive", since=24)
        for at in (20, 24, 30, 60, 120):
            t.expect(at)


def test_stopping_a_failed_unit_for_good_ends_its_alert(timeline: Timelines) -> None:
    with timeline(120) as t:
        t.unit("node-a", "failed", since=20)
        t.endpoint("node-a", answers=False, since=20)
        t.unit("node-a", "inactive", since=40)
        t.expect(50, (CRASHED, "node-a"))
        t.expect(80)


def test_a_restart_of_a_silent_engine_does_not_resolve_before_it_answers(timeline: Timelines) -> None:
    with timeline(100) as t:
        t.endpoint("node-a", answers=False, since=20, until=80)
        t.unit("node-a", "deactivating", since=40)
        t.unit("node-a", "inactive", since=44)
        t.unit("node-a", "active", since=48)
        for at in (26, 42, 46, 50, 78):
            t.expect(at, (UNRESPONSIVE, "node-a"))
        t.expect(80)


def test_a_restart_of_the_exporter_neither_raises_nor_resolves(timeline: Timelines) -> None:
    with timeline(100) as t:
        t.oom_kill(at=20)
        t.unit("node-a", "failed", since=20)
        t.endpoint("node-a", answers=False, since=20)
        t.exporter_silent("node-a", since=30, until=36)
        t.exporter_silent("node-b", since=50, until=56)
        for at in (28, 30, 34, 36, 40, 50, 60, 100):
            t.expect(at, (OOM, "node-a"))


def test_a_dead_host_is_not_an_unresponsive_service(timeline: Timelines) -> None:
    with timeline(100) as t:
        t.host_silent("node-a", since=20)
        t.expect(24)
        for at in (26, 40, 100):
            t.expect(at, ("NodeDown", "node-a"))


def test_a_reboot_is_not_an_oom_kill(timeline: Timelines) -> None:
    with timeline(100) as t:
        t.reboot("node-a", at=20)
        t.unit("node-a", "failed", since=30)
        t.endpoint("node-a", answers=False, since=20)
        t.expect(40, (CRASHED, "node-a"))


def test_an_oom_kill_soon_after_a_reboot_is_seen(timeline: Timelines) -> None:
    with timeline(100) as t:
        t.reboot("node-a", at=20)
        t.oom_kill(at=40)
        t.unit("node-a", "failed", since=40)
        t.endpoint("node-a", answers=False, since=40)
        t.expect(50, (OOM, "node-a"))


def test_old_kills_that_the_first_scrape_finds_say_nothing(timeline: Timelines) -> None:
    """Prometheus starts; the counters stand at 7 already; one unit has failed, nobody knows why."""
    with timeline(100) as t:
        t.unit("node-a", "failed", since=0)
        t.endpoint("node-a", answers=False, since=0)
        t.only_from(20)
        t.expect(20)
        t.expect(30, (CRASHED, "node-a"))


def test_an_older_exporter_without_the_optional_metrics_is_enough(timeline: Timelines) -> None:
    with timeline(100) as t:
        t.without("node_systemd_service_restart_total")
        t.without("node_systemd_unit_start_time_seconds")
        t.without("node_time_seconds")
        t.oom_kill(at=20)
        t.unit("node-a", "failed", since=20)
        t.endpoint("node-a", answers=False, since=20, until=40)
        t.unit("node-a", "active", since=38)
        t.endpoint("node-b", answers=False, since=60)
        t.expect(30, (OOM, "node-a"))
        t.expect(40)
        t.expect(66, (UNRESPONSIVE, "node-b"))


def test_a_target_without_a_unit_is_watched_for_silence(timeline: Timelines) -> None:
    with timeline(60) as t:
        t.without_unit_label()
        t.endpoint("node-a", answers=False, since=20, until=40)
        t.expect(24)
        t.expect(26, (UNRESPONSIVE, "node-a"))
        t.expect(40)


def test_a_longer_interval_keeps_its_ranges_wide_enough(promtool: str, tmp_path: Path) -> None:
    rules = render_rules(parse_policy("monitoring: {interval: 1m, heartbeat: {retries: 2}}"))
    assert "[2m]" not in rules  # two samples or none
    assert "for: 2m\n" in rules
    with Timeline(60, Player(promtool, rules, tmp_path)) as t:
        t.expect(60)


@pytest.mark.parametrize("state", ["DRAIN", "MAINT"])
def test_one_that_serves_and_was_left_out_of_traffic_is_told(timeline: Timelines, state: str) -> None:
    with timeline(1200) as t:
        t.balancer("node-a", state, since=60, until=1080)
        t.balancer("node-b", "UP", since=0)
        for at in (60, 900, 950):
            t.expect(at)
        for at in (970, 1070):
            t.expect(at, (DRAINED, "node-a"))
        t.expect(1090)


def test_a_drain_with_its_restart_is_not_told(timeline: Timelines) -> None:
    with timeline(1200) as t:
        t.balancer("node-a", "DRAIN", since=60, until=720)
        for at in (700, 1000, 1200):
            t.expect(at)


def test_a_run_may_drain_for_as_long_as_it_likes(timeline: Timelines) -> None:
    with timeline(3600) as t:
        t.at_work("node-a", since=60, until=3000)
        t.taken_out("node-a", since=70, until=2990)
        t.balancer("node-a", "DRAIN", since=72, until=2988)
        for at in (200, 1000, 1800, 2900, 2990, 3000, 3300, 3600):
            t.expect(at)


def test_a_service_is_not_told_because_another_on_its_host_is_drained(timeline: Timelines) -> None:
    with timeline(1200) as t:
        t.other_service_drained("node-a", since=0)
        t.expect(1200)


def test_what_a_run_has_left_out_is_told_whatever_the_balancer(timeline: Timelines) -> None:
    with timeline(900) as t:
        t.at_work("node-a", since=60, until=300)
        t.taken_out("node-a", since=70, until=800)
        t.expect(298)
        t.expect(418)
        for at in (422, 500):
            t.expect(at, (LEFT_OUT, "node-a"))
        # The repair takes the host, and the proof of its success is that the note is gone.
        t.at_work("node-a", since=600, until=810)
        t.expect(700, (LEFT_OUT, "node-a"))
        t.expect(802)


def test_what_is_out_with_its_host_under_quarantine_is_not_left_out(timeline: Timelines) -> None:
    with timeline(700) as t:
        t.quarantined("node-a", since=60, until=400)
        t.taken_out("node-a", since=70, until=650)
        t.expect(398)
        t.expect(600, (LEFT_OUT, "node-a"))


def test_what_a_run_has_left_out_and_is_down_is_told_as_what_it_is(timeline: Timelines) -> None:
    with timeline(300) as t:
        t.taken_out("node-a", since=20, until=400)
        t.unit("node-a", "failed", since=10)
        t.endpoint("node-a", answers=False, since=10)
        for at in (60, 298):
            t.expect(at, (CRASHED, "node-a"))


def test_left_out_goes_on_while_nobody_tells_of_notes(timeline: Timelines) -> None:
    with timeline(500) as t:
        t.taken_out("node-a", since=20, until=480)
        t.own_exporter_silent("node-a", since=200, until=400)
        for at in (160, 300, 420, 470):
            t.expect(at, (LEFT_OUT, "node-a"))
        t.expect(482)
