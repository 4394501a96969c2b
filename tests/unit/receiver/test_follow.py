# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose runs a receiver follows, what it takes over, and what it may write.  The launchers only play their part."""

from __future__ import annotations

import dataclasses

import pytest
import sqlalchemy as sa

from autoglm_recovery.policy import Policy
from autoglm_recovery.receiver.fleet import Fleet
from autoglm_recovery.receiver.follow import Follower
from autoglm_recovery.receiver.keeper import Keeper
from autoglm_recovery.receiver.launcher import LaunchRefused, Life, Look
from autoglm_recovery.receiver.model import Fault, FaultMode, Target
from autoglm_recovery.receiver.store import incidents, runs, schema
from autoglm_recovery.receiver.store.runs import Lease
from autoglm_recovery.receiver.world import World


@dataclasses.dataclass
class Player:
    """A launcher that says what the test tells it to."""

    name: str
    outlives_receiver: bool
    says: Look | LaunchRefused = Look(Life.alive)  # noqa: RUF009 - frozen
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
        self.world = World(Policy(), Fleet(), frozenset(), tmp_path / "inventory")
        self.here = Player("local", outlives_receiver=False)
        self.elsewhere = Player("awx", outlives_receiver=True)

    def lease(self, owner):
        return Lease(owner, 5.0, sa.literal(self.at))

    def follower(self, owner):
        players = {player.name: player for player in (self.here, self.elsewhere)}
        return Follower(self.database, self.counts, Keeper(self.database, self.lease(owner)), players)

    def begin(self, launcher, owner="a"):
        target = Target("node-a")
        with self.database.writing() as connection:
            incident = incidents.open_incident(
                connection,
                Fault("oom", "said so", target),
                target,
                mode=FaultMode.transient,
                root_cause="X",
                starts_at=1.0,
                now=1.0,
            )
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

    @property
    def run(self):
        with self.database.reading() as connection:
            return connection.execute(sa.select(schema.runs)).one()

    @property
    def incident(self):
        with self.database.reading() as connection:
            return incidents.incident(connection, 1)


@pytest.fixture
def stage(database, tmp_path):
    return Stage(database, tmp_path)


def test_a_receiver_follows_its_own_runs_only(stage):
    stage.begin("local")
    assert stage.follower("b").step(stage.world) == 0
    assert stage.here.looked == []
    assert stage.follower("a").step(stage.world) == 1
    assert [run.id for run in stage.here.looked] == [1]


def test_a_run_elsewhere_is_followed_on_by_who_takes_over_under_a_higher_token(stage):
    stage.begin("awx")
    stage.at = 106.0
    follower = stage.follower("b")
    follower.step(stage.world)
    assert (stage.run.owner, stage.run.state, stage.run.fence) == ("b", "running", 2)
    assert stage.elsewhere.cancelled == []
    stage.elsewhere.says = Look(Life.ended, rc=0, reference="job 7", link="https://awx/7")
    follower.step(stage.world)
    assert (stage.run.state, stage.run.reference, stage.run.link) == ("succeeded", "job 7", "https://awx/7")
    assert stage.counts.taken == 1


def test_a_run_of_a_machine_that_is_gone_is_closed_as_lost_and_the_incident_goes_on(stage):
    stage.begin("local")
    stage.at = 106.0
    stage.follower("b").step(stage.world)
    assert (stage.run.owner, stage.run.state) == ("b", "lost")
    assert stage.incident.state == "open"
    assert stage.here.looked == []


@pytest.mark.parametrize("says", [Look(Life.alive, cursor=3), Look(Life.ended, rc=0)])
def test_what_a_receiver_learnt_before_it_was_overtaken_is_refused(stage, says):
    stage.begin("local")

    def overtake():
        stage.at = 106.0
        with stage.database.writing() as connection:
            assert runs.take_over(connection, stage.run, stage.lease("b"))
            stage.at = 100.0

    stage.here.says, stage.here.meanwhile = says, overtake
    stage.follower("a").step(stage.world)
    assert (stage.run.owner, stage.run.state, stage.run.cursor) == ("b", "running", 0)
    assert stage.counts.late == 1
    # And what it had going on itself is ended.
    assert [run for run, _ in stage.here.cancelled] == [1]


def test_an_order_to_end_a_run_reaches_its_launcher(stage):
    stage.begin("awx")
    with stage.database.writing() as connection:
        runs.update(connection, 1, cancel="a person said so")
    stage.follower("a").step(stage.world)
    assert stage.elsewhere.cancelled == [(1, "a person said so")]


def test_an_incident_that_was_closed_meanwhile_stays_closed(stage):
    stage.begin("local")
    with stage.database.writing() as connection:
        incidents.update(connection, 1, 2.0, state="closed")
    stage.here.says = Look(Life.ended, why="cancelled")
    stage.follower("a").step(stage.world)
    assert (stage.run.state, stage.incident.state) == ("lost", "closed")


def test_a_run_that_can_never_be_launched_is_closed_with_the_reason(stage):
    stage.begin("awx")
    stage.elsewhere.says = LaunchRefused("there is no such template")
    stage.follower("a").step(stage.world)
    assert stage.run.state == "lost"
    with stage.database.reading() as connection:
        told = connection.execute(sa.select(schema.timeline.c.text)).scalars().all()
    assert any("there is no such template" in text for text in told)


def test_a_run_of_a_launcher_that_is_not_configured_is_closed_with_the_reason(stage):
    stage.begin("elsewhere")
    stage.follower("a").step(stage.world)
    assert stage.run.state == "lost"
