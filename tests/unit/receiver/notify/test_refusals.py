# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A refusal is never silent: it is counted by its reason, and each new kind is told of once."""

from __future__ import annotations

import threading

import pytest

from autoglm_recovery.receiver.intake.commit import Delivery, Intake
from autoglm_recovery.receiver.intake.payload import Rejected, fingerprint
from autoglm_recovery.receiver.notify.moot import look_again
from autoglm_recovery.receiver.notify.refusals import tell_of_refusals
from autoglm_recovery.receiver.store import notices, refusals, schema
from autoglm_recovery.receiver.values.model import Alert
from tests.unit.receiver.desk import desk

POLICY = """
notify: {routes: [{urls: ['json://127.0.0.1:9/'], occasions: [refused, escalated]}], console: 'https://console.example'}
"""


@pytest.fixture
def at(tmp_path):
    """Return a desk whose policy has somebody to be told."""
    with desk(tmp_path, POLICY) as made:
        yield made


def refuse(desk, alertname="KubePodCrashLooping", **labels):
    """Have an alert come that kube-state-metrics sends about a pod, and take it in."""
    named = {"alertname": alertname, "job": "kube-state-metrics", "instance": "10.42.0.9:8080", **labels}
    desk.commit(Alert("firing", named, {}, desk.now, None, fingerprint({**named, "at": str(desk.now)})))
    desk.turn()


def tell(desk):
    """Do what the loop does about refusals; return whether there is something to send."""
    return tell_of_refusals(desk.database, desk.config.policy, desk.now)


def figure(desk, reason):
    """Return how many alerts were refused for a reason, as Prometheus reads it."""
    return desk.metrics.registry.get_sample_value("autoglm_alerts_refused_total", {"reason": reason})


def test_a_refusal_is_counted_by_its_reason_and_each_reason_is_there_from_the_start(at):
    assert figure(at, "messenger_only") == 0
    assert figure(at, "unreadable") == 0
    refuse(at)
    assert figure(at, "messenger_only") == 1
    assert figure(at, "no_such_host") == 0


def test_our_own_alerts_for_people_are_passed_over_or_that_about_refusals_would_feed_itself(at):
    refuse(at, "AutoglmAlertsRefused", reason="messenger_only")
    assert [row.outcome for row in at.rows(schema.alerts)] == ["ignored"]
    assert figure(at, "messenger_only") == figure(at, "no_label") == 0
    assert not tell(at)


def test_each_new_kind_is_told_of_once_with_what_would_be_accepted(at):
    refuse(at, namespace="shop", severity="critical")
    refuse(at, namespace="netbox")
    assert tell(at)
    refuse(at, namespace="blog")
    assert not tell(at)
    (notice,) = at.rows(schema.notices)
    assert notice.incident_id is None
    assert notice.title == "[autoglm] alert refused: KubePodCrashLooping, nothing is done about it"
    assert "it is where kube-state-metrics runs" in notice.body
    assert "Would be accepted: add a label host with the exact inventory name" in notice.body
    assert "https://console.example/refused" in notice.body
    (kind,) = at.rows(schema.refusals)
    assert (kind.times, kind.labels["namespace"]) == (3, "blog")


def test_another_reason_alert_or_sender_is_another_kind(at):
    refuse(at)
    refuse(at, alertname="KubePodNotReady")
    refuse(at, host="nobody")
    tell(at)
    assert len(at.rows(schema.notices)) == 3


def test_a_kind_that_was_away_for_long_is_new_again(at):
    refuse(at)
    assert tell(at)
    at.pass_time(refusals.FORGOTTEN_AFTER_S - 1)
    refuse(at)
    assert not tell(at)
    at.pass_time(refusals.FORGOTTEN_AFTER_S + 1)
    refuse(at)
    assert tell(at)


def test_whom_no_route_wants_to_tell_is_not_told_and_the_kind_is_kept(at):
    at.policy("notify: [{urls: ['json://127.0.0.1:9/'], occasions: [escalated]}]")
    refuse(at)
    assert not tell(at)
    assert at.rows(schema.notices) == []
    assert [row.refused_as for row in at.rows(schema.refusals)] == ["messenger_only"]


def test_what_cannot_be_read_as_an_alert_is_told_of_as_well(at):
    delivery = Delivery(
        "g", (), (Rejected('{"labels": {"gpu": 0}}', '"labels"."gpu": Input should be a valid string'),)
    )
    for _ in range(2):
        with at.clock():
            Intake(at.database, lambda: None)._commit([delivery])
    assert tell(at)
    (notice,) = at.rows(schema.notices)
    assert 'at "labels"."gpu"' in notice.title


def test_a_notice_about_no_incident_is_sent(at):
    refuse(at)
    tell(at)
    with at.database.writing() as connection:
        claimed = notices.claim(connection, at.now, at.now + 60, 10)
        assert [each.occasion for each in look_again(connection, claimed, at.now)] == ["refused"]


def test_somebody_who_invents_kinds_does_not_fill_the_disk_nor_call_people_for_each(at):
    many = refusals.MOST_KINDS + 50
    named = [{"alertname": f"Kube{n}", "job": "kube-state-metrics"} for n in range(many)]
    at.commit(*(Alert("firing", labels, {}, at.now, None, fingerprint(labels)) for labels in named))
    at.turn()
    kinds = at.rows(schema.refusals)
    assert len(kinds) == refusals.MOST_KINDS + 1
    assert {row.alert: row.times for row in kinds}[refusals.OTHERS] == 50
    assert sum(row.times for row in kinds) == many


def test_a_refused_alert_that_resolves_is_no_refusal(at):
    named = {"alertname": "X"}
    at.commit(Alert("resolved", named, {}, at.now, None, fingerprint(named)))
    at.turn()
    assert at.rows(schema.refusals) == []


def a_refusal(alert="X", labels=None):
    """Return a refusal of a kind."""
    return refusals.RefusedAlert("no_label", alert, "itself", "oom", "r", "a", labels or {})


def test_two_receivers_that_note_one_kind_at_once_count_both(database):
    together = threading.Barrier(2)
    errors = []

    def note(names):
        try:
            for _ in range(20):
                together.wait(60)
                with database.appending() as connection:
                    refusals.note(connection, [a_refusal(name) for name in names], 1.0)
        except Exception as error:  # noqa: BLE001 - the test's own thread must not end in silence
            errors.append(error)
            together.abort()

    # In different orders, as two deliveries may have them.
    threads = [threading.Thread(target=note, args=[names]) for names in (("a", "b", "c"), ("c", "b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with database.reading() as connection:
        assert {row.alert: row.times for row in refusals.newest(connection, 10)} == {"a": 40, "b": 40, "c": 40}


def test_the_newest_alert_of_a_kind_is_its_example(database):
    for at, zone in ((1.0, "old"), (2.0, "new")):
        with database.writing() as connection:
            refusals.note(connection, [a_refusal(labels={"zone": zone})], at)
    with database.reading() as connection:
        (row,) = refusals.newest(connection, 10)
    assert (row.labels, row.first_at, row.last_at, row.times) == ({"zone": "new"}, 1.0, 2.0, 2)
