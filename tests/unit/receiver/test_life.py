# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Incidents live through alerts, ends of runs, orders and time in any order, and none is stuck or run twice at once."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from autoglm_recovery.receiver import orders
from autoglm_recovery.receiver.store import schema
from autoglm_recovery.receiver.store.incidents import NEVER

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
TARGETS = [(host.name, service) for host in FLEET.hosts.values() for service in (None, host.services[0].name)]
# Rungs of all ladders, each once and again where it is retried.
MOST_ATTEMPTS = 16


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
            for _ in range(60):
                for host in self.desk.running():
                    self.desk.end_run(host, 1)
                self.desk.pass_time(600)
                self.desk.turn()
            assert not self.desk.running()
            states = {row.state for row in self.desk.rows(schema.incidents)}
            assert states <= {"held", "escalated", "resolved", "closed"}, states
        finally:
            self.stack.close()

    def turn_switch(self, paused: bool) -> None:
        """Pause or resume."""
        with self.desk.clock():
            orders.turn(self.desk.database, orders.Turn.pause if paused else orders.Turn.resume, PERSON)
        self.paused = paused
        self.begun_before_pause = len(self.desk.rows(schema.runs))
        self.desk.turn()

    @rule(place=st.sampled_from(TARGETS), name=st.sampled_from(CLASSES), gpu=st.booleans())
    def fire(self, place, name, gpu):
        """An alert fires."""
        host, service = place
        labels = {"service": service} if service else {}
        if gpu and name.startswith("gpu"):
            labels["gpu_uuid"] = GPU
        key = (host, tuple(sorted(labels.items())), name)
        if key not in self.firing:
            self.firing[key] = self.desk.fire(host, name, **labels)

    @precondition(lambda self: self.firing)
    @rule(data=st.data())
    def resolve(self, data):
        """An alert resolves."""
        key = data.draw(st.sampled_from(sorted(self.firing)))
        host, labels, name = key
        self.desk.resolve(host, name, self.firing.pop(key), **dict(labels))

    @precondition(lambda self: self.desk.running())
    @rule(data=st.data(), rc=st.sampled_from([0, 1, None]))
    def end_run(self, data, rc):
        """A run ends: well, badly, or cut off."""
        self.desk.end_run(data.draw(st.sampled_from(sorted(self.desk.running()))), rc)

    @rule(seconds=st.sampled_from([1, 10, 60, 400, 2000]))
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

    @rule(paused=st.booleans())
    def switch(self, paused):
        """A person pauses or resumes all actions."""
        self.turn_switch(paused)

    @invariant()
    def nothing_runs_twice_at_once(self):
        """One run on a host, two in the fleet."""
        hosts = [row.host for row in self.desk.rows(schema.runs) if row.state in ("launching", "running")]
        assert len(hosts) == len(set(hosts)) <= 2

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
            if row.state in ("open", "waiting", "verifying"):
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
            runs = [run for run in self.desk.rows(schema.runs) if run.incident_id == row.id]
            assert len([run for run in runs if run.id > row.attempts_from]) <= MOST_ATTEMPTS

    def going_on(self):
        """Return the incidents that have not ended."""
        return [row for row in self.desk.rows(schema.incidents) if row.state not in ("resolved", "closed")]


TestLife = Life.TestCase
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
