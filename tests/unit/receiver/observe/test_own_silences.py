# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A silence of ours fits one alert, never what is about the way to us, and is known again by its maker and its key."""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.policy import Policy, parse_policy
from autoglm_recovery.receiver.intake.commit import Delivery, Intake
from autoglm_recovery.receiver.observe.metrics import Metrics
from autoglm_recovery.receiver.observe.own_silences import body, comment_of, maker, may_be_silenced, standing
from autoglm_recovery.receiver.observe.silences import SilenceSnapshot, read_silences
from autoglm_recovery.receiver.store import absences, runs, schema
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store import own_silences as rows
from autoglm_recovery.receiver.triage.absorb import absorb
from autoglm_recovery.receiver.values.model import Alert, Target
from tests.unit.receiver.desk import FLEET, START, desk, open_incident
from tests.unit.receiver.observe.test_silences import entry

ROW = SimpleNamespace(key="k" * 32, silence=None, incident_id=3, run_id=7, action="restart_process", host="node-a")
_labels = st.dictionaries(
    st.sampled_from(["host", "instance", "service", "gpu", "severity", "team"]),
    st.text(min_size=1, max_size=9),
    max_size=6,
)


def made(labels, row=ROW, by="us"):
    return body({"alertname": "Oom", **labels}, by=by, comment=comment_of(row), starts_at=START, until=START + 60)


def read(body_, **changes):
    """Return a body as Alertmanager gives it back."""
    return read_silences([entry(**{**body_, "endsAt": "2099-01-01T00:00:00Z", **changes})])


@given(_labels, _labels)
def test_it_fits_the_alert_and_none_about_another_target(labels, other):
    silences = SilenceSnapshot(read(made(labels)))

    def covers(given_):
        return silences.covering([{"alertname": "Oom", **given_}], START + 1)[0] is not None

    assert covers(labels)
    targets = ("host", "instance", "service", "gpu")
    same = all(labels.get(name) == other.get(name) for name in targets)
    assert not covers(other) or same
    assert silences.covering([{**labels, "alertname": "Another"}], START + 1)[0] is None


def test_matchers_are_equalities_whatever_a_label_says():
    matchers = made({"host": ".*", "service": 'x"} or {y="'})["matchers"]
    assert all(each["isEqual"] and not each["isRegex"] for each in matchers)
    assert {each["name"]: each["value"] for each in matchers}["host"] == ".*"


@pytest.mark.parametrize("name", ["Watchdog", "AutoglmReceiverDown", "AutoglmWatchdogSilent", ""])
def test_what_is_about_the_way_to_us_is_never_silenced(name):
    assert not may_be_silenced({"alertname": name, "host": "node-a"})
    assert not may_be_silenced({"host": "node-a"})
    with pytest.raises(ValueError, match="never silenced"):
        made({"alertname": name})


def test_it_has_a_beginning_and_an_end_and_says_whose_it_is():
    given_ = made({"host": "node-a"}, by=maker("abc"))
    assert given_["createdBy"] == "autoglm.recovery/abc"
    assert (
        given_["comment"]
        == f"{ROW.key}: incident 3, run 7: restart_process on node-a; the receiver ends this with the run"
    )
    span = [datetime.fromisoformat(given_[name]).timestamp() - START for name in ("startsAt", "endsAt")]
    assert span == [0, 60]


def test_it_is_found_by_maker_and_key_alone_and_only_while_it_stands():
    ours = made({"host": "node-a"})
    assert standing(read(ours, id="one"), ROW, "us") == ["one"]
    assert standing(read(ours, id="one", status={"state": "expired"}), ROW, "us") == []
    assert standing(read(ours, createdBy="ann"), ROW, "us") == []
    another = SimpleNamespace(**{**vars(ROW), "key": "j" * 32})
    assert standing(read(ours), another, "us") == []
    assert standing(read(made({}, SimpleNamespace(**{**vars(ROW), "host": "h" * 250}))), ROW, "us") != []


def test_the_silence_of_what_this_installation_was_before_a_restore_is_its_own_and_a_persons_is_not():
    before, now = made({"host": "node-a"}, by=maker("before")), maker("restored")
    numbered = SimpleNamespace(**{**vars(ROW), "key": "j" * 32, "silence": "one"})
    assert standing(read(before, id="one"), ROW, now) == ["one"]
    assert standing(read(before, id="one", comment="reworded"), numbered, now) == ["one"]
    assert standing(read(before, id="another"), numbered, now) == []
    # Alertmanager keeps the number where a person prolongs one under another name.
    assert standing(read(before, id="one", createdBy="ann"), numbered, now) == []
    assert standing(read(before, id="one", createdBy="autoglm.recovery"), numbered, now) == []


def test_only_the_silence_of_this_installation_holds_nothing():
    known = read(made({"host": "node-a"}, by=maker("abc")))
    labels = [{"alertname": "Oom", "host": "node-a"}]
    assert SilenceSnapshot(known, own=maker("abc")).covering(labels, START + 1)[0] is None
    assert SilenceSnapshot(known, own=maker("ab")).covering(labels, START + 1)[0] is not None
    assert SilenceSnapshot(known).covering(labels, START + 1)[0] is not None
    # A person's beside it counts, whatever ours says.
    both = SilenceSnapshot((*known, *read(made({"host": "node-a"}, by="ann"))), own=maker("abc"))
    assert both.covering(labels, START + 1)[0].by == "ann"


def test_it_is_off_by_default_and_planned_with_the_run_where_it_is_on(tmp_path):
    assert not parse_policy("monitoring: {alertmanager: {url: 'http://127.0.0.1:1'}}").silences_own
    on = "monitoring: {alertmanager: {url: 'http://127.0.0.1:1', silence: true}}\n"
    with desk(tmp_path, f"{on}recovery: {{strategies: {{oom: {{delay: 0s, timeout: 5m}}}}}}") as at:
        at.post("firing", "node-a", "oom", alertname="Second")
        at.fire("node-a", "oom", alertname="First")
        at.fire("node-c", "oom", alertname="AutoglmReceiverDown")
        planned = at.rows(schema.own_silences)
        assert sorted(row.alert for row in planned) == ["First", "Second"]
        assert {(row.run_id, row.until - at.now) for row in planned} == {(1, 360.0)}


def test_both_databases_keep_what_was_planned_asked_made_and_ended(database):
    with database.writing() as connection:
        incident = open_incident(connection, Target("node-a"))
        values = {"incident_id": incident, "host": "node-a", "action": "restart_process", "attempt": 1, "reason": "r"}
        values |= {"state": "running", "launcher": "local", "directory": "/d", "started_at": 1.0}
        run = runs.create(connection, runs.Lease("me", 60.0, database.now()), **values)
        rows.plan(
            connection,
            run,
            incident,
            [SimpleNamespace(fingerprint="f", identity="i", labels={"alertname": "Oom"})],
            9.0,
        )
        (row,) = rows.not_ended(connection)
        assert (row.goes_on, row.owner, row.alert, row.until) == (True, "me", "Oom", 9.0)
        assert not rows.ask(connection, row.id, "another", 2.0)
        assert rows.ask(connection, row.id, "me", 2.0)
        # Each failure is told once, until something succeeds.
        assert [rows.failed(connection, row.id, what, "x") for what in ("a", "a", "b", "b")] == [
            True,
            False,
            True,
            False,
        ]
        assert rows.made(connection, row.id, "s")
        assert not rows.ask(connection, row.id, "me", 3.0)
        runs.update(connection, run, state="failed", ended_at=3.0)
        (row,) = rows.not_ended(connection)
        assert (row.goes_on, row.silence, row.error) == (False, "s", None)
        assert [rows.ended(connection, row.id, 4.0) for _ in range(2)] == [True, False]
        assert not rows.made(connection, row.id, "late")
        assert rows.not_ended(connection) == []


def test_both_databases_keep_what_alertmanager_lacks_and_has_again(database):
    intake = Intake(database, lambda: None)
    labels = {"alertname": "Oom", "failure_class": "oom", "host": "node-a", "nature": "state"}
    intake._commit([Delivery("g", (Alert("firing", labels, {}, 1.0, None, "f"),))])
    absorb(database, Policy(), FLEET, Metrics(lambda: None), lambda: 2.0)
    with database.writing() as connection:
        (fired,) = absences.firing(connection)
        absences.note_active(connection, [fired.id], 2.0)
        assert absences.firing(connection)[0].active_at == 2.0
        assert absences.note_absent(connection, fired.id, 3.0)
        assert not absences.note_absent(connection, fired.id, 3.0)
        assert absences.firing(connection) == []
        (gone,) = absences.absent(connection, 4.0)
        assert absences.note_back(connection, gone.id, 1.0, 4.0)
        assert not absences.note_back(connection, gone.id, 1.0, 4.0)
        assert absences.absent(connection, 4.0) == []
    absorb(database, Policy(), FLEET, Metrics(lambda: None), lambda: 5.0)
    with database.reading() as connection:
        assert [(row.status, row.outcome) for row in store.latest_news(connection, 1)] == [("firing", "joined")]
