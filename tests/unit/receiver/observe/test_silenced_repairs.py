# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repair whose alert ends under our own silence, so that nobody tells of its end, is judged all the same."""

from __future__ import annotations

from datetime import datetime

import pytest

from autoglm_recovery.receiver.observe import absence_watch, silencer
from autoglm_recovery.receiver.observe.absence_watch import AbsenceWatch
from autoglm_recovery.receiver.observe.alertmanager import Unanswered
from autoglm_recovery.receiver.observe.silencer import Silencer
from autoglm_recovery.receiver.store import own_silences as rows
from autoglm_recovery.receiver.store import pauses, runs, schema
from autoglm_recovery.receiver.verify.proof import Proof
from tests.unit.receiver.desk import desk
from tests.unit.receiver.observe.test_absence_watch import had, stored
from tests.unit.receiver.observe.test_silences import entry

POLICY = """
monitoring: {alertmanager: {url: 'http://127.0.0.1:1', silence: true}}
recovery: {strategies: {oom: {delay: 0s}}}
"""


class FakeAlertmanager:
    """Stands for the one Alertmanager that is asked: has what the test says, and keeps the silences it is given.

    As api/v2/api.go and silence/silence.go of Alertmanager 0.34 do: a silence that is ended stays in the list as one
    that has expired, ending it again is no error, and one that could silence nothing is refused.  See tests/FAKES.md.
    """

    def __init__(self) -> None:
        self.has = had()
        self.told: dict[str, dict[str, object]] = {}

    @property
    def made(self) -> list[str]:
        """Return the silences that stand."""
        return [number for number, silence in self.told.items() if silence["status"] == {"state": "active"}]

    def __call__(self, _url, _setting):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def had(self):
        if isinstance(self.has, Exception):
            raise self.has
        return self.has

    def silences(self):
        return list(self.told.values())

    def silence(self, body):
        matchers = body["matchers"]
        if not any(matcher["value"] for matcher in matchers) or not all(matcher["name"] for matcher in matchers):
            raise Unanswered("POST /api/v2/silences: HTTP 400 at least one matcher must not match the empty string")
        if datetime.fromisoformat(body["startsAt"]) >= datetime.fromisoformat(body["endsAt"]):
            raise Unanswered("POST /api/v2/silences: HTTP 400 start time must be before end time")
        number = f"silence-{len(self.told)}"
        self.told[number] = entry(**body, id=number, status={"state": "active"})
        return number

    def expire(self, number):
        if number not in self.told:
            raise Unanswered(f"DELETE /api/v2/silence/{number}: HTTP 404")
        self.told[number]["status"] = {"state": "expired"}


@pytest.fixture
def at(tmp_path):
    with desk(tmp_path, POLICY) as made:
        made.watchdog_at = 0.0
        yield made


@pytest.fixture
def alertmanager(monkeypatch):
    made = FakeAlertmanager()
    monkeypatch.setattr(silencer, "AlertmanagerClient", made)
    monkeypatch.setattr(absence_watch, "AlertmanagerClient", made)
    return made


@pytest.fixture
def watch(at):
    return AbsenceWatch(at.database, lambda: at.config.policy, lambda: None, lambda: at.now)


@pytest.fixture
def mine(at):
    return Silencer(at.database, lambda: at.config.policy, "desk", "ours", lambda: at.now)


def silenced(at, alertmanager, mine):
    """Have an alert fire, its run begin, and the alert silenced."""
    began = at.fire("node-a", "oom")
    alertmanager.has = had(stored(at))
    mine.step()
    assert len(alertmanager.made) == 1
    return began


def repaired(at, alertmanager, mine):
    """Have its run succeed within seconds, after the alert has ended unheard."""
    began = silenced(at, alertmanager, mine)
    alertmanager.has = had()
    at.pass_time(8)
    at.end_run("node-a", 0)
    mine.step()
    assert alertmanager.made == []
    assert at.state() == "verifying"
    return began


def actions(at):
    return [row.action for row in at.rows(schema.runs)]


def look(at, watch, times=1):
    for _ in range(times):
        at.pass_time(15)
        watch.look()
        at.turn()


def test_a_repair_that_is_over_before_the_first_look_is_seen_to_have_ended_its_alert(at, alertmanager, mine, watch):
    repaired(at, alertmanager, mine)
    look(at, watch, times=2)
    assert at.state() == "resolved"
    assert actions(at) == ["restart_process", runs.CHECK]


def test_one_that_finds_its_silence_again_knows_as_much(at, alertmanager, mine, watch, monkeypatch):
    with monkeypatch.context() as older:
        # As one of an earlier release leaves it that was killed before it heard the number.
        older.setattr(silencer.absences, "note_had", lambda *_: None)
        older.setattr(rows, "made", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            silenced(at, alertmanager, mine)
    mine.step()
    assert len(alertmanager.made) == 1
    alertmanager.has = had()
    at.end_run("node-a", 0)
    look(at, watch, times=2)
    assert at.state() == "resolved"


def test_what_was_not_silenced_because_alertmanager_lacks_it_is_not_taken_for_seen(at, alertmanager, mine, watch):
    at.fire("node-a", "oom")
    mine.step()
    assert alertmanager.made == []
    at.end_run("node-a", 0)
    look(at, watch, times=5)
    assert at.state() == "verifying"
    assert [row.active_at for row in at.rows(schema.alerts)] == [None]


# No Watchdog: what it lacks need not have ended.
DOUBTED = had(heard_ago=None)


def late(at, minutes=10):
    at.pass_time(60 * minutes)
    at.turn()


@pytest.mark.parametrize("answer", [DOUBTED, Unanswered("HTTP 503")])
def test_where_alertmanager_is_in_doubt_the_service_is_asked_before_the_next_rung(
    at, alertmanager, mine, watch, answer
):
    repaired(at, alertmanager, mine)
    alertmanager.has = answer
    look(at, watch, times=2)
    late(at)
    assert actions(at) == ["restart_process", runs.CHECK]
    assert (at.state(), at.rows_of_runs()) == ("verifying", ["succeeded"])
    assert "its alert was silenced while it was repaired" in at.incident().reason
    # Well, but said by nothing else: a person is told in the end, and no rung is taken.
    for _ in range(8):
        late(at)
    assert (at.state(), at.running()) == ("unproven", {})
    assert [row.kind for row in at.rows(schema.timeline)].count("unproven") == 1
    alertmanager.has = had()
    look(at, watch, times=2)
    assert at.state() == "resolved"


@pytest.mark.parametrize("probe", ["unhealthy", "unknown"])
def test_a_service_that_is_not_well_or_cannot_tell_gets_its_next_rung(at, alertmanager, mine, probe):
    at.probe = probe
    repaired(at, alertmanager, mine)
    late(at)
    assert actions(at) == ["restart_process", runs.CHECK, "failover_and_rebuild"]


def test_one_that_falls_ill_while_nothing_is_heard_of_its_alert_gets_it_too(at, alertmanager, mine):
    repaired(at, alertmanager, mine)
    late(at)
    at.probe = "unhealthy"
    late(at)
    assert at.running() == {"node-a": "failover_and_rebuild"}


@pytest.mark.parametrize("told", ["seen", "delivered"])
def test_an_alert_that_is_heard_of_after_its_silence_fires(at, alertmanager, mine, watch, told):
    began = silenced(at, alertmanager, mine)
    at.end_run("node-a", 0)
    look(at, watch)  # it stands still, and may hide the end
    mine.step()
    at.pass_time(1)
    if told == "seen":
        alertmanager.has = had(stored(at), heard_ago=None)
        watch.look()
    else:
        at.post("firing", "node-a", "oom", began + 1)
    late(at)
    assert actions(at) == ["restart_process", "failover_and_rebuild"]


def test_nobody_is_asked_while_all_is_paused_nor_where_nobody_can_be(at, alertmanager, mine):
    repaired(at, alertmanager, mine)
    with at.database.writing() as connection:
        pauses.turn(connection, paused=True, who="ann", reason="network work", now=at.now)
    late(at)
    assert (actions(at), at.state()) == (["restart_process"], "verifying")
    with at.database.writing() as connection:
        pauses.turn(connection, paused=False, who="ann", reason="done", now=at.now)
    at.config = type(at.config)(
        at.config.policy, at.config.fleet, at.config.playbooks - {runs.CHECK}, at.config.inventory
    )
    late(at, 1)
    assert actions(at) == ["restart_process", "failover_and_rebuild"]


@pytest.mark.parametrize(("holds", "then"), [(True, []), (False, ["failover_and_rebuild"]), (None, [runs.CHECK])])
def test_an_expression_of_the_policy_is_asked_before_the_service(at, alertmanager, mine, holds, then):
    prometheus = "monitoring: {prometheus: {url: 'http://127.0.0.1:1'},"
    at.policy(POLICY.replace("monitoring: {", prometheus).replace("delay: 0s", "delay: 0s, verify: up"))
    repaired(at, alertmanager, mine)
    at.proofs[1] = Proof(holds, "as the test says")
    late(at)
    assert actions(at) == ["restart_process", *then]
