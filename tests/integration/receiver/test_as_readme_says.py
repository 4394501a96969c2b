# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""README's path with TLS and a token: a real Prometheus and Alertmanager, set up by nothing but ``autoglm rules``.

No file is written by hand between the inventory and an alert that gets through.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from cryptography import x509

from tests.integration.exporter.running import Running, alertmanager_in
from tests.support.servers.authority import Authority
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import until
from tests.support.tooling.prometheus_tools import tool

from .running import CHECKOUT, alert, end_runs, now
from .tls import TlsReceiver

TOKEN = "token-of-alertmanager-0123456789"


@dataclass
class Installation:
    """What somebody has who followed README."""

    receiver: TlsReceiver
    prometheus: Running
    alertmanager: Running
    rendered: Path

    def asked(self, query: str) -> list[dict[str, Any]]:
        """Ask Prometheus."""
        answer = self.prometheus.get(f"/api/v1/query?query={query}")
        return answer.json()["data"]["result"] if answer is not None and answer.is_success else []


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Serve, render, start the other two on what was rendered."""
    work = tmp_path_factory.mktemp("readme")
    authority = Authority(work, "ours")
    pair = authority.sign("localhost", x509.DNSName("localhost"))
    tls = ("--tls-cert", str(pair.certificate), "--tls-key", str(pair.key))
    service = {
        "name": "llama",
        "pool": "chat",
        "engine": "llama_cpp",
        "url": "http://127.0.0.1:1",
        "unit": "llama.service",
    }
    (work / "targets.json").write_text(json.dumps([{"targets": ["node-a"]}]))
    there = {"kind": "file_sd", "file": str(work / "targets.json"), "lock_dir": str(work)}
    gone = {"kind": "haproxy", "socket": "/nowhere/admin.sock", "backend": "llm", "lock_dir": str(work)}
    receiver = TlsReceiver(
        work / "receiver",
        policy="recovery: {autonomy: watch}",
        tokens=(TOKEN,),
        arguments=tls,
        host_vars={
            "autoglm_services": [service],
            "autoglm_pools": {"chat": {"balancers": [there, gone]}},
            "ansible_become": False,
        },
        authority=authority.certificate,
    )
    for playbook in ("try_run", "look_at_hosts"):
        shutil.copy(CHECKOUT / f"playbooks/{playbook}.yml", receiver.playbooks)
    for folder in ("tasks", "vars"):
        shutil.copytree(CHECKOUT / "playbooks" / folder, receiver.playbooks / folder)
    (receiver.playbooks.parent / "roles").symlink_to(CHECKOUT / "roles")
    # Whoever follows README has the real reader of services, not the one that these tests bring.
    shutil.rmtree(receiver.playbooks.parent / "plugins")
    (receiver.playbooks.parent / "plugins").symlink_to(CHECKOUT / "plugins")
    (work / "token").write_text(TOKEN)
    ports = {"prometheus": free_port(), "alertmanager": free_port()}
    rendered = work / "rendered"
    words = ["--policy", "policy.yaml", "-i", "inventory.yml", "--out", str(rendered)]
    words += ["--webhook-url", f"{receiver.url}/api/v1/alerts", "--token-file", str(work / "token")]
    words += ["--ca-file", str(authority.certificate), "--alertmanager", f"127.0.0.1:{ports['alertmanager']}"]
    receiver.start()
    subprocess.run(
        [str(Path(sys.executable).with_name("autoglm")), "rules", *words],
        cwd=receiver.directory,
        env=receiver.environment(),
        check=True,
    )
    alertmanager = Running(
        [alertmanager_in(rendered), "--config.file=alertmanager.yml", "--storage.path=am-data",
         f"--web.listen-address=127.0.0.1:{ports['alertmanager']}", "--cluster.listen-address="],
        rendered, ports["alertmanager"],
    )  # fmt: skip
    prometheus = Running(
        [tool("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=data",
         f"--web.listen-address=127.0.0.1:{ports['prometheus']}"],
        rendered, ports["prometheus"],
    )  # fmt: skip
    try:
        alertmanager.start()
        prometheus.start()
        yield Installation(receiver, prometheus, alertmanager, rendered)
    finally:
        for each in (prometheus, alertmanager):
            if each.process is not None:
                each.stop()
        receiver.kill()
        receiver.client.close()
        end_runs(receiver)


def test_the_receiver_s_own_job_is_up(installed: Installation) -> None:
    (own,) = until("the receiver to be scraped", lambda: installed.asked('up{job="receiver"}==1'))
    assert own["metric"]["instance"] == f"localhost:{installed.receiver.port}"


def test_the_watchdog_arrives(installed: Installation) -> None:
    until("the Watchdog", lambda: installed.asked("autoglm_watchdog_seen_timestamp_seconds>0"))


def test_an_alert_gets_through(installed: Installation) -> None:
    sent = {**alert("node-a", start=now(), service="llama"), "endsAt": None, "status": None}
    body = [{key: value for key, value in sent.items() if value is not None}]

    def accepted() -> bool:
        url = f"http://127.0.0.1:{installed.alertmanager.port}/api/v2/alerts"
        return httpx.post(url, json=body, trust_env=False, timeout=30).is_success

    until("Alertmanager to take it", accepted)

    # Nothing serves there, so that Prometheus finds more than this one: it may join the incident of another.
    def taken_in() -> bool:
        alerts = installed.receiver.get("/api/v1/alerts")["alerts"]
        return any(each["labels"]["alertname"] == "Oom" and each["incident_id"] for each in alerts)

    until("it to be part of an incident", taken_in)


def test_the_targets_are_those_of_the_inventory(installed: Installation) -> None:
    answer = installed.prometheus.get("/api/v1/targets?state=active")
    assert answer is not None
    active = json.loads(answer.text)["data"]["activeTargets"]
    jobs = {(target["labels"]["job"], target["labels"].get("host")) for target in active}
    hosts = {(job, host) for job in ("node", "inference", "autoglm") for host in ("node-a", "node-b")}
    assert hosts <= jobs
    (ours,) = [target["labels"] for target in active if target["labels"].get("host") == "node-a"
               and target["labels"]["job"] == "inference"]  # fmt: skip
    assert (ours["service"], ours["pool"]) == ("llama", "chat")


def test_what_is_to_be_merged_has_the_watchdog_and_is_accepted(installed: Installation) -> None:
    """By an Alertmanager and a Prometheus that have their own already."""
    merge = yaml.safe_load((installed.rendered / "alertmanager.merge.yml").read_text())
    assert any("Watchdog" in matcher for route in merge["route"]["routes"] for matcher in route["matchers"])
    own = {"route": {"receiver": "team"}, "receivers": [{"name": "team"}]}
    merged = {
        "route": {**own["route"], "routes": merge["route"]["routes"]},
        "receivers": [*own["receivers"], *merge["receivers"]],
    }
    (installed.rendered / "am-merged.yml").write_text(yaml.safe_dump(merged))
    _accepted(tool("amtool"), "check-config", str(installed.rendered / "am-merged.yml"))
    theirs = {"scrape_configs": [{"job_name": "theirs", "static_configs": [{"targets": ["127.0.0.1:1"]}]}]}
    scraped = yaml.safe_load((installed.rendered / "prometheus.merge.yml").read_text())
    scraped["scrape_configs"] += theirs["scrape_configs"]
    (installed.rendered / "merged.yml").write_text(yaml.safe_dump(scraped))
    _accepted(tool("promtool"), "check", "config", str(installed.rendered / "merged.yml"))


def test_the_doctor_finds_what_is_well_and_what_is_not(installed: Installation) -> None:
    """Nothing listens where the inventory says that servers and exporters do; all the rest is well."""
    until("the receiver to be scraped", lambda: installed.asked('up{job="receiver"}==1'))
    until("the others to be tried", lambda: len(installed.asked("up==0")) >= 6)
    words = [
        "-i",
        "inventory.yml",
        "--policy",
        "policy.yaml",
        "--access-file",
        "tokens",
        "--url",
        installed.receiver.url,
    ]
    words += [
        "--ca-file",
        str(installed.receiver.authority),
        "--prometheus",
        f"http://127.0.0.1:{installed.prometheus.port}",
    ]
    done = subprocess.run(
        [str(Path(sys.executable).with_name("autoglm")), "doctor", "--json", *words],
        cwd=installed.receiver.directory,
        env=installed.receiver.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    answer = json.loads(done.stdout)
    assert answer["ok"] is False
    found = {(each["check"], each["level"], each["where"]) for each in answer["findings"]}
    assert {("runs", "ok", ""), ("inventory", "ok", ""), ("receiver", "ok", installed.receiver.url)} <= found
    assert {("ssh", "ok", "node-a"), ("ssh", "ok", "node-b")} <= found
    wrong = [each for each in answer["findings"] if each["level"] == "wrong"]
    assert {each["check"] for each in wrong} == {"hosts", "prometheus", "balancers"}
    told = {(each["level"], each["where"], each["what"]) for each in answer["findings"] if each["check"] == "balancers"}
    file = installed.receiver.directory.parent / "targets.json"
    no_socket = "there is no socket /nowhere/admin.sock: does HAProxy run, with this stats socket?"
    assert told == {
        ("ok", "node-a", f"file_sd {file} is reached as a run would reach it, and would drain"),
        ("wrong", "node-b", f"file_sd {file} has no server node-b; it has: node-a"),
        *(("wrong", node, f"a drain by haproxy llm would fail: {no_socket}") for node in ("node-a", "node-b")),
    }
    assert all(each["do"] for each in wrong if each["check"] == "balancers")
    assert any("http://127.0.0.1:1 does not answer there" in each["what"] for each in wrong if each["check"] == "hosts")
    assert all("cannot be scraped" in each["what"] and each["do"] for each in wrong if each["check"] == "prometheus")


def test_the_doctor_names_what_a_run_that_ended_early_did_not_look_at(installed: Installation) -> None:
    """Nothing of node-a is wrong as far as the run has come, which another host ends for all."""
    place = installed.receiver.directory
    inventory = yaml.safe_load((place / "inventory.yml").read_text())
    inventory["inference"]["hosts"]["node-b"]["ansible_python_interpreter"] = "/nowhere/python"
    (place / "one-fails.yml").write_text(yaml.safe_dump(inventory))
    done = subprocess.run(
        [str(Path(sys.executable).with_name("autoglm")), "doctor", "--json", "-i", "one-fails.yml"],
        cwd=place,
        env={**installed.receiver.environment(), "ANSIBLE_ANY_ERRORS_FATAL": "True"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    findings = json.loads(done.stdout)["findings"]
    assert ("ssh", "ok", "node-a") in {(each["check"], each["level"], each["where"]) for each in findings}
    assert [each["where"] for each in findings if each["level"] == "wrong"] == ["node-b"]
    (unknown,) = [each for each in findings if each["level"] == "unknown" and each["where"] == "node-a"]
    file = place.parent / "targets.json"
    looks = f"unit llama.service, http://127.0.0.1:1, balancer file_sd {file}, balancer haproxy llm"
    assert unknown["what"] == f"was not looked at: {looks}"


def test_serve_tries_an_empty_run_at_its_start(installed: Installation) -> None:
    def tried() -> bool:
        return '"well": true, "event": "an empty run was tried"' in (installed.receiver.directory / "log").read_text()

    until("the empty run", tried)
    assert not (installed.receiver.directory / "state/try_run").exists()


def _accepted(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
