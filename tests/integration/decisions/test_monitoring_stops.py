# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Prometheus and a real Alertmanager stop, start and forget: none of the ends that this makes is a repair.

All of it in one fleet, so that the processes start once.  The services are dead all the time as far as Prometheus sees;
what each says when it is asked itself is a file.  ``well`` is repaired and says so, ``ill`` says that it is ill, and
``mute`` is repaired by its playbook's word and cannot be asked.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoglm_recovery.policy import parse_policy
from autoglm_recovery.rules.configuration import render_prometheus
from autoglm_recovery.rules.render import render_receiver_rules
from tests.integration.exporter.running import Alertmanager, Running
from tests.integration.receiver.running import Receiver, serving
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import until
from tests.support.tooling.prometheus_tools import tool

HOSTS = WELL, ILL, MUTE = "node-well", "node-ill", "node-mute"
# Another rung after a second, whatever came of the last one; a proof has five seconds.
POLICY = """
monitoring: {interval: 1s}
recovery:
  strategies:
    unresponsive: {delay: 0s, retries: 9, backoff: 1s, cooldown: 0s, resolve_within: 5s}
guardrails: {max_actions_per_host_per_hour: 100, circuit_breaker: {failures: 100}, max_pool_unavailable: 100%}
"""
# One task, because all of it is waited for.
PLAYBOOK = """\
---
- name: Repair
  hosts: "{{ autoglm_target.host }}"
  gather_facts: false
  tasks:
    - name: Fail where told to
      ansible.builtin.command: test ! -e {{ scratch }}/fail
"""
RULE = {
    "alert": "InferenceSilent",
    "expr": 'up{job="inference"} == 0',
    "labels": {"failure_class": "unresponsive", "nature": "state", "severity": "critical"},
}


class Prometheus(Running):
    """A real one. Its alert alert expires four seconds after it was last sent (rules/alerting.go, ValidUntil)."""

    def __init__(self, directory: Path, alertmanager: Alertmanager) -> None:
        directory.mkdir()
        port = free_port()
        policy = parse_policy(POLICY)
        config = render_prometheus(
            policy,
            alertmanager=f"127.0.0.1:{alertmanager.port}",
            targets_dir=str(directory),
            rules_files=["services.rules.yml", "own.rules.yml"],
        )
        (directory / "prometheus.yml").write_text(config)
        (directory / "own.rules.yml").write_text(render_receiver_rules(policy))
        command = [tool("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=data"]
        command += [f"--web.listen-address=127.0.0.1:{port}", "--rules.alert.resend-delay=1s"]
        super().__init__(command, directory, port)
        self.rules(RULE)
        self.targets(*HOSTS)

    def rules(self, *rules: dict[str, Any]) -> None:
        """Write the rules about the services."""
        named = {"groups": [{"name": "services", "interval": "1s", "rules": list(rules)}]}
        (self.directory / "services.rules.yml").write_text(yaml.safe_dump(named))

    def targets(self, *hosts: str) -> None:
        """Write whom to scrape: nobody listens there.  Whoever is not among them has no target any more."""
        labels = {"service": "llama", "pool": "chat"}
        # A group that is empty is told again and again; that one is missing is told once, which a reload may lose.
        found = [
            {"targets": [f"127.0.0.1:{port}"] if host in hosts else [], "labels": {"host": host, **labels}}
            for port, host in enumerate(HOSTS, 2)
        ]
        unfinished = self.directory / "inference.part"
        unfinished.write_text(yaml.safe_dump(found))
        os.replace(unfinished, self.directory / "inference.yml")

    def signal(self, which: signal.Signals) -> None:
        """Send a signal to this process."""
        assert self.process is not None
        self.process.send_signal(which)


@dataclass
class Fleet:
    """All that runs, and what is asked of it."""

    receiver: Receiver
    alertmanager: Alertmanager
    prometheus: Prometheus

    def says(self, host: str, *words: str) -> None:
        """Have a service say this of itself from now on, and its repair fail where it is sick."""
        own = self.receiver.scratch / host
        own.mkdir(exist_ok=True)
        for word in ("sick", "mute", "fail"):
            (own / word).unlink(missing_ok=True)
        for word in words:
            (own / word).touch()

    def incidents(self, host: str) -> list[dict[str, Any]]:
        """Return the incidents of a host, oldest first."""
        return [each for each in reversed(self.receiver.incidents()) if each["host"] == host]

    def last(self, host: str) -> dict[str, Any]:
        """Return the newest incident of a host, with all about it."""
        return self.receiver.get(f"/api/v1/incidents/{self.incidents(host)[-1]['id']}")

    def runs(self, host: str, state: str | None = None) -> list[dict[str, Any]]:
        """Return the repairs of the newest incident of a host that are so."""
        return [run for run in self.last(host)["runs"] if state in (None, run["state"])]

    def told_of(self, host: str) -> list[str]:
        """Return the newest timeline of a host."""
        return [line["text"] for line in self.last(host)["timeline"]]

    def starts(self) -> dict[str, str]:
        """Return since when Alertmanager knows each host's alert to fire."""
        alerts = [each for each in self.alertmanager.alerts() if each["labels"]["alertname"] == RULE["alert"]]
        return {each["labels"]["host"]: each["startsAt"] for each in alerts}

    def ends(self, host: str) -> int:
        """Return how often the receiver was told that the alert of the newest incident has ended."""
        return sum(text.endswith("has resolved") for text in self.told_of(host))

    def copies(self) -> int:
        """Return how much the receiver was told that it knew."""
        page = self.receiver.client.get(f"{self.receiver.url}/metrics").text
        return int(float(re.findall(r"^autoglm_alert_redeliveries_total (\S+)$", page, re.MULTILINE)[0]))


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with contextlib.ExitStack() as running:
        own_files = {"scratch": f"{tmp_path}/receiver/scratch/{{{{ inventory_hostname }}}}"}
        (tmp_path / "receiver").mkdir()
        receiver = running.enter_context(
            serving(tmp_path / "receiver", policy=POLICY, playbook=PLAYBOOK, hosts=HOSTS, host_vars=own_files)
        )
        webhook = f"{receiver.url}/api/v1/alerts"
        alertmanager = Alertmanager(tmp_path / "alertmanager", policy=POLICY, webhook_url=webhook)
        prometheus = Prometheus(tmp_path / "prometheus", alertmanager)
        made = Fleet(receiver, alertmanager, prometheus)
        made.says(WELL)
        made.says(ILL, "sick", "fail")
        made.says(MUTE, "mute")
        for program in (alertmanager, prometheus):
            program.start()
            running.callback(lambda program=program: program.process and program.stop(signal.SIGKILL))
        alertmanager.until_ready()
        yield made


def test_what_stops_between_a_rule_and_the_receiver_resolves_nothing_and_a_proof_does(fleet: Fleet) -> None:
    for host in (WELL, MUTE):
        until(
            f"the repair of {host}",
            lambda host=host: fleet.incidents(host) and fleet.last(host)["state"] == "verifying",
        )
    until("a failed repair", lambda: fleet.incidents(ILL) and fleet.runs(ILL, "failed"))
    since = until("all alerts", lambda: starts if len(starts := fleet.starts()) == 3 else None)

    prometheus_freezes_and_goes_on(fleet, since)
    alertmanager_forgets(fleet)
    a_rule_is_renamed(fleet)
    targets_go_and_then_proofs_come(fleet)


def prometheus_freezes_and_goes_on(fleet: Fleet, since: dict[str, str]) -> None:
    """Alertmanager lets everything expire; then it hears of the same alerts again, which began when they began."""
    fleet.prometheus.signal(signal.SIGSTOP)
    for host in HOSTS:
        until(f"the end of {host}'s alert", lambda host=host: fleet.ends(host))
    # Whoever can be asked says how it is; of the third nobody knows, and that is said.
    until("a proof", lambda: fleet.last(WELL)["state"] == "resolved")
    assert "its own probe says so" in fleet.last(WELL)["reason"]
    until("the doubt", lambda: fleet.last(MUTE)["state"] == "unproven")
    reason = fleet.last(MUTE)["reason"]
    assert "the alert has ended, and the service cannot tell how it is" in reason
    assert "its own probe: node-mute is unknown: it does not answer" in reason
    until("its word", lambda: any("check_service failed" in text for text in fleet.told_of(ILL)))
    assert fleet.last(ILL)["state"] not in ("resolved", "unproven")

    repaired = len(fleet.runs(MUTE))
    fleet.prometheus.signal(signal.SIGCONT)
    until("a second incident", lambda: len(fleet.incidents(WELL)) > 1)
    until("both to be acted on", lambda: fleet.runs(WELL) and len(fleet.runs(MUTE)) > repaired)
    until("the same alerts", lambda: fleet.starts() == since)
    assert [len(fleet.incidents(host)) for host in (ILL, MUTE)] == [1, 1]
    assert fleet.last(WELL)["fault_mode"] == "persistent"


def alertmanager_forgets(fleet: Fleet) -> None:
    """It is started without what it knew, and tells of everything as if it were new."""
    # What a machine that is too busy to send an alert in time lets expire is resolved by nobody's word then.
    fleet.says(WELL, "mute")
    numbers = {host: [each["id"] for each in fleet.incidents(host)] for host in HOSTS}
    copies = fleet.copies()
    fleet.alertmanager.stop()
    shutil.rmtree(fleet.alertmanager.directory / "data")
    fleet.alertmanager.start()
    # The Watchdog comes along with the services' alerts.
    until("the receiver to be told again", lambda: fleet.copies() >= copies + 4)
    assert {host: [each["id"] for each in fleet.incidents(host)] for host in HOSTS} == numbers
    assert not [host for host in HOSTS if fleet.last(host)["state"] == "resolved"]


def a_rule_is_renamed(fleet: Fleet) -> None:
    """Prometheus says nothing more of the old one, which expires; the new one is about the same services."""
    numbers = {host: fleet.last(host)["id"] for host in HOSTS}
    ended = {host: fleet.ends(host) for host in HOSTS}
    fleet.prometheus.rules({**RULE, "alert": "InferenceMute"})
    fleet.prometheus.signal(signal.SIGHUP)
    for host in (ILL, MUTE):
        until(f"the end of {host}'s alert", lambda host=host: fleet.ends(host) > ended[host])
        until("the new name", lambda host=host: any("InferenceMute fires" in text for text in fleet.told_of(host)))
        assert fleet.last(host)["id"] == numbers[host]
        assert fleet.last(host)["state"] != "resolved"


def targets_go_and_then_proofs_come(fleet: Fleet) -> None:
    """Nobody asks two of them any more, which ends their alerts; what they say themselves counts."""
    ended = {host: fleet.ends(host) for host in HOSTS}
    fleet.prometheus.targets(WELL)
    for host in (ILL, MUTE):
        until(f"the end of {host}'s alert", lambda host=host: fleet.ends(host) > ended[host])
    until("the doubt", lambda: fleet.last(MUTE)["state"] == "unproven")
    assert fleet.last(ILL)["state"] != "resolved"
    fleet.says(MUTE)
    fleet.says(ILL)
    for host in (ILL, MUTE):
        until(f"the proof of {host}", lambda host=host: fleet.last(host)["state"] == "resolved")
        assert "its own probe says so" in fleet.last(host)["reason"]
        assert len(fleet.incidents(host)) == 1
