# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alerts of one target are one incident with a named cause, and a host's failure explains its services'."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoglm_recovery.receiver.fleet.fleet import Fleet
from autoglm_recovery.receiver.intake.payload import fingerprint
from autoglm_recovery.receiver.operators import orders
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store import schema
from autoglm_recovery.receiver.values.model import Alert
from tests.unit.receiver.desk import FLEET, GPU, PERSON, START, desk

SLOW = "recovery: {strategies: {oom: {delay: 1h}, overload: {delay: 1h}, gpu_lost: {delay: 1h}}}"


@pytest.fixture
def at(tmp_path):
    """Return a desk."""
    with desk(tmp_path) as made:
        yield made


@pytest.fixture
def slow(tmp_path):
    """Return a desk that waits before it acts."""
    with desk(tmp_path, SLOW) as made:
        yield made


def test_a_lost_gpu_is_the_cause_of_an_oom_and_an_oom_of_latency(slow):
    slow.fire("node-c", "overload")
    assert slow.incident().root_cause == "Alertoverload"
    slow.fire("node-c", "oom")
    assert (slow.incident().failure_class, slow.incident().root_cause) == ("oom", "Alertoom")
    slow.fire("node-c", "gpu_lost", gpu_uuid=GPU)
    row = slow.incident()
    assert (row.failure_class, row.root_cause, row.gpu) == ("gpu_lost", "Alertgpu_lost", GPU)
    slow.fire("node-c", "not_ready")
    assert slow.incident().failure_class == "gpu_lost"
    assert len(slow.rows(schema.incidents)) == 1
    assert "root cause is gpu_lost (Alertgpu_lost), of which oom is an effect" in slow.timeline()


def test_the_cause_is_found_whatever_the_order_within_one_delivery(slow):
    names = ["overload", "gpu_lost", "oom"]
    alerts = []
    for name in names:
        labels = {"alertname": name, "failure_class": name, "host": "node-c"}
        alerts.append(Alert("firing", labels, {}, START, None, fingerprint(labels)))
    slow.commit(*alerts)
    slow.turn()
    assert [(row.failure_class, row.root_cause) for row in slow.rows(schema.incidents)] == [("gpu_lost", "gpu_lost")]
    assert {row.incident_id for row in slow.rows(schema.alerts)} == {1}


def test_a_cause_that_comes_late_is_followed_once_the_run_has_ended(at):
    at.fire("node-c", "oom")
    assert at.running() == {"node-c": "restart_process"}
    at.fire("node-c", "gpu_lost")
    assert (at.state(), at.incident().failure_class) == ("running", "gpu_lost")
    assert at.end_run("node-c", 1) == "restart_process"
    assert at.running() == {"node-c": "failover_and_rebuild"}
    assert "rung 1 of 3 for gpu_lost" in at.incident().reason


def test_a_cause_that_comes_late_is_acted_on_although_a_person_was_called_about_the_effect(at):
    at.fire("node-c", "unknown")
    assert at.state() == "escalated"
    at.fire("node-c", "crash")
    assert at.running() == {"node-c": "restart_process"}


def test_what_fires_again_updates_its_incident_and_is_no_second_one(at):
    start = at.fire("node-c", "oom")
    at.pass_time(60)
    at.post("firing", "node-c", "oom", start, group="again")
    at.turn()
    assert len(at.rows(schema.incidents)) == 1


def test_an_incident_ends_when_the_last_of_its_alerts_has_resolved(slow):
    first = slow.fire("node-c", "oom")
    second = slow.fire("node-c", "overload")
    slow.resolve("node-c", "oom", first)
    assert slow.state() == "waiting"
    slow.resolve("node-c", "overload", second)
    assert (slow.state(), slow.incident().reason) == (
        "resolved",
        "the alert resolved before anything was started, and its own probe says so: node-c is healthy",
    )


ENDS_UNHEARD = [("firing", "resolved"), ("resolved",)]


@pytest.mark.parametrize("told", ENDS_UNHEARD)
@pytest.mark.parametrize("nature", ["event", "state", ""])
@pytest.mark.parametrize(("probe", "state"), [("healthy", "resolved"), ("unhealthy", "running"), (None, "verifying")])
def test_of_what_has_ended_before_anybody_looked_the_service_is_asked(at, told, nature, probe, state):
    labels = {"alertname": "a", "failure_class": "oom", "host": "node-c", "nature": nature}
    at.probe = probe
    at.commit(*(Alert(status, labels, {}, START, None, "f") for status in told))
    at.turn()
    assert at.state() == state
    assert [row.outcome for row in at.rows(schema.alerts)] == ["joined"] * len(told)
    assert at.running() == ({"node-c": "restart_process"} if state == "running" else {})


@pytest.mark.parametrize("told", ENDS_UNHEARD)
@pytest.mark.parametrize("labels", [{"failure_class": "oom", "host": "node-x"}, {"alertname": "Watchdog"}])
def test_the_end_of_what_would_have_opened_nothing_opens_nothing(at, told, labels):
    named = {"alertname": "a", "host": "node-c"} | labels
    at.commit(*(Alert(status, named, {}, START, None, "f") for status in told))
    at.turn()
    assert at.rows(schema.incidents) == []


@pytest.mark.parametrize("fingerprint_", [f"f{number}" for number in range(8)])
def test_what_one_commit_stores_of_an_alert_is_taken_in_as_it_happened(at, fingerprint_):
    """Whatever the hash of its key is, by which rows may be ordered."""
    labels = {"alertname": "a", "failure_class": "oom", "host": "node-c", "nature": "state"}
    at.probe = None
    at.commit(
        *(Alert(*told, fingerprint=fingerprint_) for told in (
            ("firing", labels, {}, START, None),
            ("resolved", labels, {}, START, START + 5),
            ("firing", labels, {}, START + 9, None),
        ))
    )  # fmt: skip
    at.turn()
    rows = at.rows(schema.alerts)
    assert [(row.status, row.starts_at, row.outcome) for row in rows] == [
        ("firing", START, "joined"),
        ("resolved", START, "joined"),
        ("firing", START + 9, "joined"),
    ]
    assert at.running() == {"node-c": "restart_process"}


def test_another_alert_under_the_fingerprint_of_one_neither_ends_it_nor_hides_it(slow):
    mine = {"alertname": "a", "failure_class": "oom", "host": "node-c", "nature": "state"}
    posted = {"alertname": "b", "failure_class": "oom", "host": "node-a", "nature": "state"}
    slow.commit(Alert("firing", posted, {}, START, None, "f"), sender="another")
    # As if it were the same again: it is stored, and counts.
    assert slow.commit(Alert("firing", mine, {}, START, None, "f")).new == 1
    slow.turn()
    assert [row.host for row in slow.rows(schema.incidents)] == ["node-a", "node-c"]
    slow.commit(Alert("resolved", posted, {}, START, START + 1, "f"), sender="another")
    slow.turn()
    assert [slow.state(number) for number in (1, 2)] == ["resolved", "waiting"]
    with slow.database.reading() as connection:
        assert [row.labels for row in store.firing(connection, 2)] == [mine]
    # Nor does it join the incident of the other.
    slow.commit(Alert("firing", posted | {"host": "node-b"}, {}, START, None, "f"), sender="another")
    slow.turn()
    assert {(row.incident_id, row.labels["host"]) for row in slow.rows(schema.alerts)} == {
        (1, "node-a"),
        (2, "node-c"),
        (3, "node-b"),
    }


def test_an_end_that_is_told_again_is_asked_about_once(at):
    for group in ("g", "h"):
        labels = {"alertname": "a", "failure_class": "oom", "host": "node-c"}
        at.commit(Alert("resolved", labels, {}, START, START + 5, "f"), group=group)
        at.turn()
    assert [row.state for row in at.rows(schema.incidents)] == ["resolved"]
    assert [row.outcome for row in at.rows(schema.alerts)] == ["joined", "ignored"]


def test_the_end_that_came_before_the_beginning_is_the_end(slow):
    slow.post("resolved", "node-c", "oom", START)
    slow.turn()
    slow.post("firing", "node-c", "oom", START)
    slow.turn()
    assert [row.state for row in slow.rows(schema.incidents)] == ["resolved"]
    assert [row.outcome for row in slow.rows(schema.alerts)] == ["joined", "doubted"]


def test_a_lost_gpu_of_a_host_explains_the_oom_of_a_service_on_it(at):
    at.fire("node-a", "gpu_lost", gpu_uuid=GPU)
    start = at.fire("node-a", "oom", service="llama")
    assert at.running() == {"node-a": "failover_and_rebuild"}
    assert (at.state(2), at.incident(2).explained_by) == ("held", 1)
    assert at.incident(2).reason == f"explained by incident 1 (gpu_lost of {GPU} on node-a)"
    at.resolve("node-a", "oom", start, service="llama")
    # Its host is busy with the cause.
    assert at.state(2) == "verifying"
    for _ in range(3):
        at.end_run("node-a", 1)
    at.pass_time(600)
    at.turn()
    assert at.state(2) == "resolved"


def test_what_is_explained_is_looked_at_again_when_its_cause_has_ended(at):
    start = at.fire("node-a", "gpu_lost")
    at.fire("node-a", "oom", service="llama")
    at.end_run("node-a", 0)
    assert (at.state(1), at.state(2)) == ("verifying", "held")
    at.resolve("node-a", "gpu_lost", start)
    assert at.state(1) == "resolved"
    assert at.running() == {"node-a": "restart_process"}
    assert any("incident 1, which explained this one, has ended" in line for line in at.timeline(2))


def test_a_cause_that_comes_after_its_effect_takes_over(slow):
    slow.fire("node-a", "oom", service="llama")
    slow.fire("node-a", "crash", service="embed")
    slow.fire("node-a", "node_down")
    assert (slow.state(1), slow.incident(1).explained_by) == ("held", 3)
    assert slow.running() == {"node-a": "restart_process"}  # of the crash, which had begun
    slow.end_run("node-a", 1)
    assert slow.running() == {"node-a": "failover_and_rebuild"}
    assert (slow.state(2), slow.incident(2).explained_by) == ("held", 3)


def test_a_shallower_failure_of_the_host_explains_nothing(at):
    at.fire("node-a", "overload")
    at.fire("node-a", "oom", service="llama")
    assert at.state(2) == "waiting"
    assert "incident 1 has a run on node-a" in at.incident(2).reason


def test_a_person_may_have_the_effect_acted_on_all_the_same(at):
    at.policy("guardrails: {max_pool_unavailable: 100%, max_fleet_unavailable: 100%}")
    at.fire("node-a", "unknown")
    at.fire("node-a", "intrusion")
    at.end_run("node-a", 0)
    at.fire("node-a", "oom", service="llama")
    assert at.state(2) == "held"
    at.order(2, "approve")
    assert at.running() == {"node-a": "restart_process"}


def test_an_effect_that_a_person_approved_passes_no_other_guardrail(at):
    at.fire("node-a", "intrusion")
    at.end_run("node-a", 0)
    at.fire("node-a", "oom", service="llama")
    with at.clock():
        orders.turn(at.database, orders.PauseCommand.pause, PERSON)
    at.order(2, "approve")
    assert at.state(2) == "waiting"
    assert "all actions are paused" in at.incident(2).reason
    assert at.running() == {}


def test_an_alert_that_flaps_is_seen_said_and_slows_us_down(at):
    at.policy("recovery: {persistent_within: 0s, flapping: {times: 3, window: 15m, delay: 30s, person_at: 5}}")
    for fired in range(1, 6):
        start = at.fire("node-c", "oom")
        number = len(at.rows(schema.incidents))
        if fired < 3:
            assert at.running() == {"node-c": "restart_process"}
        elif fired < 5:
            wait = 30 * 2 ** (fired - 3)
            assert f"the alert is flapping (fired {fired} times within 15m)" in at.incident(number).reason
            assert at.incident(number).due_at == at.now + wait
            at.pass_time(wait)
            at.turn()
            assert at.running() == {"node-c": "restart_process"}
        else:
            assert at.state(number) == "escalated"
            assert "calls a person at 5" in at.incident(number).reason
            break
        at.pass_time(5)
        at.end_run("node-c", 0)
        at.resolve("node-c", "oom", start)
        at.pass_time(5)


def test_a_host_that_leaves_the_inventory_while_its_incident_waits_is_left_alone(slow):
    slow.fire("node-c", "oom")
    fleet = Fleet({name: host for name, host in FLEET.hosts.items() if name != "node-c"})
    slow.config = replace(slow.config, fleet=fleet)
    slow.pass_time(3600)
    slow.turn()
    assert slow.state() == "escalated"
    assert "service llama of host node-c is not in the inventory any more" in slow.incident().reason


def test_a_storm_is_at_most_one_incident_a_target(tmp_path):
    with desk(tmp_path) as at:
        alerts = []
        for number in range(3000):
            host = ("node-a", "node-b", "node-c")[number % 3]
            labels = {"failure_class": "crash", "host": host, "service": "llama", "n": str(number)}
            alerts.append(Alert("firing", labels, {}, START, None, fingerprint(labels)))
        at.commit(*alerts)
        at.turn()
        assert len(at.rows(schema.incidents)) == 3
        assert len(at.running()) == 3
        assert {row.outcome for row in at.rows(schema.alerts)} == {"joined"}
