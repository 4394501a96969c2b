# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a replay decides is what the receiver decides, only sooner."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from autoglm_recovery.knowledge.faults.classes import ACTIONS
from autoglm_recovery.policy import parse_policy
from autoglm_recovery.receiver.fleet.site_config import SiteConfig
from autoglm_recovery.receiver.intake.commit import Delivery, Intake
from autoglm_recovery.receiver.intake.payload import parse_webhook
from autoglm_recovery.receiver.rehearse.backtest.events import (
    AlertRecord,
    Event,
    FiringSpan,
    Series,
    deliveries,
    events_of,
)
from autoglm_recovery.receiver.rehearse.backtest.replay import payload, replaying
from autoglm_recovery.receiver.rehearse.backtest.report import report
from autoglm_recovery.receiver.rehearse.backtest.run import Assumptions, backtest
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store import schema
from autoglm_recovery.receiver.store.runs import CHECK
from autoglm_recovery.receiver.triage.own_alerts import FOR_PEOPLE, for_people
from autoglm_recovery.rules.render import render_receiver_rules, render_rules
from tests.unit.receiver.desk import FLEET, START, desk

STEP = 30.0
TAKES = 60.0
DAY = 86_400.0
VERIFY = (
    "monitoring: {prometheus: {url: 'http://127.0.0.1:9'}}\n"
    "recovery: {strategies: {oom: {action: restart_process, verify: up == 1}}}"
)


def series(host: str, failure_class: str, *spans: tuple[float, float], **labels: str) -> Series:
    """Return an alert that fired between these seconds after the start."""
    named = {
        "alertname": f"Alert{failure_class}",
        "failure_class": failure_class,
        "host": host,
        "nature": "state",
        **labels,
    }
    return Series(tuple(sorted(named.items())), tuple(FiringSpan(START + first, START + last) for first, last in spans))


def recorded(*alerts: Series, lasting: float = DAY) -> AlertRecord:
    """Return a record in which nothing is missing."""
    return AlertRecord(START, START + lasting, STEP, alerts, (FiringSpan(START, START + lasting),))


def replayed(directory: Path, record: AlertRecord, policy: str = ""):
    """Replay a record and report on it."""
    config = SiteConfig(parse_policy(policy), FLEET, frozenset({*ACTIONS, CHECK}), directory)
    events = events_of(record)
    with replaying(directory, config, TAKES) as replay:
        replay.run(events, record.until)
        return report(record, events, replay, ["an assumption"])


def test_a_run_after_which_the_alert_is_gone_has_repaired(tmp_path):
    told = replayed(tmp_path, recorded(series("node-a", "oom", (0, 90), service="llama")))
    (run,) = told["runs"]
    assert (run["host"], run["action"], run["state"]) == ("node-a", "restart_process", "succeeded")
    assert told["classes"]["oom"] == {"incidents": 1, "runs": 1, "held": 0, "escalated": 0, "resolved": 1}
    assert told["incidents"] == {"total": 1, "by_state": {"resolved": 1}}
    assert told["busiest_minute"]["runs"] == {"at": "2027-01-15T08:00:00+00:00", "count": 1}


@pytest.mark.parametrize(("nature", "policy"), [("event", ""), ("event", VERIFY), ("unheard-of", "")])
def test_what_only_a_made_up_answer_has_ended_is_no_success(tmp_path, nature, policy):
    told = replayed(tmp_path, recorded(series("node-a", "oom", (0, 90), service="llama", nature=nature)), policy)
    assert told["incidents"] == {"total": 1, "by_state": {"assumed": 1}}
    assert told["actions"]["restart_process"]["by_state"] == {"assumed": 1}
    assert [run["state"] for run in told["runs"]] == ["assumed"]
    assert (told["classes"]["oom"]["resolved"], told["hosts"]["node-a"]["resolved"]) == (0, 0)


def test_where_the_record_shows_it_a_policy_that_asks_prometheus_counts_as_well(tmp_path):
    told = replayed(tmp_path, recorded(series("node-a", "oom", (0, 90), service="llama")), VERIFY)
    assert told["incidents"]["by_state"] == {"resolved": 1}
    assert [run["state"] for run in told["runs"]] == ["succeeded"]


def test_an_alert_that_went_away_with_nothing_done_is_no_success_of_ours(tmp_path):
    told = replayed(tmp_path, recorded(series("node-a", "oom", (0, 90), service="llama")), "recovery: {autonomy: ask}")
    assert told["runs"] == []
    assert told["incidents"]["by_state"] == {"assumed": 1}


def test_our_own_alerts_for_people_are_no_alerts_without_a_target(tmp_path):
    """Those about the receiver, the Watchdog, and those about an exporter, which would be a fault of its host."""
    fired = [
        Series((("alertname", name), *also), (FiringSpan(START, START + 90),))
        for name, also in [
            ("Watchdog", ()),
            ("AutoglmReceiverDown", (("instance", "ops:8484"), ("severity", "critical"))),
            ("AutoglmExporterDown", (("host", "node-a"), ("severity", "warning"))),
            ("Classified", (("host", "node-b"), ("failure_class", "oom"))),
            ("Stranger", (("severity", "critical"),)),
        ]
    ]
    config = SiteConfig(parse_policy(""), FLEET, frozenset({*ACTIONS, CHECK}), tmp_path)
    told = backtest(recorded(*fired), config, config.policy, Assumptions(), lambda _done: None)
    assert told["alerts"]["own"] == {"fired": 3, "alerts": ["AutoglmExporterDown", "AutoglmReceiverDown", "Watchdog"]}
    assert [refused["alerts"] for refused in told["alerts"]["refused_because"]] == [["Stranger"]]
    assert (told["alerts"]["joined"], told["alerts"]["refused"], told["alerts"]["ignored"]) == (1, 1, 0)
    assert list(told["hosts"]) == ["node-b"]
    assert told["record"]["fired"] == 2


def test_our_own_alert_that_the_policy_classifies_counts(tmp_path):
    entry = "classify: [{match: 'alertname=\"AutoglmExporterDown\"', failure_class: unknown}]"
    config = SiteConfig(parse_policy(entry), FLEET, frozenset({*ACTIONS, CHECK}), tmp_path)
    fired = Series((("alertname", "AutoglmExporterDown"), ("host", "node-a")), (FiringSpan(START, START + 90),))
    told = backtest(recorded(fired), config, config.policy, Assumptions(), lambda _done: None)
    assert (told["alerts"]["own"]["fired"], told["alerts"]["joined"]) == (0, 1)


def test_our_own_are_those_of_our_rules_that_have_no_class():
    policy = parse_policy("")
    rendered = [*map(yaml.safe_load, (render_rules(policy), render_receiver_rules(policy)))]
    rules = [rule for file in rendered for group in file["groups"] for rule in group["rules"] if "alert" in rule]
    ours = {each["alert"] for each in rules if for_people({**each["labels"], "alertname": each["alert"]}, policy)}
    assert ours == {each["alert"] for each in rules if "failure_class" not in each["labels"]} == FOR_PEOPLE


def test_a_run_after_which_the_alert_stays_has_not_and_the_ladder_goes_on(tmp_path):
    told = replayed(tmp_path, recorded(series("node-a", "oom", (0, 3600), service="llama")))
    assert [(run["action"], run["state"]) for run in told["runs"]] == [
        ("restart_process", "unverified"),
        ("failover_and_rebuild", "unverified"),
    ]
    (call,) = told["escalated"]
    assert (call["host"], call["rule"]) == ("node-a", "ladder")
    assert "the ladder has ended" in call["reason"]
    assert told["actions"]["restart_process"] == {"runs": 1, "hosts": 1, "by_state": {"unverified": 1}}


def test_what_is_only_watched_is_held_as_long_as_it_fires(tmp_path):
    told = replayed(tmp_path, recorded(series("node-a", "oom", (0, 570))), "recovery: {autonomy: watch}")
    assert told["runs"] == []
    (held,) = told["held"]
    assert (held["rule"], held["action"], held["seconds"]) == ("autonomy", "restart_process", 660.0)
    rail = {"rule": "autonomy", "decision": "hold", "times": 1, "incidents": 1, "seconds": 660.0}
    assert told["guardrails"] == [rail]


def test_a_guardrail_that_bites_is_counted_by_its_name(tmp_path):
    alerts = [series(host, "oom", (0, 90), service="llama") for host in ("node-a", "node-b", "node-c")]
    told = replayed(tmp_path, recorded(*alerts), "guardrails: {max_concurrent_runs: 1}")
    rails = {rail["rule"]: rail for rail in told["guardrails"] if rail["decision"] == "wait"}
    assert rails["runs in the fleet"]["incidents"] == 2
    assert len(told["runs"]) < 3, "the alerts were gone before the last had its turn"


def test_refused_alerts_are_counted_with_their_reason(tmp_path):
    told = replayed(tmp_path, recorded(series("all", "oom", (0, 90), (300, 390)), series("node-a", "oom", (0, 90))))
    (refused,) = told["alerts"]["refused_because"]
    assert (refused["times"], refused["alerts"]) == (2, ["Alertoom"])
    assert "'all'" in refused["reason"]
    assert (told["alerts"]["joined"], told["alerts"]["refused"]) == (1, 2)
    assert told["record"]["fired"] == 3


def test_an_alert_that_cannot_be_read_is_set_aside_as_the_receiver_would(tmp_path):
    told = replayed(tmp_path, recorded(series("node-a", "oom", (0, 90), note="a\x00b")))
    assert told["alerts"]["set_aside"] == 2
    assert "NUL" in told["alerts"]["set_aside_because"][0]["reason"]


def test_a_run_that_goes_on_at_the_end_has_no_outcome(tmp_path):
    told = replayed(tmp_path, recorded(series("node-a", "oom", (0, 60)), lasting=30))
    assert [run["state"] for run in told["runs"]] == ["running"]
    assert told["record"]["firing_at_the_end"] == 1


def test_nothing_recorded_is_said(tmp_path):
    told = replayed(tmp_path, AlertRecord(START, START + DAY, STEP, (), ()))
    assert told["record"]["begins"] is None
    assert (told["runs"], told["busiest_minute"]) == ([], {"runs": None, "alerts": None})


STORY = (
    series("node-a", "oom", (0, 90), (600, 1200), (2000, 2030), service="llama"),
    series("node-a", "gpu_lost", (60, 1500)),
    series("node-b", "unresponsive", (30, 300), (420, 450), (510, 540), (600, 630), (690, 2000), service="llama"),
    series("node-b", "overload", (0, 1200), service="embed"),
    series("node-c", "node_down", (120, 2500)),
    series("node-c", "crash", (90, 2500), service="llama"),
)
POLICIES = (
    "",
    "guardrails: {max_concurrent_runs: 1, max_pool_unavailable: 1}",
    "recovery: {autonomy: ask}",
    "recovery: {strategies: {oom: {retries: 2, backoff: 1m, cooldown: 5m}}}",
    "guardrails: {max_actions_per_host_per_hour: 1}",
)


def live(directory: Path, events: Sequence[Event], until: float, policy: str):
    """Have the receiver at its desk told the same, end its runs by hand after the same time, and return what it did."""
    with desk(directory, policy) as at:
        at.probe = None
        coming = [(when, parse_webhook(payload(together))) for when, together in deliveries(events)]
        while True:
            ends = [row.started_at + TAKES for row in at.rows(schema.runs) if row.state in ("launching", "running")]
            with at.database.reading() as connection:
                due = store.next_due(connection)
            moment = min([store.NEVER if due is None else due, *ends, *(when for when, _ in coming[:1])])
            if moment > until:
                return _did(at.rows(schema.incidents), at.rows(schema.runs))
            at.now = max(at.now, moment)
            if coming and coming[0][0] <= at.now:
                webhook = coming.pop(0)[1]
                with at.clock():
                    # In which order news of one moment is written hangs on the group's key.
                    Intake(at.database, lambda: None)._commit([Delivery(webhook.group_key, webhook.alerts)])
            for row in at.rows(schema.runs):
                if row.state in ("launching", "running") and row.started_at + TAKES <= at.now:
                    if row.action == CHECK:
                        at.checked("healthy", row.host)
                    else:
                        at.end_run(row.host, 0)
            at.turn()


def _did(happened, ran):
    incidents = [(i.host, i.service, i.failure_class, i.opened_at, i.ended_at, i.state, i.reason) for i in happened]
    return incidents, [(r.host, r.action, r.attempt, r.started_at, r.ended_at, r.state, r.reason) for r in ran]


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES)
def test_the_replay_does_what_the_receiver_does(tmp_path, policy):
    record = recorded(*STORY, lasting=3600)
    events = events_of(record)
    (tmp_path / "replay").mkdir()
    config = SiteConfig(parse_policy(policy), FLEET, frozenset({*ACTIONS, CHECK}), tmp_path)
    with replaying(tmp_path / "replay", config, TAKES) as replay:
        replay.run(events, record.until)
        with replay.database.reading() as connection:
            rows = [connection.execute(t.select().order_by(t.c.id)).all() for t in (schema.incidents, schema.runs)]
    assert _did(*rows) == live(tmp_path, events, record.until, policy)


@pytest.mark.slow
def test_the_same_record_gives_the_same_report(tmp_path):
    reports = []
    for name in ("once", "again"):
        (tmp_path / name).mkdir()
        reports.append(replayed(tmp_path / name, recorded(*STORY, lasting=3600)))
    assert reports[0] == reports[1]
    assert reports[0]["runs"]
