# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The alerts about the receiver itself, played by promtool."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from autoglm_recovery.policy import Policy, parse_policy
from autoglm_recovery.rules.configuration import render_alertmanager
from autoglm_recovery.rules.render import render_receiver_rules

JOB = 'job="receiver",instance="ops:9470"'
WELL = {
    f"up{{{JOB}}}": "1x40",
    f"autoglm_database_readable{{{JOB}}}": "1x40",
    f"autoglm_loop_turned_timestamp_seconds{{{JOB}}}": "0+30x40",
    f"autoglm_loop_well{{{JOB}}}": "1x40",
    f'autoglm_worker_stuck_seconds{{worker="notifier",{JOB}}}': "0x40",
    f'autoglm_worker_well{{worker="notifier",{JOB}}}': "1x40",
    f"autoglm_oldest_alert_waiting_seconds{{{JOB}}}": "0x40",
    f"autoglm_watchdog_seen_timestamp_seconds{{{JOB}}}": "0+30x40",
    f"process_start_time_seconds{{{JOB}}}": "0x40",
    f'autoglm_incidents{{state="escalated",{JOB}}}': "0x40",
    f'autoglm_oldest_incident_seconds{{state="held",{JOB}}}': "0x40",
    f"autoglm_oldest_run_seconds{{{JOB}}}": "0x40",
    f'autoglm_runs_total{{action="restart_process",state="failed",{JOB}}}': "0x40",
    # Somebody is at work on the host: for no rule of the receiver has anything failed.
    f'autoglm_runs_total{{action="restart_process",state="kept_out",{JOB}}}': "0x30 1 2 3 4x7",
    # A person is called about each of these anyway.
    f'autoglm_runs_total{{action="reset_gpu",state="not_launched",{JOB}}}': "0x30 1 2 3 4x7",
    f"autoglm_policy_valid{{{JOB}}}": "1x40",
    f'autoglm_webhook_requests_total{{status="401",{JOB}}}': "0x40",
    f"autoglm_alerts_left_out_total{{{JOB}}}": "0x40",
    f'autoglm_alerts_refused_total{{reason="messenger_only",{JOB}}}': "0x40",
}
MINUTES = 20
DEFAULT = Policy()


def firing(promtool: str, directory: Path, policy: Policy = DEFAULT, **changes: str) -> set[str]:
    """Play twenty minutes, and ask which alerts fire at the end.  A change names a metric by its beginning."""
    series = dict(WELL)
    for beginning, values in changes.items():
        (name,) = (name for name in series if name.startswith((f"autoglm_{beginning}", beginning)))
        series[name] = values
    (directory / "receiver.rules.yml").write_text(render_receiver_rules(policy))
    names = [rule["alert"] for rule in yaml.safe_load(render_receiver_rules(policy))["groups"][0]["rules"]]
    found = set()
    test = {
        "rule_files": ["receiver.rules.yml"],
        "evaluation_interval": "30s",
        "tests": [
            {
                "interval": "30s",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                # That an alert is expected not to fire makes promtool tell those that do.
                "alert_rule_test": [
                    {"eval_time": f"{MINUTES}m", "alertname": name, "exp_alerts": []} for name in names
                ],
            }
        ],
    }
    (directory / "test.yml").write_text(yaml.safe_dump(test))
    done = subprocess.run(
        [promtool, "test", "rules", "test.yml"], cwd=directory, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert "parse" not in said, said
    for name in names:
        if f"alertname: {name}, time" in said:
            found.add(name)
    return found


def test_nothing_but_the_watchdog_fires_while_all_is_well(promtool: str, tmp_path: Path) -> None:
    assert firing(promtool, tmp_path) == {"Watchdog"}


@pytest.mark.parametrize(
    ("changes", "alert"),
    [
        ({"up": "1x30 0x10"}, "AutoglmReceiverDown"),
        ({"database_readable": "1x30 0x10"}, "AutoglmDatabaseUnreadable"),
        ({"loop_turned": "0+30x30 900x10"}, "AutoglmLoopStuck"),
        ({"loop_well": "1x30 0x10"}, "AutoglmLoopStuck"),
        ({"worker_stuck": "0x30 60+30x10"}, "AutoglmWorkerStuck"),
        ({"worker_well": "1x20 0x20"}, "AutoglmWorkerFails"),
        ({"oldest_alert": "0x30 0+30x10"}, "AutoglmAlertsWait"),
        ({"watchdog_seen": "0+30x20 600x20"}, "AutoglmWatchdogSilent"),
        ({"watchdog_seen": "0x40"}, "AutoglmWatchdogSilent"),
        ({"incidents": "0x30 1x10"}, "AutoglmPersonNeeded"),
        ({"oldest_incident": "0+30x40"}, "AutoglmApprovalWaits"),
        ({"oldest_run": "0+120x40"}, "AutoglmRunTakesLong"),
        ({'runs_total{action="restart_process",state="failed"': "0x30 1 2 3 4x7"}, "AutoglmRunsFail"),
        ({"policy_valid": "1x20 0x20"}, "AutoglmPolicyRefused"),
        ({"webhook": "0x30 1x10"}, "AutoglmWebhooksRefused"),
        ({"alerts_refused": "0x30 1x10"}, "AutoglmAlertsRefused"),
        ({"alerts_left_out": "0x30 4x10"}, "AutoglmAlertsLeftOut"),
    ],
)
def test_each_fault_of_the_receiver_has_its_alert(
    promtool: str, tmp_path: Path, changes: dict[str, str], alert: str
) -> None:
    assert firing(promtool, tmp_path, **changes) == {"Watchdog", alert}


def test_a_receiver_that_has_just_begun_is_not_blamed_for_a_watchdog_it_could_not_hear(
    promtool: str, tmp_path: Path
) -> None:
    assert firing(promtool, tmp_path, watchdog_seen="0x40", process_start="1100x40") == {"Watchdog"}


def test_the_policy_says_when_the_watchdog_counts_as_silent(promtool: str, tmp_path: Path) -> None:
    late = {"watchdog_seen": "0+30x20 600x20"}
    patient = parse_policy("monitoring: {receiver: {watchdog: 1h}}")
    assert firing(promtool, tmp_path, policy=patient, **late) == {"Watchdog"}
    nobody = parse_policy("monitoring: {receiver: {watchdog: false}}")
    assert "AutoglmWatchdogSilent" not in render_receiver_rules(nobody)
    assert firing(promtool, tmp_path, policy=nobody, watchdog_seen="0x40") == {"Watchdog"}


@pytest.mark.parametrize(("silent_for", "repeat"), [("5m", "1m"), ("1h", "1m"), ("1m", "12s"), ("2s", "1s")])
def test_the_watchdog_comes_several_times_within_the_time_in_which_it_is_waited_for(
    silent_for: str, repeat: str
) -> None:
    policy = parse_policy(f"monitoring: {{receiver: {{watchdog: {silent_for}}}}}")
    document = yaml.safe_load(render_alertmanager(policy, webhook_url="http://127.0.0.1:1/", token_file=None))
    route = document["route"]["routes"][0]
    assert (route["matchers"], route["repeat_interval"], route["group_interval"]) == (
        ['alertname="Watchdog"'],
        repeat,
        repeat,
    )


def test_no_alert_about_the_receiver_is_for_the_receiver() -> None:
    for rule in yaml.safe_load(render_receiver_rules(Policy()))["groups"][0]["rules"]:
        assert "failure_class" not in rule["labels"]
