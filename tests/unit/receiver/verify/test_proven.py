# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resolved means proven: what an end proves, what the service itself says, and what is left to a person."""

from __future__ import annotations

from itertools import pairwise

import pytest

from autoglm_recovery.receiver.console import fleet
from autoglm_recovery.receiver.store import history, schema
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.triage.nature import nature_of
from autoglm_recovery.receiver.verify.proof import Proof
from autoglm_recovery.receiver.verify.proven import EXPIRY_SPREAD_S
from tests.unit.receiver.desk import GPU, desk

# As Prometheus with node_exporter and the rules of the table has it.
OOM_KILL = {"alertname": "HostOomKillDetected", "instance": "10.20.0.11:9100", "nodename": "node-c"}


@pytest.fixture
def at(tmp_path):
    with desk(tmp_path, "recovery: {strategies: {oom: {delay: 0s, retries: 3, backoff: 2m}}}") as made:
        made.watchdog_at = 0.0
        yield made


def checks(at):
    return [row for row in at.rows(schema.runs) if row.action == "check_service"]


def repaired(at, **labels):
    began = at.fire("node-c", "oom", **labels)
    at.end_run("node-c", 0)
    return began


def proven_repairs(at):
    return at.metrics.registry.get_sample_value("autoglm_alert_to_verified_seconds_count")


def test_the_service_is_asked_where_the_end_of_a_state_may_be_an_expiry(at):
    began = repaired(at)
    at.resolve("node-c", "oom", began)
    assert at.state() == "resolved"
    assert len(checks(at)) == 1
    assert at.incident().reason.endswith("the alert has resolved, and its own probe says so: node-c is healthy")
    assert proven_repairs(at) == 1


def test_an_expiry_is_no_proof_and_one_that_is_not_is(at):
    at.config = type(at.config)(at.config.policy, at.config.fleet, frozenset({"restart_process"}), at.config.inventory)
    began = repaired(at)
    at.watchdog_at = at.now + EXPIRY_SPREAD_S  # Prometheus may have stopped after it had sent this
    at.resolve("node-c", "oom", began)
    assert at.state() == "verifying"
    assert "no Watchdog has been heard that was sent after it; there is no playbook" in at.incident().reason
    at.pass_time(301)
    at.turn()
    assert at.state() == "unproven"
    assert proven_repairs(at) == 0
    at.watchdog_at = at.now
    at.pass_time(3600)
    at.turn()
    assert at.state() == "resolved"
    assert checks(at) == []


def test_a_watchdog_that_was_away_when_the_alert_ended_makes_its_end_no_proof(at):
    """Prometheus is back, and may only wait until the fault has lasted for as long as its rule wants."""
    at.config = type(at.config)(at.config.policy, at.config.fleet, frozenset({"restart_process"}), at.config.inventory)
    began = repaired(at)
    at.resolve("node-c", "oom", began)
    at.pass_time(600)
    at.watchdog_since, at.watchdog_at = at.now - 300, at.now
    at.turn()
    assert at.state() == "unproven"
    assert "Prometheus was not heard when it ended, and is again" in at.incident().reason
    at.pass_time(3600)
    at.watchdog_at = at.now
    at.turn()
    assert at.state() == "unproven"


def test_whoever_is_asked_and_cannot_say_how_it_is_is_not_well_by_the_end_of_an_alert(at):
    """As on a host that is lost a moment after the repair: nothing can be read, and nothing fires."""
    at.probe = "unknown"
    began = repaired(at)
    at.resolve("node-c", "oom", began)
    for _ in range(10):
        at.pass_time(300)
        at.watchdog_at = at.now
        at.turn()
        assert at.state() in ("verifying", "unproven")
    assert "the service cannot tell how it is; its own probe: node-c is unknown" in at.incident().reason
    # It fires again: that is said as it was.
    at.fire("node-c", "oom")
    assert "the alert fires again, and nothing had proven that it was over" in at.timeline()


def test_the_end_of_an_event_proves_nothing(at):
    at.probe, at.watchdog_at = "unhealthy", 1e12
    began = at.fire("node-c", "oom", nature="event")
    at.end_run("node-c", 1)
    assert at.state() == "waiting"
    at.resolve("node-c", "oom", began, nature="event")
    assert at.state() == "waiting"
    assert len(checks(at)) == 1
    at.pass_time(200)
    at.turn()
    assert at.running() == {"node-c": "restart_process"}
    at.end_run("node-c", 0)
    # Its own proof was good, and a moment later it is not.
    assert at.rows_of_runs() == ["failed", "unverified"]
    assert at.state() != "resolved"


def test_what_is_sticky_holds_no_proof_up_and_a_state_does(at):
    repaired(at, nature="sticky")
    assert at.state() == "resolved"
    at.fire("node-b", "oom")
    at.end_run("node-b", 0)
    assert at.state(2) == "verifying"
    assert len(checks(at)) == 1


def test_an_event_that_fires_on_is_watched_and_what_strikes_again_is_acted_on(at):
    """The same alert would say nothing: Alertmanager sends it again as it was, and that is no news."""
    began = repaired(at, nature="event")
    assert at.state() == "verifying"
    assert "well, and its own probe says so: node-c is healthy; it is watched" in at.incident().reason
    at.pass_time(60)
    at.turn()
    assert (at.state(), len(checks(at))) == ("verifying", 2)
    at.probe = "unhealthy"
    at.post("firing", "node-c", "oom", began, nature="event")
    at.pass_time(60)
    at.turn()
    assert at.state() == "waiting"  # for the backoff of a second try
    at.pass_time(150)
    at.turn()
    assert at.running() == {"node-c": "restart_process"}
    # What the service itself had proven did its work, whatever happened then.
    at.probe = "healthy"
    at.end_run("node-c", 0)
    assert at.rows_of_runs() == ["succeeded", "succeeded"]
    assert at.state() == "verifying"
    at.resolve("node-c", "oom", began, nature="event")
    assert at.state() == "resolved"


def test_an_event_ends_with_its_end_and_a_healthy_probe(at):
    began = repaired(at, nature="event")
    at.pass_time(600)
    at.turn()
    at.probe = "unknown"
    at.pass_time(1)
    at.resolve("node-c", "oom", began, nature="event")
    assert at.state() == "verifying"
    at.probe = "healthy"
    at.pass_time(60)
    at.turn()
    assert at.state() == "resolved"
    assert proven_repairs(at) == 1


def test_a_recovery_took_as_long_as_until_the_proof_and_not_until_the_window_had_passed(at):
    began = repaired(at, nature="event")
    at.pass_time(600)
    at.resolve("node-c", "oom", began, nature="event")
    assert at.state() == "resolved"
    assert at.metrics.registry.get_sample_value("autoglm_alert_to_verified_seconds_sum") < 1


def test_an_event_that_never_ends_is_a_persons_in_the_end_who_is_told_once(at):
    at.policy("notify: ['json://127.0.0.1:9/']")
    began = repaired(at, nature="event")
    at.pass_time(3500)
    at.turn()
    assert (at.state(), at.rows(schema.notices)) == ("verifying", [])
    for _ in range(200):
        at.pass_time(60)
        at.turn()
    assert at.state() == "unproven"
    assert [row.occasion for row in at.rows(schema.notices)] == ["escalated"]
    assert len(checks(at)) < 16
    at.resolve("node-c", "oom", began, nature="event")
    assert at.state() == "resolved"


def test_a_state_that_fires_after_the_proof_is_new_and_not_waited_for(at):
    repaired(at, nature="event")
    at.pass_time(30)
    at.turn()
    at.fire("node-c", "crash")
    # Not five minutes, as for an alert that has yet to resolve after a repair.
    assert at.state() == "waiting"
    assert "backoff" in at.incident().reason
    assert at.rows_of_runs() == ["succeeded"]


ANOTHER_GPU = "GPU-22222222-2222-3333-4444-555555555555"


@pytest.mark.parametrize("nature", ["event", "sticky"])
@pytest.mark.parametrize("during_a_check", [False, True])
def test_another_event_that_begins_after_the_proof_is_acted_on_and_not_asked_away(at, nature, during_a_check):
    at.policy("recovery: {strategies: {gpu_fault: {delay: 0s}}}")
    at.fire("node-a", "gpu_fault", gpu_uuid=GPU, nature="event")
    at.end_run("node-a", 0)
    assert (at.state(), "it is watched" in at.incident().reason) == ("verifying", True)
    at.probe = None if during_a_check else "healthy"
    at.pass_time(60)
    at.turn()
    at.pass_time(1)
    at.fire("node-a", "gpu_fault", gpu_uuid=ANOTHER_GPU, nature=nature)
    at.pass_time(1)
    at.checked("healthy")
    at.pass_time(600)
    at.turn()
    assert at.running(), at.incident().reason
    assert at.rows_of_runs()[0] == "succeeded"  # as the service itself had proven
    assert any("an alert fires that began after the repair was proven" in text for text in at.timeline())


def test_what_a_repair_itself_has_raised_before_the_proof_is_watched(at):
    at.probe = None
    began = repaired(at, nature="event")
    at.pass_time(5)
    at.fire("node-c", "oom", nature="event", alertname="Late")
    at.probe = "healthy"
    at.checked("healthy")
    at.turn()
    # And told once more as it was, from wherever.
    at.pass_time(20)
    at.fire("node-c", "oom", start=began, nature="event")
    assert (at.state(), at.rows_of_runs()) == ("verifying", ["succeeded"])
    assert "it is watched" in at.incident().reason


def test_a_sender_whose_clock_is_ahead_makes_no_old_event_a_new_one(at):
    began = at.fire("node-c", "oom", start=at.now + 500, nature="event")
    at.end_run("node-c", 0)
    at.pass_time(600)
    at.turn()
    assert (began > at.now - 600, at.state(), at.rows_of_runs()) == (True, "verifying", ["succeeded"])


def test_with_verify_another_event_after_it_held_is_acted_on(at):
    text = "monitoring: {prometheus: {url: 'http://p'}}\nrecovery: {strategies: {oom: {delay: 0s, verify: 'up'}}}"
    at.policy(text)
    repaired(at, nature="event")
    at.proofs[1] = Proof(True, "it is 1")
    at.look_again()
    at.pass_time(60)
    at.fire("node-c", "oom", nature="event", alertname="Late")
    assert at.state() == "verifying"
    at.pass_time(EXPIRY_SPREAD_S)
    at.fire("node-c", "oom", nature="event", alertname="Another")
    at.pass_time(600)
    at.turn()
    assert at.rows_of_runs() == ["succeeded", "launching"]


def test_an_event_that_joins_while_what_came_and_went_is_asked_about_is_acted_on(at):
    at.probe = None
    began = at.post("firing", "node-c", "oom", nature="event")
    at.resolve("node-c", "oom", began, nature="event")
    assert (at.state(), at.rows_of_runs()) == ("verifying", [])
    at.pass_time(1)
    at.fire("node-c", "oom", nature="event", alertname="Another")
    at.checked("healthy")
    at.turn()
    assert at.running() == {"node-c": "restart_process"}


@pytest.mark.parametrize("probe", ["healthy", "unknown"])
def test_news_without_end_do_not_put_off_the_call_of_a_person_without_end(at, probe):
    at.policy("notify: ['json://127.0.0.1:9/']")
    at.probe = probe
    repaired(at, nature="event")
    for _ in range(15):
        at.pass_time(280)
        # It came and went: told at its end alone, as one that ended between two notifications of its group.
        at.resolve("node-c", "oom", at.now, nature="event", alertname="Other")
    assert at.state() == "unproven"
    assert [row.occasion for row in at.rows(schema.notices)] == ["escalated"]


def test_with_verify_an_event_that_fires_on_is_watched_too(at):
    text = "monitoring: {prometheus: {url: 'http://p'}}\nrecovery: {strategies: {oom: {delay: 0s, verify: 'up'}}}"
    at.policy(text)
    began = repaired(at, nature="event")
    at.proofs[1] = Proof(True, "it is 1")
    at.look_again()
    assert at.state() == "verifying"
    at.pass_time(1000)
    at.look_again()
    assert at.state() == "verifying"
    at.resolve("node-c", "oom", began, nature="event")
    assert at.state() == "resolved"


@pytest.mark.parametrize(("again", "then"), [("probe", "escalated"), ("alert", "running"), ("retry", "running")])
def test_the_probe_alone_resets_no_gpu_and_reboots_no_host_for_what_comes_after_a_proof(at, again, then):
    at.policy("recovery: {strategies: {gpu_fault: {delay: 0s}}}")
    at.fire("node-a", "gpu_fault", gpu_uuid=GPU, nature="event")
    assert at.running() == {"node-a": "reset_gpu"}
    at.end_run("node-a", 0)
    at.pass_time(60)
    at.turn()
    assert at.state() == "verifying"
    at.probe = "unhealthy"
    at.pass_time(1)
    if again == "alert":
        at.fire("node-a", "gpu_fault", gpu_uuid=GPU, nature="event", alertname="Other")
    at.pass_time(300)
    at.turn()
    if again == "retry":
        at.order(1, "retry")
    assert at.state() == then, at.incident().reason


def counted(at):
    """Return who is out in the pool and in the fleet, and whether the breaker waits for the first run."""
    with at.database.reading() as connection:
        past = history.of_action(connection, "failover_and_rebuild", 0.0, 5)
        pool = store.out_of_service(connection, "chat", besides=2)
        return pool, set(store.hosts_out(connection)), any(run.pending for run in past)


def test_what_is_watched_is_in_service_explains_nothing_and_its_repair_has_succeeded(at):
    at.policy("recovery: {strategies: {gpu_lost: {delay: 0s}, oom: {delay: 0s}}}")
    at.fire("node-a", "gpu_lost", nature="event")
    at.fire("node-a", "oom", service="llama")
    assert at.state(2) == "held"
    at.probe = None
    at.end_run("node-a", 0)
    assert counted(at) == ({("node-a", None)}, {"node-a"}, True)
    at.checked("healthy")
    at.turn()
    assert at.state(1) == "verifying"
    assert at.running() == {"node-a": "restart_process"}, at.incident(2).reason
    assert counted(at) == (set(), {"node-a"}, False)
    with at.database.reading() as connection:
        assert [(row.id, row.well) for row in fleet.active_incidents(connection)] == [(1, True), (2, False)]


def test_one_whose_nature_nobody_knows_has_to_end_and_its_end_is_not_enough(at):
    at.probe, at.watchdog_at = "unknown", 1e12
    began = repaired(at, nature="")
    assert at.state() == "verifying"
    assert checks(at) == []
    at.resolve("node-c", "oom", began, nature="")
    assert "the end of such an alert proves nothing; its own probe: node-c is unknown" in at.incident().reason
    at.pass_time(301)
    at.turn()
    assert at.state() == "unproven"


def test_what_is_unproven_is_asked_again_ever_more_seldom_and_told_once(at):
    at.probe = "unknown"
    at.policy("notify: ['json://127.0.0.1:9/']")
    began = repaired(at)
    at.resolve("node-c", "oom", began)
    for _ in range(200):
        at.pass_time(60)
        at.turn()
    assert at.state() == "unproven"
    assert [row.occasion for row in at.rows(schema.notices)] == ["escalated"]
    times = [row.started_at for row in checks(at)]
    pauses = [later - sooner for sooner, later in pairwise(times)]
    assert pauses[0] <= 60
    assert 1800 <= pauses[-1] <= 1900
    assert len(times) < 16
    at.probe = "healthy"
    at.pass_time(2000)
    at.turn()
    assert at.state() == "resolved"


def test_checks_count_nowhere_as_actions(at):
    at.policy("guardrails: {max_actions_per_host_per_hour: 1, max_concurrent_runs: 1}\nnotify: ['json://127.0.0.1:9/']")
    began = at.fire("node-c", "unknown")
    for _ in range(20):
        at.probe = "unhealthy"
        at.resolve("node-c", "unknown", began)
        at.pass_time(2000)
        began = at.fire("node-c", "unknown")
    assert len(checks(at)) >= 20
    at.fire("node-c", "crash")
    assert at.running() == {"node-c": "restart_process"}
    assert "rung 1" in at.incident().reason
    assert "attempt 1" not in at.incident().reason or at.rows(schema.runs)[-1].attempt == 1


def test_an_alert_that_came_and_went_is_no_recovery_of_ours(at):
    at.policy("recovery: {strategies: {oom: {delay: 1m}}}")
    began = at.fire("node-c", "oom")
    at.probe = None
    at.resolve("node-c", "oom", began)
    assert at.state() == "verifying"
    at.checked("healthy")
    at.turn()
    assert at.state() == "resolved"
    assert proven_repairs(at) == 0


def test_a_paused_fleet_is_not_asked_and_that_is_said(at):
    from autoglm_recovery.receiver.operators import orders  # noqa: PLC0415
    from tests.unit.receiver.desk import PERSON  # noqa: PLC0415

    began = repaired(at)
    with at.clock():
        orders.turn(at.database, orders.PauseCommand.pause, PERSON)
    at.resolve("node-c", "oom", began)
    assert checks(at) == []
    assert "all actions are paused" in at.incident().reason


@pytest.mark.parametrize(
    ("labels", "nature"),
    [
        (OOM_KILL, "event"),
        ({"alertname": "KubeNodeNotReady"}, "state"),
        ({"alertname": "GPUMemoryErrorDetected"}, "sticky"),
        ({"alertname": "G", "UUID": "GPU-1", "err_code": "79", "err_msg": "fell off"}, "sticky"),
        ({"alertname": "G", "UUID": "GPU-1", "xid": "79"}, "event"),
        ({"alertname": "VLLMDown"}, "state"),
        ({"alertname": "Mine", "failure_class": "oom", "nature": "state"}, "state"),
        ({"alertname": "Mine", "failure_class": "oom", "nature": "eternal"}, None),
        ({"alertname": "Mine", "failure_class": "oom"}, None),
        ({"alertname": "Theirs"}, "event"),
        ({"alertname": "Other"}, None),
    ],
)
def test_each_alert_has_a_nature_or_nobody_says(at, labels, nature):
    at.policy("classify: [{match: 'alertname=Theirs', failure_class: crash, nature: event}]")
    assert nature_of(labels, at.config.policy)[0] == nature
