# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An event of a source becomes one for each alert, on which something can be run only where the policy would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autoglm_recovery.eda.events import events_of
from autoglm_recovery.policy import parse_policy
from autoglm_recovery.receiver.fleet.fleet import Fleet, Host, InferenceService
from autoglm_recovery.receiver.fleet.site_config import SiteConfig
from autoglm_recovery.receiver.rehearse.explain import explain

FLEET = Fleet({"node-a": Host("node-a", services=(InferenceService("llama", None),)), "node-b": Host("node-b")})
NOW = 1795888800.0
WINDOW = "{name: power, hosts: [node-a], start: 2020-01-01T00:00:00Z, end: 2090-01-01T00:00:00Z}"
HEADERS = {"Authorization": "Bearer token-of-alertmanager"}


def config(policy: str = "{}", *playbooks: str) -> SiteConfig:
    return SiteConfig(parse_policy(policy), FLEET, frozenset(playbooks or ("restart_process",)), Path("inventory.yml"))


def alert(status: str = "firing", **labels: str) -> dict[str, Any]:
    named = {"alertname": "Crashed", "failure_class": "crash", "host": "node-a", **labels}
    return {"status": status, "labels": named, "annotations": {}, "startsAt": "2026-11-22T20:00:00Z"}


def webhook(*alerts: Any) -> dict[str, Any]:
    return {"payload": {"version": "4", "alerts": list(alerts)}, "meta": {"headers": HEADERS, "hosts": ["all"]}}


def test_an_alert_that_would_be_acted_on_has_what_a_playbook_needs() -> None:
    (event,) = events_of(webhook(alert()), config(), NOW)
    assert event["autoglm"]["decision"] == "run"
    assert event["autoglm"]["playbook"] == "autoglm.recovery.restart_process"
    assert event["autoglm"]["target"] == "node-a/llama"
    assert event["autoglm_target"] == {"host": "node-a", "service": "llama", "gpu": None, "pool": None}
    incident = event["autoglm_incident"]
    assert (incident["failure_class"], incident["action"]) == ("crash", "restart_process")
    assert incident["opened_at"] == "2026-11-22T20:00:00+00:00"
    # No receiver has an incident of that number, or gives fencing tokens in this order.
    assert (incident["id"], incident["fence"], incident["run"]) == ("", 0, "")
    assert event["meta"] == {"hosts": ["node-a"]}


@pytest.mark.parametrize(
    "event",
    [
        webhook(alert()),
        {"alert": alert(), "meta": {"headers": HEADERS, "hosts": ["all"]}},
        {**webhook(alert())["payload"], "meta": {"headers": HEADERS, "hosts": ["all"]}},
    ],
    ids=["webhook", "alertmanager", "event stream"],
)
def test_each_source_s_event_is_read_and_nothing_of_it_passed_on(event: dict[str, Any]) -> None:
    (told,) = events_of(event, config(), NOW)
    assert told["autoglm_target"]["host"] == "node-a"
    assert told["meta"] == {"hosts": ["node-a"]}
    assert "token-of-alertmanager" not in json.dumps(told)


@pytest.mark.parametrize("event", [{}, {"i": 1}, {"payload": {"text": "hello"}}, {"payload": None}, {"payload": []}])
def test_what_has_nothing_to_do_with_alerts_is_dropped(event: dict[str, Any]) -> None:
    assert events_of(event, config(), NOW) == []


@pytest.mark.parametrize(
    ("wrong", "policy", "decision"),
    [
        (alert("resolved"), "{}", "resolve"),
        (alert(host="all"), "{}", "refuse"),
        (alert(host="node-*"), "{}", "refuse"),
        (alert(host="node-a", node="node-b"), "{}", "refuse"),
        (alert(failure_class="nonsense"), "{}", "escalate"),
        (alert(), "recovery: {autonomy: ask}", "hold"),
        (alert(), "recovery: {autonomy: watch}", "hold"),
        (alert(), f"guardrails: {{maintenance_windows: [{WINDOW}]}}", "wait"),
        (alert(failure_class="gpu_lost"), "{}", "escalate"),
        ({"status": "firing"}, "{}", "set aside"),
        ("no alert", "{}", "set aside"),
        ({"status": "firing", "labels": {"alertname": "Watchdog"}, "startsAt": "2026-11-22T20:00:00Z"}, "{}", "ignore"),
    ],
)
def test_what_would_not_be_acted_on_has_a_reason_and_nothing_to_act_with(
    wrong: Any, policy: str, decision: str
) -> None:
    (event,) = events_of(webhook(wrong), config(policy), NOW)
    assert event["autoglm"]["decision"] == decision
    assert event["autoglm"]["reason"]
    assert event.keys() <= {"autoglm", "meta"}
    assert event.get("meta", {}).get("hosts", []) in ([], ["node-a"])


def test_every_alert_of_a_webhook_is_told_of_as_explain_does() -> None:
    event = webhook(alert(), "no alert", alert(host="nowhere"), alert(failure_class="deadlock"))
    told = [each["autoglm"] for each in events_of(event, config(), NOW)]
    explained = explain(json.dumps(event["payload"]).encode(), config(), NOW)
    assert [each["decision"] for each in told] == [each["decision"] for each in explained]
    assert [each["reason"] for each in told] == [each["reason"] for each in explained]
    assert [each["decision"] for each in told] == ["run", "refuse", "run", "set aside"]


@pytest.mark.parametrize(
    "payload", [{"version": "9", "alerts": []}, {"alerts": {}}, {"version": "4", "alerts": [1] * 30000}]
)
def test_a_payload_that_cannot_be_read_is_one_event_with_the_reason(payload: dict[str, Any]) -> None:
    (event,) = events_of({"payload": payload}, config(), NOW)
    about = event["autoglm"]
    assert (about["decision"], about["failure_class"], about["status"]) == ("set aside", "unknown", None)


def test_what_the_policy_gives_an_action_of_the_site_s_own_is_passed_on_as_it_stands() -> None:
    given = "{meta: {hosts: all}, where: '{{ inventory_dir }}'}"
    policy = f"""
actions: {{reload_it: {{playbook: /etc/autoglm/reload_it.yml, extra_vars: {given}}}}}
recovery: {{strategies: {{crash: {{action: reload_it, then: []}}}}}}
"""
    (event,) = events_of(webhook(alert()), config(policy, "reload_it"), NOW)
    assert event["autoglm"]["playbook"] == "/etc/autoglm/reload_it.yml"
    assert event["autoglm_variables"] == {"meta": {"hosts": "all"}, "where": "{{ inventory_dir }}"}
    # ansible-rulebook ends no run, so that none may give its host away by then.
    assert "timeout" not in event["autoglm_incident"]
    assert event["meta"] == {"hosts": ["node-a"]}


def test_no_text_of_a_stranger_is_a_template() -> None:
    hostile = "{{ lookup('pipe', 'id') }}"
    (event,) = events_of(webhook(alert(alertname=hostile, **{f"x{hostile}": hostile})), config(), NOW)
    assert event["autoglm"]["decision"] == "run"
    assert "{{" not in json.dumps(event, ensure_ascii=False)
    (refused,) = events_of(webhook(alert(host=hostile)), config(), NOW)
    assert "{{" not in json.dumps(refused, ensure_ascii=False)
