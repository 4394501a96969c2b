# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Incidents live through alerts, ends of runs, orders and time in any order, and none is stuck or run twice at once."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from autoglm_recovery.receiver.operators import orders
from autoglm_recovery.receiver.store import schema
from autoglm_recovery.receiver.store.incidents import NEVER
from autoglm_recovery.receiver.verify.checks import LONGEST_WATCH_S

from .desk import FLEET, GPU, PERSON, desk

POLICY = """
recovery:
  strategies:
    oom: {delay: 5s, retries: 1, backoff: 20s}
    unresponsive: {cooldown: 30s}
  autonomy: {classes: {not_ready: ask, overload: watch}}
guardrails:
  max_concurrent_runs: 2
  circuit_breaker: {failures: 3, window: 30m, open_for: 5m}
  max_actions_per_host_per_hour: 8
"""
CLASSES = ("oom", "crash", "unresponsive", "not_ready", "overload", "gpu_lost", "gpu_fault", "node_down", "unknown")
NATURES = ("state", "event", "event", "sticky", "")
TARGETS = [(host.name, service) for host in FLEET.hosts.values() for service in (None, host.services[0].name)]
# Rungs of all ladders, each once and again where it is retried.
MOST_ATTEMPTS = 16
# Of every class, as the policy does not say otherwise.
RESOLVE_WITHIN_S = 300.0


class Life(RuleBasedStateMachine):
    """What may happen to a fleet."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        directory = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.desk = self.stack.enter_context(desk(directory, POLICY))
        self.firing: dict[tuple[str, tuple[tuple[str, str], ...], str], float] = {}
        self.paused = False
        self.begun_before_pause = 0

    def teardown(self) -> None:
        """Whatever happened, an end is reached: every run fails, time passes, and only people are waited for."""
        try:
            if self.paused:
                self.turn_switch(False)
            self.desk.probe = self.desk.probe or "unknown"
            self.desk.checked(self.desk.probe)
            for _ in range(60):
                for host in self.desk.running():
                    self.desk.end_run(host, 1)
                self.desk.pass_time(600)
                self.desk.turn()
            assert not self.desk.running()
            self.what_fires_on_is_not_over()
            states = {row.state for row in self.desk.rows(schema.incidents)}
            assert states <= {"held", "escalated", "unproven", "resolved", "closed"}, states
        finally:
            self.stack.close()

    def turn_switch(self, paused: bool) -> None:
        """Pause or resume."""
        with self.desk.clock():
            orders.turn(self.desk.database, orders.PauseCommand.pause if paused else orders.PauseCommand.resume, PERSON)
        self.paused = paused
        self.begun_before_pause = len(self.desk.rows(schema.runs))
        self.desk.turn()

    @rule(
        place=st.sampled_from(TARGETS),
        name=st.sampled_from(CLASSES),
        gpu=st.booleans(),
        nature=st.sampled_from(NATURES),
        told=st.sampled_from(["in time", "in time", "at its end", "its end alone"]),
    )
    def fire(self, place, name, gpu, nature, told):
        """An alert fires; or has fired and ended before anybody looked."""
        self.alert(place, name, gpu, nature, told)

    @rule(place=st.sampled_from(TARGETS), name=st.sampled_from(["oom", "crash"]), nature=st.sampled_from(NATURES))
    def fire_and_repair(self, place, name, nature):
        """An alert fires, and whatever runs on its host then succeeds."""
        self.alert(place, name, gpu=False, nature=nature, told="in time")
        self.desk.pass_time(60)
        self.desk.turn()
        if place[0] in self.desk.running():
            self.desk.end_run(place[0], 0)

    def alert(self, place, name, gpu, nature, told):
        """Have an alert fire."""
        host, service = place
        labels = {"nature": nature} | ({"service": service} if service else {})
        if gpu and name.startswith("gpu"):
            labels["gpu_uuid"] = GPU
        key = (host, tuple(sorted(labels.items())), name)
        if key in self.firing:
            return
        self.desk.pass_time(1)
        if told == "in time":
            self.firing[key] = self.desk.fire(host, name, **labels)
            return
        if told == "at its end":
            self.desk.post("firing", host, name, **labels)
        self.desk.resolve(host, name, self.desk.now, **labels)

    @precondition(lambda self: self.firing)
    @rule(data=st.data())
    def tell_again(self, data):
        """An alert that fires is told of again as it was, which is no news, whatever has struck meanwhile."""
        key = data.draw(st.sampled_from(sorted(self.firing)))
        host, labels, name = key
        before = len(self.desk.rows(schema.alerts))
        self.desk.fire(host, name, start=self.firing[key], **dict(labels))
        assert len(self.desk.rows(schema.alerts)) == before

    @precondition(lambda self: self.firing)
    @rule(data=st.data())
    def resolve(self, data):
        """An alert resolves."""
        key = data.draw(st.sampled_from(sorted(self.firing)))
        host, labels, name = key
        self.desk.resolve(host, name, self.firing.pop(key), **dict(labels))

    @rule(
        place=st.sampled_from(TARGETS),
        other=st.sampled_from(["crash", "deadlock"]),
        minutes=st.sampled_from([4, 16]),
    )
    def overlap(self, place, other, minutes):
        """Where a repair has just been proven one event fires on; others come and go, and at last one stays."""
        self.alert(place, "oom", gpu=False, nature="event", told="in time")
        self.desk.pass_time(60)
        self.desk.turn()
        if place[0] in self.desk.running():
            self.desk.end_run(place[0], 0)
        for _ in range(5):
            self.desk.pass_time(60 * minutes)
            self.desk.turn()
            self.alert(place, other, gpu=False, nature="event", told="its end alone")
            self.nobody_is_waited_for_without_end()
        self.alert(place, other, gpu=False, nature="event", told="in time")

    @precondition(lambda self: self.desk.running())
    @rule(data=st.data(), rc=st.sampled_from([0, 0, 1, None]))
    def end_run(self, data, rc):
        """A run ends: well, badly, or cut off."""
        self.desk.end_run(data.draw(st.sampled_from(sorted(self.desk.running()))), rc)

    @rule(seconds=st.sampled_from([1, 10, 60, 400, 2000, 8000]))
    def pass_time(self, seconds):
        """Time passes."""
        self.desk.pass_time(seconds)
        self.desk.turn()

    @rule(data=st.data(), order=st.sampled_from(["approve", "reject", "retry", "close"]))
    def order(self, data, order):
        """A person orders something that fits."""
        fitting = [row.id for row in self.desk.rows(schema.incidents) if row.state in orders._FROM[order]]
        if fitting:
            self.desk.order(data.draw(st.sampled_from(fitting)), order)

    @rule(verdict=st.sampled_from(["healthy", "unhealthy", "unknown", None]))
    def probe(self, verdict):
        """From now on a service that is asked says this, or is not asked to its end."""
        if verdict is not None and self.desk.probe is None:
            self.desk.checked(verdict)
        self.desk.probe = verdict
        self.desk.turn()

    @rule(seconds=st.sampled_from([0, 1, 1e12]), since=st.sampled_from([0, 1e12]))
    def watchdog(self, seconds, since):
        """The Watchdog was heard: never, long ago, or after everything; without a gap, or only of late."""
        self.desk.watchdog_at, self.desk.watchdog_since = seconds, since

    @invariant()
    def nothing_is_resolved_unproven(self):
        """What is resolved has a run that succeeded and an end that is credible, or a check that found it well."""
        for row in self.desk.rows(schema.incidents):
            if row.state == "resolved":
                mine = [run for run in self.desk.rows(schema.runs) if run.incident_id == row.id]
                acts = [run.state for run in mine if run.action != "check_service"]
                asked = [run.verdict for run in mine if run.action == "check_service"]
                by_end = acts[-1:] == ["succeeded"] and row.reason.endswith("the alert has resolved")
                # Whoever was asked after all news and could not say how it was is not well because of an alert.
                told_at = max(each.committed_at for each in self.desk.rows(schema.alerts) if each.incident_id == row.id)
                by_end &= mine[-1:] == [] or mine[-1].verdict != "unknown" or mine[-1].started_at < told_at
                assert by_end or asked[-1:] == ["healthy"], row

    @invariant()
    def what_fires_on_is_not_over(self):
        """Nothing but a person ends what an alert belongs to that would not tell of the same trouble another time."""
        states = {row.id: row.state for row in self.desk.rows(schema.incidents)}
        newest = {row.fingerprint: row for row in self.desk.rows(schema.alerts)}
        for row in newest.values():
            if row.status == "firing" and row.nature != "sticky":
                assert states[row.incident_id] != "resolved", row

    @invariant()
    def what_strikes_after_a_proof_is_acted_on(self):
        """No alert that fires is left to a probe that began after the last proof, or about which nothing was done."""
        newest = {row.fingerprint: row for row in self.desk.rows(schema.alerts)}
        for row in self.waiting_for_a_proof():
            acts, checks = self.acts_and_checks(row)
            proofs = [check.ended_at for check in checks if check.verdict == "healthy" and check.ended_at is not None]
            firing = [each for each in newest.values() if each.incident_id == row.id and each.status == "firing"]
            assert acts or not firing, row
            for each in firing:
                assert not proofs or each.starts_at <= min(proofs), (row, each)

    @invariant()
    def nobody_is_waited_for_without_end(self):
        """However often it is told of: an hour after the first question, and what is left for the last, a person is."""
        for row in self.waiting_for_a_proof():
            _acts, checks = self.acts_and_checks(row)
            if row.state == "verifying" and checks and checks[-1].ended_at is not None:
                assert self.desk.now <= checks[0].started_at + LONGEST_WATCH_S + RESOLVE_WITHIN_S, row

    def waiting_for_a_proof(self):
        """Return the incidents whose end is waited for."""
        return [row for row in self.desk.rows(schema.incidents) if row.state in ("verifying", "unproven")]

    def acts_and_checks(self, row):
        """Return the repairs of an incident, and how its service was asked since the last of them."""
        mine = [run for run in self.desk.rows(schema.runs) if run.incident_id == row.id]
        acts = [run for run in mine if run.action != "check_service"]
        return acts, [run for run in mine if not acts or run.id > acts[-1].id]

    @invariant()
    def whatever_fired_was_looked_at(self):
        """What has fired has had an incident, however soon it ended."""
        rows = self.desk.rows(schema.alerts)
        looked_at = {(row.fingerprint, row.starts_at) for row in rows if row.incident_id is not None}
        assert looked_at == {(row.fingerprint, row.starts_at) for row in rows}

    @rule(paused=st.booleans())
    def switch(self, paused):
        """A person pauses or resumes all actions."""
        self.turn_switch(paused)

    @invariant()
    def nothing_runs_twice_at_once(self):
        """One run on a host, two in the fleet."""
        hosts = [row.host for row in self.desk.rows(schema.runs) if row.state in ("launching", "running")]
        acting = [row for row in self.going_on_runs() if row.action != "check_service"]
        assert len(hosts) == len(set(hosts))
        assert len(acting) <= 2

    @invariant()
    def nothing_is_begun_while_paused(self):
        """Paused is paused."""
        assert not self.paused or len(self.desk.rows(schema.runs)) == self.begun_before_pause

    @invariant()
    def one_incident_goes_on_at_a_target(self):
        """Whatever joins or takes over."""
        keys = [row.target_key for row in self.going_on()]
        assert len(keys) == len(set(keys))

    @invariant()
    def nothing_is_stuck(self):
        """What goes on is due, has a run, waits for a person, or for an incident that goes on."""
        going_on = {row.id: row for row in self.going_on()}
        with_run = {row.incident_id for row in self.desk.rows(schema.runs) if row.state in ("launching", "running")}
        for row in going_on.values():
            if row.state in ("open", "waiting", "verifying", "unproven"):
                assert self.desk.now <= row.due_at < NEVER, row
            elif row.state == "running":
                assert row.id in with_run, row
            elif row.state == "held":
                for_a_person = row.reason.startswith("autonomy is")
                assert for_a_person or row.explained_by in going_on, row
            else:
                assert row.state == "escalated", row
            assert row.reason

    @invariant()
    def the_ladder_ends(self):
        """No incident is worked on for ever."""
        for row in self.desk.rows(schema.incidents):
            acts = [run for run in self.desk.rows(schema.runs) if run.action != "check_service"]
            runs = [run for run in acts if run.incident_id == row.id]
            assert len([run for run in runs if run.id > row.attempts_from]) <= MOST_ATTEMPTS

    def going_on_runs(self):
        """Return the runs that have not ended."""
        return [row for row in self.desk.rows(schema.runs) if row.state in ("launching", "running")]

    def going_on(self):
        """Return the incidents that have not ended."""
        return [row for row in self.desk.rows(schema.incidents) if row.state not in ("resolved", "closed")]


TestLife = pytest.mark.slow(Life.TestCase)
TestLife.settings = settings(
    max_examples=12,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(
        Phase.explicit,
        Phase.reuse,
        Phase.generate,
    ),  # to shrink takes minutes, and a story of twenty steps is read
)
