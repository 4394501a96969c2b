# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts and targets that are not heard of: when that is a host that is down, and when nobody knows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from autoglm_recovery.policy import Policy, parse_policy
from autoglm_recovery.rules.render import render_rules
from tests.unit.rules.timeline import UNIT, Player, Timeline

DOWN, HOST_GONE, SERVICE_GONE, EXPORTER_GONE = "NodeDown", "HostVanished", "InferenceVanished", "ExporterVanished"
CRASHED, UNRESPONSIVE = "InferenceCrashed", "InferenceUnresponsive"

Timelines = Callable[[int], Timeline]


@pytest.fixture
def timeline(promtool: str, policy: Policy, tmp_path: Path) -> Timelines:
    return lambda seconds: Timeline(seconds, Player(promtool, render_rules(policy), tmp_path))


def test_a_host_of_which_nothing_answers_is_down_after_as_many_heartbeats_as_the_policy_says(
    timeline: Timelines,
) -> None:
    with timeline(100) as t:
        t.host_silent("node-a", since=20, until=60)
        t.expect(24)
        t.expect(26, (DOWN, "node-a"))
        t.expect(58, (DOWN, "node-a"))
        t.expect(60)
        t.expect(100)
        t.expect_labels(
            30,
            {
                "alertname": DOWN,
                "failure_class": "node_down",
                "nature": "state",
                "severity": "critical",
                "host": "node-a",
            },
        )


def test_the_heartbeat_of_the_policy_decides(promtool: str, tmp_path: Path) -> None:
    rules = render_rules(parse_policy("monitoring: {interval: 2s, heartbeat: {interval: 4s, retries: 5}}"))
    with Timeline(100, Player(promtool, rules, tmp_path)) as t:
        t.host_silent("node-a", since=20)
        t.expect(38)
        t.expect(40, (DOWN, "node-a"))


def test_two_lost_heartbeats_are_no_alert(timeline: Timelines) -> None:
    with timeline(60) as t:
        t.host_silent("node-a", since=20, until=24)
        for at in (22, 26, 40):
            t.expect(at)


def test_an_exporter_that_is_down_is_no_host_that_is_down(timeline: Timelines) -> None:
    with timeline(200) as t:
        t.exporter_silent("node-a", since=20)
        for at in (26, 60, 200):
            t.expect(at)


def test_a_service_that_was_silent_before_is_no_witness(timeline: Timelines) -> None:
    """It was stopped or has crashed, as its host could tell then; later node_exporter alone falls silent."""
    with timeline(200) as t:
        t.unit("node-a", "inactive", since=20)
        t.endpoint("node-a", answers=False, since=20)
        t.exporter_silent("node-a", since=60)
        t.unit("node-b", "failed", since=20)
        t.endpoint("node-b", answers=False, since=20)
        t.exporter_silent("node-b", since=60)
        for at in (66, 100, 200):
            t.expect(at, (CRASHED, "node-b"))


def test_a_service_that_came_back_is_a_witness_again(timeline: Timelines) -> None:
    with timeline(200) as t:
        t.unit("node-a", "inactive", since=20)
        t.endpoint("node-a", answers=False, since=20, until=50)
        t.unit("node-a", "active", since=48)
        t.host_silent("node-a", since=80)
        t.expect(60)
        t.expect(86, (DOWN, "node-a"))


def test_scrapes_of_a_dying_host_need_not_fail_at_once(timeline: Timelines) -> None:
    with timeline(100) as t:
        t.endpoint("node-a", answers=False, since=20)
        t.exporter_silent("node-a", since=24)
        t.expect(28)
        t.expect(30, (DOWN, "node-a"))
        t.expect(100, (DOWN, "node-a"))


def test_a_host_that_was_dead_before_prometheus_came_is_down(timeline: Timelines) -> None:
    with timeline(100) as t:
        t.host_silent("node-a", since=0)
        t.only_from(20)
        t.expect(26, (DOWN, "node-a"))


def test_a_host_that_is_down_stays_so_while_service_discovery_has_lost_it(timeline: Timelines) -> None:
    """As that of a cloud does with a machine that has died."""
    with timeline(300) as t:
        t.host_silent("node-a", since=20)
        for job in ("node", "inference"):
            t.vanishes("node-a", job, since=40)
        for at in (38, 42, 60, 150, 300):
            t.expect(at, (DOWN, "node-a"))


def test_a_host_that_is_lost_without_a_word_is_told_to_a_person(timeline: Timelines) -> None:
    with timeline(300) as t:
        for job in ("node", "inference"):
            t.vanishes("node-a", job, since=20, until=200)
        t.expect(78)
        t.expect(80, (HOST_GONE, "node-a"))
        t.expect(198, (HOST_GONE, "node-a"))
        t.expect(200)
        t.expect_labels(
            100,
            {
                "alertname": HOST_GONE,
                "failure_class": "unknown",
                "nature": "state",
                "severity": "critical",
                "host": "node-a",
            },
        )


def test_an_engine_whose_target_is_lost_is_told_to_a_person(timeline: Timelines) -> None:
    with timeline(200) as t:
        t.vanishes("node-a", "inference", since=20, until=150)
        t.expect(78)
        t.expect(80, (SERVICE_GONE, "node-a"))
        t.expect(150)
        t.expect_labels(
            100,
            {
                "alertname": SERVICE_GONE,
                "failure_class": "unknown",
                "nature": "state",
                "severity": "critical",
                "host": "node-a",
                "service": "llm-node-a",
                "pool": "llm",
                "unit": UNIT,
            },
        )


def test_an_exporter_whose_target_is_lost_is_a_warning(timeline: Timelines) -> None:
    with timeline(100) as t:
        t.vanishes("node-a", "node", since=20)
        t.expect(80, (EXPORTER_GONE, "node-a"))


def test_service_discovery_that_blinks_is_nobodys_business(timeline: Timelines) -> None:
    with timeline(200) as t:
        for job in ("node", "inference"):
            t.vanishes("node-a", job, since=20, until=70)
        for at in (40, 70, 80, 200):
            t.expect(at)


@pytest.mark.slow
def test_what_is_gone_for_a_day_is_forgotten(promtool: str, policy: Policy, tmp_path: Path) -> None:
    """A host that somebody has taken away raises no alert for ever."""
    up = 'up{job="node", instance="a", host="node-a"}'
    document: dict[str, object] = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "3m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": up, "values": "1 1 stale"}],
                "promql_expr_test": [
                    {
                        "eval_time": at,
                        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                        "exp_samples": [{"labels": f'{{alertname="{HOST_GONE}"}}', "value": 1}] if firing else [],
                    }
                    for at, firing in (("6m", True), ("23h", True), ("24h6m", False))
                ],
            }
        ],
    }
    Player(promtool, render_rules(policy), tmp_path).play(document)


def test_nothing_that_may_destroy_is_done_about_what_has_vanished() -> None:
    groups = yaml.safe_load(render_rules(Policy()))["groups"]
    rules = next(group["rules"] for group in groups if group["name"] == "autoglm-presence")
    classes = {rule["alert"]: rule["labels"].get("failure_class") for rule in rules if "alert" in rule}
    assert classes == {DOWN: "node_down", HOST_GONE: "unknown", SERVICE_GONE: "unknown", EXPORTER_GONE: None}
