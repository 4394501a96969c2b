# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An alert that Alertmanager lacks has ended, which proves nothing; what it does not say changes nothing."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.policy.alertmanager import Alertmanager
from autoglm_recovery.receiver.intake.commit import Delivery, Intake
from autoglm_recovery.receiver.intake.payload import parse_webhook
from autoglm_recovery.receiver.observe import absence_watch
from autoglm_recovery.receiver.observe.absence_watch import AbsenceWatch, lacking
from autoglm_recovery.receiver.observe.alertmanager import (
    ActiveAlert,
    AlertmanagerAlerts,
    AlertmanagerClient,
    Unanswered,
    read_had,
)
from autoglm_recovery.receiver.store import absences, runs, schema
from autoglm_recovery.receiver.store.absences import FiringAlert
from autoglm_recovery.receiver.values.alerts import ABSENT
from autoglm_recovery.receiver.values.model import Alert
from tests.support.servers.http_answers import Reply, answering_http
from tests.unit.receiver.desk import START, desk

POLICY = """
monitoring: {alertmanager: {url: 'http://127.0.0.1:1'}}
recovery: {strategies: {oom: {delay: 0s}}}
"""
STATUS = {"uptime": "2026-12-01T20:00:00.000Z"}
LABELS = {"alertname": "Oom"}
# As Alertmanager 0.25 answered on the machine of the tests.
ENTRY = {
    "annotations": {},
    "endsAt": "2026-12-01T21:05:00.000Z",
    "fingerprint": "1a2b3c4d5e6f7081",
    "receivers": [{"name": "autoglm"}],
    "startsAt": "2026-12-01T21:00:00.000Z",
    "status": {"inhibitedBy": [], "silencedBy": ["8d1b7a5e-7c0e-4b5e-b1f5-0a1f3e0b0a11"], "state": "suppressed"},
    "updatedAt": "2026-12-01T21:01:00.000Z",
    "labels": {"alertname": "Oom", "host": "node-a"},
}


def entry(**changes):
    return {**deepcopy(ENTRY), **changes}


def without(key):
    return {name: value for name, value in deepcopy(ENTRY).items() if name != key}


def test_an_answer_names_what_has_not_ended_silenced_or_not():
    had = read_had([ENTRY], STATUS, 5.0)
    alert = had.alerts["1a2b3c4d5e6f7081"]
    assert (dict(alert.labels), had.at) == ({"alertname": "Oom", "host": "node-a"}, 5.0)
    assert alert.updated_at == datetime(2026, 12, 1, 21, 1, tzinfo=UTC).timestamp()
    assert had.up_since == datetime(2026, 12, 1, 20, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("alerts", "status"),
    [
        ({}, STATUS),
        (None, STATUS),
        ([ENTRY, 1], STATUS),
        ([ENTRY, without("fingerprint")], STATUS),
        ([entry(fingerprint="")], STATUS),
        ([entry(labels={"a": 1})], STATUS),
        ([entry(updatedAt="lately")], STATUS),
        ([], {}),
        ([], None),
        ([], {"uptime": 7}),
    ],
)
def test_an_answer_of_which_a_part_cannot_be_read_is_none(alerts, status):
    with pytest.raises(ValueError, match=r"."):
        read_had(alerts, status, 0.0)


def had(*stored, at=START, up_for=3600.0, heard_ago=30.0, starts_at=START):
    """Return an answer: these alerts, and a Watchdog unless none was ever heard."""
    alerts = {name: ActiveAlert(name, labels, starts_at, at) for name, labels in stored}
    if heard_ago is not None:
        alerts["w"] = ActiveAlert("w", {"alertname": "Watchdog"}, at, at - heard_ago)
    return AlertmanagerAlerts(alerts, at - up_for, at)


@pytest.mark.parametrize(
    ("answer", "doubt"),
    [
        (had(), None),
        (had(heard_ago=120.0), None),
        (had(heard_ago=121.0), "its Watchdog was last sent 121 s ago"),
        (had(heard_ago=None), "it has no Watchdog"),
        (had(up_for=119.0), "it has run for 119 s only"),
    ],
)
def test_what_it_lacks_tells_something_only_where_it_was_told_all(answer, doubt):
    assert answer.doubt(120.0) == doubt


@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), max_size=6), st.dictionaries(st.integers(0, 5), st.integers(1))
)
def test_nothing_counts_as_lacking_that_it_has_or_never_had(alerts, times):
    fired = [FiringAlert(n, f"f{n}", LABELS, 1.0 if seen else None) for n, (seen, _there) in enumerate(alerts)]
    answer = had(*((f"f{n}", LABELS) for n, (_seen, there) in enumerate(alerts) if there))
    found = lacking(fired, answer, times)
    assert found == {n: times.get(n, 0) + 1 for n, (seen, there) in enumerate(alerts) if seen and not there}


@pytest.fixture
def at(tmp_path):
    with desk(tmp_path, POLICY) as made:
        yield made


@pytest.fixture
def watch(at, monkeypatch):
    """Return a watch whose Alertmanager answers what the test says: ``answer``, or an error."""
    made = AbsenceWatch(at.database, lambda: at.config.policy, lambda: None, lambda: at.now)
    made.answer = had(heard_ago=None)

    class Scripted:
        """Stands for a connection."""

        def __init__(self, _url, _setting):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def had(self):
            if isinstance(made.answer, Exception):
                raise made.answer
            return made.answer

    monkeypatch.setattr(absence_watch, "AlertmanagerClient", Scripted)
    return made


def stored(at, number=1):
    """Return the fingerprint and the labels of an alert."""
    return next((row.fingerprint, row.labels) for row in at.rows(schema.alerts) if row.id == number)


def look(at, watch, answer, times=1):
    """Have the watch look, and what is due done."""
    watch.answer = answer
    for _ in range(times):
        watch.look()
    at.turn()


def repaired(at, watch):
    """Have an alert fire that Alertmanager has, and its repair succeed."""
    at.fire("node-a", "oom")
    look(at, watch, had(stored(at)))
    at.end_run("node-a", 0)
    assert at.state() == "verifying"


def outcomes(at):
    return [(row.status, row.outcome) for row in at.rows(schema.alerts)]


@pytest.mark.parametrize(("verdict", "state"), [("healthy", "resolved"), ("unhealthy", "running"), (None, "verifying")])
def test_the_probe_decides_once_an_alert_is_lacking_in_two_looks(at, watch, verdict, state):
    at.probe = verdict
    repaired(at, watch)
    look(at, watch, had())
    assert at.state() == "verifying"
    assert outcomes(at) == [("firing", "joined")]
    look(at, watch, had())
    assert outcomes(at)[1] == ("resolved", "absent")
    assert at.state() == state
    assert sum("did not deliver its end" in line for line in at.timeline()) == 1
    look(at, watch, had(), times=3)
    assert len(outcomes(at)) == 2


def test_absence_alone_never_resolves_anything(at, watch):
    at.config = type(at.config)(at.config.policy, at.config.fleet, frozenset({"restart_process"}), at.config.inventory)
    repaired(at, watch)
    at.watchdog_at = at.now + 1e6
    look(at, watch, had(), times=2)
    assert outcomes(at)[1] == ("resolved", "absent")
    assert at.state() == "verifying"
    at.pass_time(3600)
    at.turn()
    assert at.state() == "unproven"


def test_the_end_of_one_alert_does_not_speak_for_one_that_is_absent(at, watch):
    at.config = type(at.config)(at.config.policy, at.config.fleet, frozenset({"restart_process"}), at.config.inventory)
    repaired(at, watch)
    began = at.fire("node-a", "oom", alertname="Another")
    look(at, watch, had(stored(at, 2)), times=2)
    at.resolve("node-a", "oom", began, alertname="Another")
    assert [row.outcome for row in at.rows(schema.alerts)] == ["joined", "joined", "absent", "joined"]
    assert at.state() == "verifying"


@pytest.mark.parametrize("nature", ["event", "sticky"])
def test_the_absence_of_what_takes_no_part_in_a_proof_denies_none(at, watch, nature):
    at.config = type(at.config)(at.config.policy, at.config.fleet, frozenset({"restart_process"}), at.config.inventory)
    began = at.fire("node-a", "oom")
    at.fire("node-a", "oom", alertname="Another", nature=nature)
    look(at, watch, had(stored(at), stored(at, 2)))
    at.end_run("node-a", 0)
    look(at, watch, had(stored(at)), times=2)
    assert outcomes(at)[2] == ("resolved", "absent")
    assert at.state() == "verifying"
    at.resolve("node-a", "oom", began)
    assert at.state() == "resolved"


@pytest.fixture
def fake():
    """An Alertmanager that answers as no real one does at will.  See tests/FAKES.md."""
    with answering_http(lambda _asked: Reply(404)) as server:
        yield server


def answers(**by_name):
    """Return what answers with these statuses and bodies: ``alerts`` and ``status``."""
    return lambda asked: Reply(*by_name[asked.path.removeprefix("/api/v2/")])


ALERTS, SAID = json.dumps([ENTRY]).encode(), json.dumps(STATUS).encode()


@pytest.mark.parametrize(
    ("alerts", "status"),
    [
        ((503, ALERTS), (200, SAID)),
        ((200, ALERTS), (500, SAID)),
        ((302, ALERTS), (200, SAID)),
        ((204, b""), (200, SAID)),
        ((200, ALERTS[:-1]), (200, SAID)),
        ((200, b"<html>log in</html>"), (200, SAID)),
        ((200, b"[" * 100_000), (200, SAID)),
        ((200, b"[{}]"), (200, SAID)),
        ((200, ALERTS), (200, b"[]")),
        ((404, b""), (404, b"")),
    ],
)
def test_no_answer_but_a_whole_one_says_anything(fake, alerts, status):
    setting = Alertmanager(url=fake.url, timeout="10s")
    fake.answer = answers(alerts=(200, ALERTS), status=(200, SAID))
    with AlertmanagerClient(setting.url, setting) as client:
        assert set(client.had().alerts) == {ENTRY["fingerprint"]}
        fake.answer = answers(alerts=alerts, status=status)
        with pytest.raises(Unanswered):
            client.had()


def test_nobody_is_asked_with_a_token_that_cannot_be_read(tmp_path):
    with pytest.raises(Unanswered, match="FileNotFoundError"):
        AlertmanagerClient("http://127.0.0.1:1", Alertmanager(url="http://127.0.0.1:1", token_file=tmp_path / "none"))


@pytest.mark.parametrize(
    "answer",
    [Unanswered("HTTP 503"), had(heard_ago=None), had(heard_ago=300.0), had(up_for=5.0)],
)
def test_what_is_not_known_changes_nothing_and_is_counted_anew(at, watch, answer):
    repaired(at, watch)
    look(at, watch, had())
    look(at, watch, answer)
    look(at, watch, had())
    assert outcomes(at) == [("firing", "joined")]
    look(at, watch, answer, times=5)
    assert outcomes(at) == [("firing", "joined")]
    assert at.state() == "verifying"
    look(at, watch, had(), times=2)
    assert at.state() == "resolved"


def test_an_alert_that_this_alertmanager_never_had_came_another_way(at, watch):
    at.fire("node-a", "oom")
    look(at, watch, had(), times=5)
    assert outcomes(at) == [("firing", "joined")]


def test_an_error_of_any_kind_is_no_word_that_an_alert_has_ended(at, watch):
    repaired(at, watch)
    look(at, watch, had())
    watch.answer = MemoryError()
    watch.worker.attempt()
    assert watch.worker.failures == 1
    look(at, watch, had())
    assert outcomes(at) == [("firing", "joined")]


def test_what_it_has_again_is_taken_in_as_if_it_had_been_delivered(at, watch):
    repaired(at, watch)
    its = stored(at)
    look(at, watch, had(), times=2)
    assert at.state() == "resolved"
    look(at, watch, had(its, heard_ago=None))
    assert outcomes(at)[2:] == [("firing", "joined")]
    assert at.state(2) == "running"
    look(at, watch, had(its), times=3)
    assert len(outcomes(at)) == 3


def test_a_firing_that_is_delivered_after_an_absence_is_news_with_the_same_start(at, watch):
    at.probe = None
    repaired(at, watch)
    began = at.rows(schema.alerts)[0].starts_at
    look(at, watch, had(), times=2)
    at.fire("node-a", "oom", start=began)
    assert outcomes(at)[2:] == [("firing", "joined")]


def test_an_end_that_is_delivered_after_all_counts_as_one(at, watch):
    at.config = type(at.config)(at.config.policy, at.config.fleet, frozenset({"restart_process"}), at.config.inventory)
    repaired(at, watch)
    look(at, watch, had(), times=2)
    assert at.state() == "verifying"
    at.resolve("node-a", "oom", at.rows(schema.alerts)[0].starts_at)
    assert at.state() == "resolved"


def test_another_alert_under_the_fingerprint_that_was_posted_changes_nothing(at, watch):
    at.fire("node-a", "oom")
    theirs = (stored(at)[0], {"alertname": "DiskFull", "host": "node-z"})
    look(at, watch, had(theirs))
    assert at.rows(schema.alerts)[0].active_at is None
    at.end_run("node-a", 0)
    # Its end says nothing of what was posted under its name.
    look(at, watch, had(), times=3)
    assert outcomes(at) == [("firing", "joined")]
    look(at, watch, had(stored(at)))
    look(at, watch, had(theirs), times=3)
    assert outcomes(at) == [("firing", "joined")]
    look(at, watch, had(), times=2)
    assert outcomes(at)[1:] == [("resolved", "absent")]
    # Nor is it the alert that was lacking, back again.
    look(at, watch, had(theirs), times=3)
    assert len(outcomes(at)) == 2


@pytest.mark.parametrize("theirs", [{"host": "node-a"}, {"host": "nowhere"}])
def test_who_posts_another_alert_under_a_fingerprint_hides_nothing_that_alertmanager_lacks(at, watch, theirs):
    """Be it that theirs joins the incident, or that it is refused."""
    repaired(at, watch)
    mine = stored(at)
    other = {"alertname": "Other", "failure_class": "oom", "nature": "state", **theirs}
    at.commit(Alert("firing", other, {}, at.now, None, mine[0]), sender="another")
    at.turn()
    look(at, watch, had(), times=2)
    absent = [(row.labels, row.status) for row in at.rows(schema.alerts) if row.outcome == "absent"]
    assert absent == [(mine[1], "resolved")]
    # Nor that it is back.
    at.commit(Alert("firing", other, {}, at.now + 1, None, mine[0]), sender="another")
    look(at, watch, had(mine, starts_at=at.now + 2))
    assert [row.status for row in at.rows(schema.alerts) if row.labels == mine[1]] == ["firing", "resolved", "firing"]


def test_the_same_labels_in_another_order_are_the_same_alert(database):
    labels = {"alertname": "Oom", "host": "node-a", "note": '\u00e4 "quoted" \\'}
    backwards = dict(reversed(labels.items()))

    def told(number: int, its: dict[str, str]) -> list[int]:
        """Have intake commit that under one fingerprint; return what is absent still."""
        alert = Alert("firing", its, {}, float(number), None, "f")
        Intake(database, lambda: None)._commit([Delivery("g", (alert,))])
        with database.writing() as connection:
            first = schema.alerts.update().where(schema.alerts.c.id == 1)
            connection.execute(first.values(outcome=ABSENT, committed_at=START))
            return [each.id for each in absences.absent(connection, START)]

    assert told(1, labels) == [1]
    assert told(2, {**labels, "note": "another"}) == [1]
    assert told(3, backwards) == []


def test_an_alert_is_known_again_by_what_intake_leaves_of_its_labels(at, watch):
    sent = {
        "alertname": "Oom",
        "failure_class": "oom",
        "nature": "state",
        "host": "node-a",
        "url": "http://u:hunter2@h/",
    }
    body = {"version": "4", "alerts": [{"status": "firing", "labels": sent, "startsAt": "2026-12-01T21:00:00Z"}]}
    (read,) = parse_webhook(json.dumps(body).encode()).alerts
    assert "hunter2" not in read.labels["url"]
    at.commit(read)
    at.turn()
    look(at, watch, had((read.fingerprint, sent)))
    assert at.rows(schema.alerts)[0].active_at is not None


def test_what_was_delivered_while_it_was_asked_is_newer(at, watch):
    repaired(at, watch)
    look(at, watch, had())
    ask = watch._ask_alertmanager

    def deliver_meanwhile(setting):
        at.post("firing", "node-a", "oom", START + 100)
        return ask(setting)

    watch._ask_alertmanager = deliver_meanwhile
    watch.answer = had()
    watch.look()
    assert [row.outcome for row in at.rows(schema.alerts)] == ["joined", "new"]


def test_a_run_that_goes_on_is_left_alone(at, watch):
    at.fire("node-a", "oom")
    look(at, watch, had(stored(at)))
    look(at, watch, had(), times=2)
    assert at.running() == {"node-a": "restart_process"}
    at.end_run("node-a", 0)
    assert at.state() == "resolved"
    assert [row.action for row in at.rows(schema.runs)] == ["restart_process", runs.CHECK]


def test_nobody_is_asked_where_nothing_fires_or_none_is_named(at, watch):
    watch.answer = AssertionError("asked")
    assert watch.look() == 15.0
    at.policy("{}")
    assert watch.look() == 5.0


def test_of_what_was_absent_long_ago_alertmanager_tells_itself(at, watch):
    repaired(at, watch)
    its = stored(at)
    look(at, watch, had(), times=2)
    at.pass_time(absences.LOOKED_FOR_S + 1)
    look(at, watch, had(its))
    assert len(outcomes(at)) == 2


def test_the_reason_is_told_once(at, watch, monkeypatch):
    told = []
    monkeypatch.setattr(absence_watch, "log", SimpleNamespace(warning=lambda *_, **more: told.append(more["reason"])))
    at.fire("node-a", "oom")
    look(at, watch, Unanswered("ConnectError: refused"), times=3)
    look(at, watch, had(heard_ago=None), times=3)
    assert told == ["ConnectError: refused", "it has no Watchdog"]
