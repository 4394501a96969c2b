# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the labels of an alert say to the rules holds on when the alert ends while its fault is not over."""

from __future__ import annotations

import pytest

from autoglm_recovery.receiver.observe.silences import SilenceSnapshot, read_silences
from autoglm_recovery.receiver.store import schema
from tests.unit.receiver.desk import GPU, desk
from tests.unit.receiver.observe.test_silences import entry, matcher

OOM = "recovery: {strategies: {oom: {delay: 0s, backoff: 0s}}}"
SILENCED = "guardrails: {silences: {alertmanager: 'http://127.0.0.1:1'}}\n" + OOM
WINDOW = """
guardrails:
  maintenance_windows:
    - {name: by hand, match: 'rack="r1"', start: "2027-01-15T00:00:00Z", end: "2027-01-16T00:00:00Z"}
"""
GPU_FAULT = """
guardrails: {max_pool_unavailable: 100%, max_fleet_unavailable: 100%}
recovery: {strategies: {gpu_fault: {action: retry_with_backoff, then: [reboot_node], delay: 0s}}}
"""
PARTITION = {"fault_mode": "partition", "gpu_uuid": GPU}


@pytest.fixture
def at(tmp_path):
    with desk(tmp_path, OOM) as made:
        made.probe, made.watchdog_at = "unhealthy", 0.0
        yield made


def silence(*matchers):
    return SilenceSnapshot(read_silences([entry(endsAt="2099-01-01T00:00:00Z", matchers=list(matchers))]))


@pytest.mark.parametrize("runs_before", [0, 1])
def test_what_a_person_has_silenced_is_left_alone_when_its_alert_ends(at, runs_before):
    at.policy(SILENCED)
    if not runs_before:
        at.silences = silence(matcher("host", "node-a"))
    began = at.fire("node-a", "oom")
    if runs_before:
        at.silences = silence(matcher("host", "node-a"))
        at.end_run("node-a", 0)
    at.resolve("node-a", "oom", began)
    at.pass_time(60)
    at.turn()
    assert len(at.rows_of_runs()) == runs_before
    assert at.state() == "waiting"
    assert "by ann: swapping the card" in at.incident().reason
    at.silences = silence(matcher("host", "node-b"))
    at.pass_time(60)
    at.turn()
    assert len(at.rows_of_runs()) == runs_before + 1


def test_an_alert_that_fires_beside_one_that_ended_has_to_be_silenced_itself(at):
    at.policy(SILENCED)
    began = at.post("firing", "node-a", "oom", alertname="Ended")
    at.silences = silence(matcher("alertname", "Fires"))
    at.post("resolved", "node-a", "oom", began, alertname="Ended")
    at.fire("node-a", "oom", alertname="Fires")
    assert at.running() == {}
    at.silences = silence(matcher("alertname", "Ended"))
    at.pass_time(60)
    at.turn()
    assert at.running() == {"node-a": "restart_process"}


def test_a_window_for_labels_stays_when_the_alert_that_has_them_ends(at):
    began = at.fire("node-a", "oom", rack="r1")
    at.policy(WINDOW + OOM)
    at.end_run("node-a", 0)
    at.resolve("node-a", "oom", began, rack="r1")
    assert at.running() == {}
    assert "maintenance window 'by hand'" in at.incident().reason


@pytest.mark.parametrize("rc", [0, 2])
def test_a_partition_stays_one_when_its_alert_ends_and_after_any_run(at, rc):
    at.policy(GPU_FAULT)
    began = at.fire("node-a", "gpu_fault", nature="event", **PARTITION)
    assert at.incident().fault_mode == "partition"
    at.resolve("node-a", "gpu_fault", began, nature="event", **PARTITION)
    assert at.end_run("node-a", rc) == "retry_with_backoff"
    at.pass_time(3600)
    at.turn()
    assert (at.running(), at.state(), at.incident().fault_mode) == ({}, "escalated", "partition")
    assert "in a partition nobody knows who is alive" in at.incident().reason


def test_a_partition_that_another_alert_told_of_stays_one_too(at):
    at.policy(GPU_FAULT)
    at.fire("node-a", "gpu_fault", gpu_uuid=GPU)
    began = at.fire("node-a", "gpu_fault", nature="event", alertname="SplitBrain", **PARTITION)
    at.resolve("node-a", "gpu_fault", began, nature="event", alertname="SplitBrain", **PARTITION)
    at.end_run("node-a", 2)
    assert (at.running(), at.state()) == ({}, "escalated")
    assert [row.status for row in at.rows(schema.alerts)] == ["firing", "firing", "resolved"]
