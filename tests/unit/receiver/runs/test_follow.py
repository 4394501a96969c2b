# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose runs a receiver follows, what it takes over, and what it may write.  The launchers only play their part."""

from __future__ import annotations

import dataclasses

import pytest
import sqlalchemy as sa

from autoglm_recovery.policy import Policy
from autoglm_recovery.receiver.decide.gather import MOST_FENCED, situation
from autoglm_recovery.receiver.fleet.fleet import Fleet
from autoglm_recovery.receiver.fleet.site_config import SiteConfig
from autoglm_recovery.receiver.runs.follow import Follower
from autoglm_recovery.receiver.runs.leases import LeaseRenewer
from autoglm_recovery.receiver.runs.protocol import LaunchRefused, RunReport, RunStatus
from autoglm_recovery.receiver.store import fences, history, incidents, runs, schema
from autoglm_recovery.receiver.store.runs import Lease
from autoglm_recovery.receiver.values.model import Target
from tests.unit.receiver.desk import open_incident


@dataclasses.dataclass
class Player:
    """A launcher that says what the test tells it to."""

    name: str
    outlives_receiver: bool
    says: RunReport | LaunchRefused = RunReport(RunStatus.running)  # noqa: RUF009 - frozen
    looked: list = dataclasses.field(default_factory=list)
    cancelled: list = dataclasses.field(default_factory=list)
    meanwhile: object = None

    def look(self, run, _order):
        self.looked.append(run)
        if callable(self.meanwhile):
            self.meanwhile()
        if isinstance(self.says, LaunchRefused):
            raise self.says
        return self.says

    def cancel(self, run, why):
        self.cancelled.append((run.id, why))


# What each run has for itself.
_OWN = ("id", "key", "fence", "owner", "lease_until", "ended_at", "rc")


class Counts:
    """What a follower counts."""

    def __init__(self):
        self.late = self.taken = 0

    def late_write(self):
        self.late += 1

    def taken_over(self):
        self.taken += 1

    def run_ended(self, *_):
        pass


class Stage:
    """A database with one run of receiver a, a clock, and followers."""

    def __init__(self, database, tmp_path):
        self.database = database
        self.counts = Counts()
        self.at = 100.0
        self.config = SiteConfig(Policy(), Fleet(), frozenset(), tmp_path / "inventory")
        self.here = Player("local", outlives_receiver=False)
        self.elsewhere = Player("awx", outlives_receiver=True)

    def lease(self, owner):
        return Lease(owner, 5.0, sa.literal(self.at))

    def follower(self, owner):
        players = {player.name: player for player in (self.here, self.elsewhere)}
        return Follower(self.database, self.counts, LeaseRenewer(self.database, self.lease(owner)), players)

    def begin(self, launcher, owner="a"):
        with self.database.writing() as connection:
            incident = open_incident(connection, Target("node-a"))
            incidents.update(connection, incident, 1.0, state="running")
            runs.create(
                connection,
                self.lease(owner),
                incident_id=incident,
                host="node-a",
                action="restart_process",
                attempt=1,
                state="running",
                reason="",
                launcher=launcher,
                directory="/nowhere",
                started_at=1.0,
            )

    def repeat(self):
        with self.database.writing() as connection:
            values = self.run._asdict() | {"state": "running", "cursor": 0, "refused": None, "held_by": None}
            runs.create(connection, self.lease("a"), **{k: v for k, v in values.items() if k not in _OWN})

    @property
    def run(self):
        with self.database.reading() as connection:
            return connection.execute(sa.select(schema.runs).order_by(schema.runs.c.id.desc())).first()

    @property
    def incident(self):
        with self.database.reading() as connection:
            return incidents.incident(connection, 1)


@pytest.fixture
def stage(database, tmp_path):
    return Stage(database, tmp_path)


def test_a_receiver_follows_its_own_runs_only(stage):
    stage.begin("local")
    assert stage.follower("b").step(stage.config) == 0
    assert stage.here.looked == []
    assert stage.follower("a").step(stage.config) == 1
    assert [run.id for run in stage.here.looked] == [1]


def test_a_run_elsewhere_is_followed_on_by_who_takes_over_under_a_higher_token(stage):
    stage.begin("awx")
    stage.at = 106.0
    follower = stage.follower("b")
    follower.step(stage.config)
    assert (stage.run.owner, stage.run.state, stage.run.fence) == ("b", "running", 106_000_000)
    assert stage.elsewhere.cancelled == []
    stage.elsewhere.says = RunReport(RunStatus.ended, rc=0, reference="job 7", link="https://awx/7")
    follower.step(stage.config)
    assert (stage.run.state, stage.run.reference, stage.run.link) == ("succeeded", "job 7", "https://awx/7")
    assert stage.counts.taken == 1


def test_a_run_of_a_machine_that_is_gone_is_closed_as_lost_and_the_incident_goes_on(stage):
    stage.begin("local")
    stage.at = 106.0
    stage.follower("b").step(stage.config)
    assert (stage.run.owner, stage.run.state) == ("b", "lost")
    assert stage.incident.state == "open"
    assert stage.here.looked == []


def test_it_is_told_after_each_run_also_one_that_cannot_be_followed(stage):
    def cut_off():
        raise OSError("no answer")

    stage.begin("local")
    stage.here.meanwhile = cut_off
    told = []
    stage.follower("a").step(stage.config, lambda: told.append("followed"))
    stage.at = 106.0
    stage.follower("b").step(stage.config, lambda: told.append("taken over"))
    assert told == ["followed", "taken over"]


@pytest.mark.parametrize("launcher", ["local", "gone"])
def test_who_takes_a_run_over_and_fails_in_the_midst_has_not_got_it_and_begins_nothing(stage, monkeypatch, launcher):
    stage.begin(launcher)
    stage.at = 106.0
    follower, end_of_a_run = stage.follower("b"), incidents.ask_again

    def cut_off(*_):
        raise sa.exc.OperationalError("COMMIT", {}, OSError("the connection is gone"))

    monkeypatch.setattr(incidents, "ask_again", cut_off)
    follower.step(stage.config)
    assert (stage.run.owner, stage.run.state, stage.counts.taken) == ("a", "running", 0)
    monkeypatch.setattr(incidents, "ask_again", end_of_a_run)
    follower.step(stage.config)
    assert (stage.run.owner, stage.run.state, stage.counts.taken) == ("b", "lost", 1)
    assert stage.here.looked == []


def test_a_launcher_is_told_whether_a_run_was_seen_to_have_begun(stage):
    stage.begin("local")
    stage.follower("a").step(stage.config)
    with stage.database.writing() as connection:
        runs.update(connection, 1, state="launching")
    stage.follower("a").step(stage.config)
    assert [run.begun for run in stage.here.looked] == [True, False]


@pytest.mark.parametrize("says", [RunReport(RunStatus.running, cursor=3), RunReport(RunStatus.ended, rc=0)])
def test_what_a_receiver_learnt_before_it_was_overtaken_is_refused(stage, says):
    stage.begin("local")

    def overtake():
        stage.at = 106.0
        with stage.database.writing() as connection:
            assert runs.take_over(connection, stage.run, stage.lease("b"))
            stage.at = 100.0

    stage.here.says, stage.here.meanwhile = says, overtake
    stage.follower("a").step(stage.config)
    assert (stage.run.owner, stage.run.state, stage.run.cursor) == ("b", "running", 0)
    assert stage.counts.late == 1
    # And what it had going on itself is ended.
    assert [run for run, _ in stage.here.cancelled] == [1]


def test_an_order_to_end_a_run_reaches_its_launcher(stage):
    stage.begin("awx")
    with stage.database.writing() as connection:
        runs.update(connection, 1, cancel="a person said so")
    stage.follower("a").step(stage.config)
    assert stage.elsewhere.cancelled == [(1, "a person said so")]


@pytest.mark.parametrize(
    "says",
    [
        RunReport(RunStatus.ended, rc=0),
        RunReport(RunStatus.ended, rc=2),
        RunReport(RunStatus.ended, why="cancelled by ann"),
        RunReport(RunStatus.lost, why="its process is gone"),
        LaunchRefused("its process would not start"),
    ],
)
def test_a_cancelled_run_is_never_a_success_however_it_ended(stage, says):
    stage.begin("local")

    def order():
        # While the run comes to its own end: nobody has read the order yet.
        with stage.database.writing() as connection:
            runs.update(connection, 1, cancel="cancelled by ann")

    stage.here.says, stage.here.meanwhile = says, order
    stage.follower("a").step(stage.config)
    assert stage.run.state == "cancelled"
    assert (stage.incident.state, stage.incident.reason) == ("escalated", "cancelled by ann")
    with stage.database.reading() as connection:
        (told,) = incidents.told_of(connection, 1, "run_finished")
    assert told.count("cancelled by ann") == 1
    if getattr(says, "rc", None) is not None:
        assert f"it had come to its own end by then, with exit code {says.rc}" in told


def test_the_cause_of_a_failed_run_is_the_incidents_and_a_success_leaves_it(stage):
    stage.begin("local")
    said = [("last words", "out of KV cache"), ("cause", "Clean up: no space"), ("cause", "Start: no such model")]
    lines = tuple({"at": 2.0, "kind": kind, "text": text} for kind, text in said)
    stage.here.says = RunReport(RunStatus.running, lines[:1], 1)
    follower = stage.follower("a")
    follower.step(stage.config)
    assert stage.incident.cause == "out of KV cache"
    stage.here.says = RunReport(RunStatus.ended, lines[1:], 3, rc=2)
    follower.step(stage.config)
    assert (stage.run.cause, stage.incident.cause) == ("Start: no such model", "Start: no such model")


def test_a_repair_that_succeeded_has_no_cause_of_a_failure(stage):
    stage.begin("local")
    lines = ({"at": 2.0, "kind": "cause", "text": "Clean up: no space"},)
    stage.here.says = RunReport(RunStatus.ended, lines, 1, rc=0)
    stage.follower("a").step(stage.config)
    assert stage.incident.cause is None


def test_what_a_person_has_ended_is_no_failure_to_the_breaker(stage):
    stage.begin("local")
    with stage.database.writing() as connection:
        runs.update(connection, 1, cancel="cancelled by ann")
    stage.here.says = RunReport(RunStatus.ended, why="cancelled by ann")
    stage.follower("a").step(stage.config)
    with stage.database.reading() as connection:
        assert history.of_action(connection, "restart_process", 0.0, 9) == ()


def test_an_incident_that_was_closed_meanwhile_stays_closed(stage):
    stage.begin("local")
    with stage.database.writing() as connection:
        incidents.update(connection, 1, 2.0, state="closed")
    stage.here.says = RunReport(RunStatus.ended, why="cancelled")
    stage.follower("a").step(stage.config)
    assert (stage.run.state, stage.incident.state) == ("lost", "closed")


def test_a_run_that_can_never_be_launched_is_closed_with_the_reason(stage):
    stage.begin("awx")
    stage.elsewhere.says = LaunchRefused("there is no such template")
    stage.follower("a").step(stage.config)
    assert (stage.run.state, stage.incident.state, stage.incident.fault_mode) == ("not_launched", "open", "transient")
    # What the launcher lacks is not what the incident comes from.
    assert (stage.run.cause, stage.incident.cause) == ("there is no such template", None)
    with stage.database.reading() as connection:
        told = connection.execute(sa.select(schema.timeline.c.text)).scalars().all()
        known = situation(connection, stage.incident, stage.config, stage.at)
        assert (known.not_launched.action, known.not_launched.why) == ("restart_process", "there is no such template")
        assert runs.attempts(connection, 1, 0) == ()
        assert runs.count_on_host(connection, "node-a", 0.0) == 0
        assert runs.last_on_target(connection, stage.incident.target_key) is None
        assert history.of_action(connection, "restart_process", 0.0, 9) == ()
        assert incidents.earlier_actions(connection, Target("node-a"), "oom", since=0.0) == {}
    assert any("there is no such template" in text for text in told)


def test_a_run_that_was_refused_when_something_may_have_been_launched_is_lost(stage):
    stage.begin("awx")
    stage.elsewhere.says = LaunchRefused("the limit was ignored; the job was cancelled", launched=True)
    stage.follower("a").step(stage.config)
    assert stage.run.state == "lost"
    with stage.database.reading() as connection:
        assert [attempt.action for attempt in runs.attempts(connection, 1, 0)] == ["restart_process"]
        assert situation(connection, stage.incident, stage.config, stage.at).not_launched is None


def test_a_launcher_that_gives_up_before_it_began_has_started_nothing(stage):
    stage.begin("awx")
    stage.elsewhere.says = RunReport(RunStatus.ended, why="given up: not launched for 900 s", started=False)
    stage.follower("a").step(stage.config)
    assert stage.run.state == "not_launched"
    with stage.database.reading() as connection:
        assert not incidents.told_of(connection, 1, "run_started")
        (told,) = incidents.told_of(connection, 1, "run_finished")
    assert told.startswith("restart_process not launched after ")
    assert told.endswith(": given up: not launched for 900 s")


def test_a_run_of_a_launcher_that_is_not_configured_is_closed_with_the_reason(stage):
    stage.begin("elsewhere")
    stage.follower("a").step(stage.config)
    assert stage.run.state == "lost"


def test_a_run_that_nobody_had_begun_when_its_launcher_went_was_never_launched(stage):
    stage.begin("elsewhere")
    with stage.database.writing() as connection:
        runs.update(connection, 1, state="launching")
    stage.follower("a").step(stage.config)
    assert (stage.run.state, stage.run.cause) == ("not_launched", "this receiver has no launcher 'elsewhere'")


REFUSED = {"at": 1.0, "kind": "fenced", "text": "node-a: a newer run has been here", "mark": 5 * 10**15}


def next_token(stage, host="node-a"):
    with stage.database.writing() as connection:
        return fences.give(connection, sa.literal(stage.at), host)


def test_a_run_that_the_host_refused_was_no_attempt_and_the_next_is_above_the_mark(stage):
    stage.begin("local")
    stage.here.says = RunReport(RunStatus.running, (REFUSED,), cursor=1)
    stage.follower("a").step(stage.config)
    stage.here.says = RunReport(RunStatus.ended, cursor=1, rc=2)
    stage.follower("a").step(stage.config)
    assert (stage.run.state, stage.incident.state, stage.incident.fault_mode) == ("fenced", "open", "transient")
    assert "tried again in 2 s with a higher fencing token: node-a: a newer run has been here" in stage.incident.reason
    assert next_token(stage) == 5 * 10**15 + 1
    assert next_token(stage, "node-b") < 10**15
    with stage.database.reading() as connection:
        assert runs.attempts(connection, 1, 0) == ()
        assert runs.fenced_in_a_row(connection, 1, 0) == 1
        assert runs.fenced_in_a_row(connection, 1, 1) == 0  # a person said "retry" since


@pytest.mark.parametrize("mark", [0, -1, 2**53, 2**63, "7"])
def test_nonsense_of_a_host_is_no_refusal_and_moves_no_token(stage, mark):
    stage.begin("local")
    stage.here.says = RunReport(RunStatus.ended, ({**REFUSED, "mark": mark},), cursor=1, rc=2)
    stage.follower("a").step(stage.config)
    assert (stage.run.state, stage.incident.state) == ("failed", "open")
    assert next_token(stage) < 10**15


def test_a_run_that_was_refused_at_one_step_and_succeeded_all_the_same_has_succeeded(stage):
    stage.begin("local")
    stage.here.says = RunReport(RunStatus.ended, (REFUSED,), cursor=1, rc=0)
    stage.follower("a").step(stage.config)
    assert stage.run.state == "succeeded"


def test_a_host_that_refuses_again_and_again_is_left_to_a_person(stage):
    for _ in range(MOST_FENCED):
        stage.begin("local") if not stage.incident else stage.repeat()
        stage.here.says = RunReport(RunStatus.ended, (REFUSED,), cursor=1, rc=2)
        stage.follower("a").step(stage.config)
    with stage.database.reading() as connection:
        said = situation(connection, stage.incident, stage.config, stage.at).fenced
    assert said == "3 runs in a row were refused by node-a: a newer run has been here"


HELD = {"at": 1.0, "kind": "kept_out", "text": "node-a is held by ann on ops-1", "holder": "ann on ops-1"}


def test_a_run_that_the_hosts_lock_kept_out_was_no_attempt_and_is_tried_again(stage):
    stage.begin("local")
    stage.here.says = RunReport(
        RunStatus.running, (HELD, {"at": 1.0, "kind": "cause", "text": "Take the host: Refused"}), cursor=2
    )
    stage.follower("a").step(stage.config)
    stage.here.says = RunReport(RunStatus.ended, cursor=2, rc=2)
    stage.follower("a").step(stage.config)
    assert (stage.run.state, stage.incident.state, stage.incident.fault_mode) == ("kept_out", "waiting", "transient")
    assert stage.incident.reason == "node-a is held by ann on ops-1, tried again in 15 s"
    assert stage.incident.due_at == pytest.approx(stage.run.ended_at + 15)
    # Who is at work there is not what the incident comes from.
    assert stage.incident.cause is None
    with stage.database.reading() as connection:
        assert runs.attempts(connection, 1, 0) == ()
        assert runs.count_on_host(connection, "node-a", 0.0) == 0
        assert runs.last_on_target(connection, stage.incident.target_key) is None
        assert history.of_action(connection, "restart_process", 0.0, 9) == ()
        assert incidents.earlier_actions(connection, Target("node-a"), "oom", since=0.0) == {}
        assert incidents.acted_on(connection, [stage.incident.target_key], 0.0) == set()
        assert runs.kept_out(connection, 1, 1) is None  # a person said "retry" since


def test_a_run_that_waited_for_the_host_and_got_it_has_its_own_end(stage):
    stage.begin("local")
    stage.here.says = RunReport(RunStatus.ended, (HELD,), cursor=1, rc=0)
    stage.follower("a").step(stage.config)
    assert stage.run.state == "succeeded"


def test_a_host_that_keeps_run_after_run_out_is_known_since_when(stage):
    for _ in range(3):
        stage.begin("local") if not stage.incident else stage.repeat()
        stage.here.says = RunReport(RunStatus.ended, (HELD,), cursor=1, rc=2)
        stage.follower("a").step(stage.config)
    with stage.database.reading() as connection:
        known = situation(connection, stage.incident, stage.config, stage.at).kept_out
    assert (known.holder, known.times, known.since) == ("ann on ops-1", 3, 1.0)
    assert stage.incident.reason == "node-a is held by ann on ops-1, tried again in 60 s"
    # One that was let in since ends the row.
    stage.repeat()
    stage.here.says = RunReport(RunStatus.ended, rc=2)
    stage.follower("a").step(stage.config)
    with stage.database.reading() as connection:
        assert situation(connection, stage.incident, stage.config, stage.at).kept_out is None
