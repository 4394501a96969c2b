# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is over for long goes whole; what may still be needed stays."""

from __future__ import annotations

import pytest

from autoglm_recovery.policy.retention import Retention
from autoglm_recovery.receiver.intake.commit import Delivery, Intake
from autoglm_recovery.receiver.intake.payload import Rejected, fingerprint
from autoglm_recovery.receiver.store import retention, schema
from autoglm_recovery.receiver.store.forgetting import Forgetting
from autoglm_recovery.receiver.values.model import Alert
from tests.unit.receiver.desk import START, desk

DAY = 86400.0


@pytest.fixture
def at(tmp_path):
    with desk(tmp_path, "recovery: {strategies: {oom: {delay: 0s}}}") as made:
        yield made


def forget(at) -> None:
    """Remove piece by piece what may go now."""
    forgetting = Forgetting(at.database, Retention, lambda: at.now)
    while forgetting.step() < 1:
        pass


def over(at):
    """Have an incident that was repaired and is over, and a newer one that is under way."""
    began = at.fire("node-c", "oom")
    at.end_run("node-c", 0)
    at.resolve("node-c", "oom", began)
    assert at.state() == "resolved"
    at.fire("node-a", "oom", service="llama")


def of_first(at):
    """Return what is left of the first incident."""
    rows = [row for table in (schema.alerts, schema.runs, schema.timeline, schema.notices) for row in at.rows(table)]
    return [row for row in rows if row.incident_id == 1] + [row for row in at.rows(schema.incidents) if row.id == 1]


def test_an_incident_goes_with_all_that_belongs_to_it_and_not_before_its_time(at):
    over(at)
    whole = of_first(at)
    at.pass_time(180 * DAY - 1)
    forget(at)
    assert of_first(at) == whole
    at.pass_time(2)
    forget(at)
    assert not of_first(at)


def test_what_goes_on_stays_whatever_its_age(at):
    over(at)
    at.pass_time(1000 * DAY)
    forget(at)
    assert [row.id for row in at.rows(schema.incidents)] == [2]
    assert {row.incident_id for row in at.rows(schema.runs)} == {2}
    assert at.running() == {"node-a": "restart_process"}


def test_no_number_of_an_incident_is_given_twice(at):
    began = at.fire("node-c", "oom")
    at.end_run("node-c", 0)
    at.resolve("node-c", "oom", began)
    at.pass_time(1000 * DAY)
    forget(at)
    at.fire("node-a", "oom", service="llama")
    assert [row.id for row in at.rows(schema.incidents) if row.host == "node-a"] == [2]


def test_a_closed_incident_stays_while_its_alert_fires_so_that_a_repetition_is_no_news(at):
    began = at.fire("node-c", "oom")
    at.order(1, "close")
    at.end_run("node-c", 1)
    at.fire("node-a", "oom", service="llama")
    at.pass_time(400 * DAY)
    forget(at)
    at.post("firing", "node-c", "oom", began)
    at.turn()
    assert [row.id for row in at.rows(schema.incidents)] == [1, 2]
    at.resolve("node-c", "oom", began)
    forget(at)
    assert [row.id for row in at.rows(schema.incidents)] == [2]


def test_an_end_that_came_after_its_incident_was_closed_is_kept_as_long_as_that(at):
    began = at.fire("node-c", "oom")
    at.order(1, "close")
    at.end_run("node-c", 1)
    at.resolve("node-c", "oom", began)
    at.fire("node-a", "oom", service="llama")
    at.pass_time(20 * DAY)
    forget(at)
    assert [row.outcome for row in at.rows(schema.alerts)] == ["joined", "ignored", "joined"]
    at.pass_time(180 * DAY)
    forget(at)
    assert [row.id for row in at.rows(schema.incidents)] == [2]
    assert [row.outcome for row in at.rows(schema.alerts)] == ["joined"]


@pytest.mark.parametrize("piece", [1, 2, 3])
def test_a_piece_that_is_cut_off_is_gone_on_with(at, piece):
    over(at)
    for _ in range(100):
        with at.database.writing() as connection:
            if not retention.forget_incidents(connection, START + 1000 * DAY, most=piece):
                break
    assert not of_first(at)


def test_alerts_without_an_incident_and_what_could_not_be_read_go_sooner_but_not_what_waits(at):
    over(at)
    labels = {"alertname": "NobodyKnows", "host": "nowhere", "failure_class": "oom", "nature": "state"}
    stranger = Alert("firing", labels, {}, at.now, None, fingerprint(labels))
    with at.clock():
        Intake(at.database, lambda: None)._commit([Delivery("g", (stranger,), (Rejected("{}", "no labels"),), "")])
    at.turn()
    assert [row.outcome for row in at.rows(schema.alerts)][-1] == "refused"
    at.pass_time(15 * DAY)
    at.post("firing", "node-b", "oom")  # not looked at yet
    forget(at)
    assert [row.outcome for row in at.rows(schema.alerts)] == ["joined", "joined", "joined", "new"]
    assert not at.rows(schema.rejects)


def test_whoever_floods_fills_no_disk_within_the_time(at):
    with at.clock():
        rejects = tuple(Rejected(str(n), "no labels") for n in range(30))
        Intake(at.database, lambda: None)._commit([Delivery("g", (), rejects, "")])
    with at.database.writing() as connection:
        while retention.forget_rejects(connection, before=0.0, most=7, kept=10):
            pass
    assert [row.raw for row in at.rows(schema.rejects)] == [str(n) for n in range(20, 30)]
