# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is rendered must be accepted by Prometheus and Alertmanager, whatever the policy says."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoglm_recovery.durations import format_duration
from autoglm_recovery.knowledge.faults.classes import FAILURE_CLASSES
from autoglm_recovery.policy import Policy, parse_policy
from autoglm_recovery.rules.configuration import render_alertmanager, render_alertmanager_fragment, render_prometheus
from autoglm_recovery.rules.render import render_receiver_rules, render_rules

WEBHOOK = "http://127.0.0.1:9470/api/v1/alerts"
OTHER_PEOPLES_ALERTS = """\
classify:
  - match: '{alertname="XidError", severity=~"page|warn"}'
    failure_class: gpu_fault
  - match: 'summary="a \\"quoted\\" \\\\ {{ word }}"'
    failure_class: overload
"""

intervals = st.integers(min_value=500, max_value=86_400_000).map(lambda ms: timedelta(milliseconds=ms))


def accepted(*command: str | Path) -> str:
    """Run a checker, and fail with its own words."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def routed_to(amtool: str, config: Path, *labels: str) -> str:
    return accepted(amtool, "config", "routes", "test", f"--config.file={config}", *labels).strip()


def prometheus_of(policy: Policy, directory: Path) -> dict[str, Any]:
    text = render_prometheus(
        policy,
        alertmanager="127.0.0.1:9093",
        targets_dir=str(directory / "targets"),
        rules_files=[str(directory / "autoglm.rules.yml"), str(directory / "receiver.rules.yml")],
        prober="127.0.0.1:9115",
    )
    (directory / "prometheus.yml").write_text(text, encoding="utf-8")
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def alertmanager_of(policy: Policy, directory: Path, token_file: str | None = None) -> Path:
    path = directory / "alertmanager.yml"
    path.write_text(render_alertmanager(policy, webhook_url=WEBHOOK, token_file=token_file), encoding="utf-8")
    return path


def test_promtool_accepts_rules_and_configuration(promtool: str, policy: Policy, tmp_path: Path) -> None:
    (tmp_path / "autoglm.rules.yml").write_text(render_rules(policy), encoding="utf-8")
    (tmp_path / "receiver.rules.yml").write_text(render_receiver_rules(policy), encoding="utf-8")
    (tmp_path / "targets").mkdir()
    for job in ("node", "inference", "autoglm", "receiver", "autoglm_haproxy", "blackbox"):
        (tmp_path / "targets" / f"{job}.yml").write_text("- targets: ['127.0.0.1:1']\n  labels: {host: node-a}\n")
    document = prometheus_of(policy, tmp_path)
    for name in ("autoglm", "receiver"):
        assert " 0 rules" not in accepted(promtool, "check", "rules", tmp_path / f"{name}.rules.yml")
    assert "WARNING" not in accepted(promtool, "check", "config", tmp_path / "prometheus.yml")
    assert document["global"] == {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "2s"}
    assert [job["job_name"] for job in document["scrape_configs"]] == [
        "node",
        "inference",
        "autoglm",
        "receiver",
        "inference_slow",
        "autoglm_haproxy",
        "blackbox",
    ]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(interval=intervals, beat=intervals, timeout=intervals, retries=st.integers(1, 1000))
def test_promtool_accepts_every_interval(
    promtool: str, tmp_path: Path, interval: timedelta, beat: timedelta, timeout: timedelta, retries: int
) -> None:
    policy = parse_policy(
        yaml.safe_dump(
            {
                "monitoring": {
                    "interval": format_duration(interval),
                    "heartbeat": {
                        "interval": format_duration(beat),
                        "timeout": format_duration(min(timeout, beat)),
                        "retries": retries,
                    },
                }
            }
        )
    )
    (tmp_path / "receiver.rules.yml").write_text(render_receiver_rules(policy), encoding="utf-8")
    (tmp_path / "autoglm.rules.yml").write_text(render_rules(policy), encoding="utf-8")
    prometheus_of(policy, tmp_path)
    accepted(promtool, "check", "config", tmp_path / "prometheus.yml")


@pytest.mark.parametrize(
    ("monitoring", "expected"),
    [
        ("{interval: 1m30s}", "1s"),
        ("{interval: 500ms}", "500ms"),
        ("{interval: 5s, heartbeat: {timeout: 100ms}}", "450ms"),
        ("{interval: 2s, heartbeat: {interval: 10s, timeout: 8s}}", "2s"),
    ],
)
def test_an_engine_has_the_heartbeats_time_to_answer_within_one_interval(
    monitoring: str, expected: str, tmp_path: Path
) -> None:
    document = prometheus_of(parse_policy(f"monitoring: {monitoring}"), tmp_path)
    assert document["scrape_configs"][1]["scrape_timeout"] == expected


def test_every_rung_of_the_policy_is_in_the_runbook() -> None:
    policy = parse_policy("recovery: {strategies: {crash: {action: safe_shutdown, then: [quarantine_node]}}}")
    rules = yaml.safe_load(render_rules(policy))["groups"][0]["rules"]
    crashed = next(rule for rule in rules if rule.get("alert") == "InferenceCrashed")
    assert crashed["annotations"]["runbook"].endswith("- safe_shutdown, quarantine_node, a person is called.")


def test_every_alert_says_class_severity_and_what_to_do(policy: Policy) -> None:
    rules = yaml.safe_load(render_rules(policy))["groups"][0]["rules"]
    alerts = {rule["alert"]: rule for rule in rules if "alert" in rule}
    assert {name: rule["labels"]["failure_class"] for name, rule in alerts.items()} == {
        "InferenceOOMKilled": "oom",
        "InferenceCrashed": "crash",
        "InferenceUnresponsive": "unresponsive",
        "InferenceUnhealthy": "unresponsive",
        "InferenceDrained": "not_ready",
        "InferenceLeftOut": "not_ready",
    }
    for rule in alerts.values():
        # Who is drained loses no request.
        assert rule["labels"]["severity"] == (
            "warning" if rule["labels"]["failure_class"] == "not_ready" else "critical"
        )
        assert rule["labels"]["nature"] == "state"
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}


def test_every_gpu_alert_has_a_class_but_those_about_the_exporter_itself(policy: Policy) -> None:
    groups = {group["name"]: group["rules"] for group in yaml.safe_load(render_rules(policy))["groups"]}
    rules = groups["autoglm-gpu"]
    alerts = {rule["alert"]: rule for rule in rules if "alert" in rule}
    for name, rule in alerts.items():
        if name.startswith("Autoglm"):
            assert rule["labels"] == {"severity": "warning"}, "nothing must act because nobody looks"
        else:
            assert rule["labels"]["failure_class"] in FAILURE_CLASSES
            assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    assert {rule["labels"].get("failure_class") for rule in alerts.values()} == {
        None, "gpu_lost", "gpu_fault", "gpu_comm", "thermal", "oom", "unknown", "intrusion"
    }  # fmt: skip


def test_amtool_sends_our_alerts_to_the_receiver_and_others_to_nobody(
    amtool: str, policy: Policy, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    config = alertmanager_of(policy, tmp_path, token_file=str(token))
    accepted(amtool, "check-config", config)
    assert routed_to(amtool, config, "failure_class=oom", "host=node-a") == "autoglm"
    assert routed_to(amtool, config, "failure_class=unknown") == "autoglm"
    assert routed_to(amtool, config, "failure_class=", "host=node-a") == "nobody"
    assert routed_to(amtool, config, "alertname=DiskFull", "severity=page") == "nobody"


def test_alerts_that_the_policy_classifies_reach_the_receiver_too(amtool: str, tmp_path: Path) -> None:
    config = alertmanager_of(parse_policy(OTHER_PEOPLES_ALERTS), tmp_path)
    accepted(amtool, "check-config", config)
    assert routed_to(amtool, config, "alertname=XidError", "severity=warn") == "autoglm"
    assert routed_to(amtool, config, "alertname=XidError", "severity=info") == "nobody"
    assert routed_to(amtool, config, 'summary="a \\"quoted\\" \\\\ {{ word }}"') == "autoglm"


def test_the_webhook_gets_every_alert_and_keeps_the_token_in_its_file(policy: Policy) -> None:
    document = yaml.safe_load(render_alertmanager(policy, webhook_url=WEBHOOK, token_file="/etc/autoglm/to ken: #1"))
    (webhook,) = document["receivers"][1]["webhook_configs"]
    assert webhook == {
        "url": WEBHOOK,
        "send_resolved": True,
        "max_alerts": 0,
        "http_config": {
            "authorization": {"type": "Bearer", "credentials_file": "/etc/autoglm/to ken: #1"},
            "follow_redirects": False,
        },
    }
    without = yaml.safe_load(render_alertmanager(policy, webhook_url=WEBHOOK, token_file=None))
    assert "http_config" not in without["receivers"][1]["webhook_configs"][0]


@pytest.mark.parametrize(("interval", "expected"), [("500ms", "1s"), ("2s", "2s"), ("1m30s", "1m30s")])
def test_notifications_are_not_held_back(interval: str, expected: str) -> None:
    policy = parse_policy(f"monitoring: {{interval: {interval}}}")
    _, route = yaml.safe_load(render_alertmanager(policy, webhook_url=WEBHOOK, token_file=None))["route"]["routes"]
    assert (route["group_wait"], route["group_interval"], route["repeat_interval"]) == ("0s", expected, "5m")
    assert route["group_by"] == ["host"]


def test_the_watchdog_is_heard_every_minute_and_what_the_receiver_says_of_itself_is_for_people(
    amtool: str, policy: Policy, tmp_path: Path
) -> None:
    config = alertmanager_of(policy, tmp_path)
    watchdog, _ = yaml.safe_load(config.read_text())["route"]["routes"]
    assert (watchdog["group_interval"], watchdog["repeat_interval"]) == ("1m", "1m")
    assert routed_to(amtool, config, "alertname=Watchdog", "severity=none") == "autoglm"
    assert routed_to(amtool, config, "alertname=AutoglmLoopStuck", "severity=critical") == "nobody"


def test_the_fragment_leaves_existing_routing_as_it_was(amtool: str, policy: Policy, tmp_path: Path) -> None:
    fragment = yaml.safe_load(render_alertmanager_fragment(policy, webhook_url=WEBHOOK, token_file=None))
    existing = {
        "route": {
            "receiver": "people",
            "routes": [*fragment["route"]["routes"], {"receiver": "gpu-team", "matchers": ['team="gpu"']}],
        },
        "receivers": [{"name": "people"}, {"name": "gpu-team"}, *fragment["receivers"]],
    }
    config = tmp_path / "alertmanager.yml"
    config.write_text(yaml.safe_dump(existing))
    accepted(amtool, "check-config", config)
    assert routed_to(amtool, config, "failure_class=oom", "team=gpu") == "autoglm,gpu-team"
    assert routed_to(amtool, config, "team=gpu") == "gpu-team"


@settings(max_examples=200)
@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=200))
def test_addresses_and_paths_are_data(alertmanager: str, targets: str, url: str) -> None:
    policy = Policy()
    prometheus = yaml.safe_load(
        render_prometheus(policy, alertmanager=alertmanager, targets_dir=targets, rules_files=[targets])
    )
    assert prometheus["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] == [alertmanager]
    assert prometheus["rule_files"] == [targets]
    document = yaml.safe_load(render_alertmanager(policy, webhook_url=url, token_file=None))
    assert document["receivers"][1]["webhook_configs"][0]["url"] == url
