# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules for other people's playbooks and a receiver with TLS and roles: each order once, each refusal told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.autoglm.recovery.plugins.modules import incident, incident_info, pause
from cryptography import x509

from tests.support.servers.authority import Authority
from tests.support.servers.in_process import run_in_process
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import until

from .running import alert, end_runs, now, payload
from .tls import TlsReceiver

ALICE, DASHBOARD = "alice-" + "a" * 20, "dashboard-" + "d" * 20
Run = Callable[..., dict[str, Any]]

# As somebody has it in a playbook of their own: one place for address and token.
PLAYBOOK = """
- name: Close what the receiver has about a host that leaves the fleet
  hosts: localhost
  gather_facts: false
  module_defaults:
    group/autoglm.recovery.receiver:
      url: "{{ receiver }}"
      token_file: "{{ token_file }}"
      ca_path: "{{ ca_path }}"
  tasks:
    - name: Begin no action
      autoglm.recovery.pause:
        state: paused
        comment: decommissioning
    - name: Find them
      autoglm.recovery.incident_info:
        host: node-b
      register: found
    - name: Close them
      autoglm.recovery.incident:
        id: "{{ item.id }}"
        action: close
      loop: "{{ found.incidents | rejectattr('state', 'in', ['closed', 'resolved']) }}"
    - name: Let actions be begun again
      autoglm.recovery.pause:
        state: resumed
"""


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsReceiver]:
    """Return a receiver that asks before it acts, and knows an operator and a viewer."""
    directory = tmp_path_factory.mktemp("modules")
    authority = Authority(directory, "ours")
    pair = authority.sign("localhost", x509.DNSName("localhost"))
    (directory / "access").write_text(f"board viewer {DASHBOARD}\nrobot operator cert:CN=robot\n")
    (directory / "access").chmod(0o600)
    authority.sign("robot")
    tls = ("--tls-cert", str(pair.certificate), "--tls-key", str(pair.key), "--client-ca", str(authority.certificate))
    running = TlsReceiver(
        directory,
        policy="recovery: {autonomy: ask}",
        tokens=(ALICE,),
        arguments=("--access-file", "access", *tls),
        authority=authority.certificate,
    )
    try:
        running.start()
        yield running
    finally:
        running.kill()
        running.client.close()
        end_runs(running)


@pytest.fixture
def run(receiver: TlsReceiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a module of ours as the operator."""
    who = {"url": receiver.url, "ca_path": str(receiver.authority)}

    def running(module: Any, check: bool = False, **options: Any) -> dict[str, Any]:
        by = {} if {"token_file", "client_cert"} & options.keys() else {"token": ALICE}
        return run_in_process(monkeypatch, capsys, module, check, **{**who, **by, **options})

    return running


def held_on(receiver: TlsReceiver, host: str) -> int:
    """Post an alert about a host, and return the number of the incident that waits for a person."""
    assert receiver.post(payload(alert(host, start=now()))).status_code == 200

    def held() -> list[int]:
        return [each["id"] for each in receiver.incidents("held") if each["host"] == host]

    (number,) = until("the incident to be held", held)
    return int(number)


def test_an_order_is_given_once_and_kept_in_the_audit_log(receiver: TlsReceiver, run: Run) -> None:
    number = held_on(receiver, "node-a")
    order = partial(run, incident, id=number)
    (listed,) = run(incident_info, state="held", host="node-a")["incidents"]
    assert (listed["id"], listed["failure_class"], listed["service"]) == (number, "oom", "llama")
    # Nothing is begun, so that each state can be looked at.
    assert [run(pause, state="paused", comment="night")["changed"] for _ in range(2)] == [True, False]

    foretold = order(check=True, action="approve")
    assert (foretold["changed"], foretold["incident"]["state"]) == (True, "held")
    assert foretold["diff"]["after"].startswith("state: open\nlast order: approve")
    assert receiver.incidents("held")
    assert "cancel is for incidents that are running" in order(check=True, action="cancel")["msg"]

    approved = order(action="approve", comment="ticket 42")
    assert approved["changed"]
    assert approved["incident"]["state"] in ("open", "waiting")
    assert approved["diff"]["before"] == "state: held\nlast order: none\n"
    assert approved["diff"]["after"].endswith("ticket 42\n")
    again = order(action="approve")
    assert not again["changed"]
    assert "approve by" in again["reason"]
    assert [order(action="close")["changed"] for _ in range(2)] == [True, False]
    assert "approve is for incidents that are held" in order(action="approve")["msg"]

    (whole,) = run(incident_info, id=number)["incidents"]
    assert whole["state"] == "closed"
    assert [line["text"].split()[0] for line in whole["timeline"] if line["kind"] == "order"] == ["approve", "close"]
    assert [run(pause, state="resumed")["changed"] for _ in range(2)] == [True, False]
    assert run(pause, state="queried")["paused"] is False
    given = [row["what"] for row in reversed(receiver.get("/api/v1/audit")["audit"])]
    # What was foretold, refused here or given already was never posted.
    assert given == ["pause", "approve", "close", "resume"]


def test_a_certificate_says_who_asks(receiver: TlsReceiver, run: Run) -> None:
    robot = {"client_cert": str(receiver.directory / "robot.crt"), "client_key": str(receiver.directory / "robot.key")}
    turned = run(pause, state="paused", comment="by a robot", **robot)
    assert (turned["changed"], turned["by"].split()[0], turned["reason"]) == (True, "robot", "by a robot")
    assert run(pause, state="resumed", **robot)["changed"]
    assert "missing parameter(s) required by 'client_key'" in run(pause, state="queried", client_key="k")["msg"]
    unusable = run(pause, state="queried", client_cert=str(receiver.directory / "tokens"))
    assert "cannot be used" in unusable["msg"]


def test_refusals_are_told_for_what_they_are(receiver: TlsReceiver, run: Run, tmp_path: Path) -> None:
    number = held_on(receiver, "node-b")
    viewer = tmp_path / "viewer"
    viewer.write_text(f"{DASHBOARD}\n")
    assert run(incident_info, id=number, token_file=str(viewer))["incidents"][0]["state"] == "held"
    forbidden = run(incident, id=number, action="approve", token_file=str(viewer))
    assert (forbidden["status"], "board is a viewer, who may not order here" in forbidden["msg"]) == (403, True)
    assert run(pause, state="paused", token_file=str(viewer))["status"] == 403
    stranger = run(incident_info, token="nobody-" + "n" * 20)
    assert (stranger["status"], "give token or token_file" in stranger["msg"]) == (401, True)
    assert run(incident_info, id=4711)["incidents"] == []
    missing = run(incident, id=4711, action="close")
    assert (missing["status"], "there is no such incident" in missing["msg"]) == (404, True)
    assert "failure_class must be one of" in run(incident_info, failure_class="nonsense")["msg"]
    assert "TLS with" in run(incident_info, ca_path=None)["msg"]
    assert "nothing listens" in run(incident_info, url=f"https://localhost:{free_port()}")["msg"]
    assert run(incident_info, url=f"{receiver.url}/elsewhere")["status"] == 404


def test_a_playbook_of_somebody_else_uses_them(receiver: TlsReceiver, tmp_path: Path) -> None:
    number = next(each["id"] for each in receiver.incidents("held") if each["host"] == "node-b")
    (tmp_path / "token").write_text(ALICE)
    (tmp_path / "own.yml").write_text(PLAYBOOK)
    given = {"receiver": receiver.url, "token_file": str(tmp_path / "token"), "ca_path": str(receiver.authority)}
    given["ansible_python_interpreter"] = sys.executable
    (tmp_path / "given.yml").write_text(yaml.safe_dump(given))
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "own.yml", "-e", "@given.yml", "--diff"],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false"},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "+state: closed" in done.stdout
    assert ALICE not in done.stdout + done.stderr
    assert receiver.get(f"/api/v1/incidents/{number}")["state"] == "closed"
    assert receiver.get("/api/v1/pause")["paused"] is False
