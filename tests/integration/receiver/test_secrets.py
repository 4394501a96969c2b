# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of every kind go in; none is found in database, backup, artifacts, pages or log after whole recoveries.

Nor in what any user sees of its processes, and none of them leaves its memory behind in a crash.  Runs start warm, cold
and as jobs of AWX; whoever is asked refuses, and repeats what it was sent.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

from tests.parts import planted
from tests.parts.planted import PLANTED, secret
from tests.parts.repeating import repeating
from tests.parts.shown import Shown, watched

from .running import PLAYBOOK, Receiver, alert, now, payload, serving, until

TOKEN = secret("bearer-token")
WRONG_TOKEN = secret("wrong-token")
PASSWORD = secret("basic-password")
IN_URL = secret("url-password")
IN_ANNOTATION = secret("annotation-key")
IN_SIGNATURE = secret("shared-access-signature")
IN_ENVIRONMENT = secret("hf-token")
IN_REJECT = secret("rejected-password")
IN_VAULT = secret("vaulted")
OF_VAULT = secret("vault-password")
PROXY = f"http://me:{secret('proxy')}@127.0.0.1:9"

BASIC = base64.b64encode(f"alice:{PASSWORD}".encode()).decode()
# Basic, as Apprise sends it for the addresses in the policy.
ENCODED = [
    base64.b64encode(f"{user}:{secret(key)}".encode())[:-4]
    for user, key in (("alice", "notify.routes.urls"), ("bob", "notify.routes.urls_file"))
]

# Tasks that say what they should not. The undefined variable stands below the passwords in the inventory.
INDISCREET = (
    PLAYBOOK
    + """\
    - name: Be root by a password
      ansible.builtin.command: id -u
      become: true
    - name: Ask for what is not there
      ansible.builtin.debug:
        msg: "{{ ansible_zz_undefined }}"
      ignore_errors: true
    - name: Say it
      ansible.builtin.debug:
        msg: "postgresql://me:{{ vaulted }}@db/x, api_key={{ ansible_become_password }}, Bearer {{ ansible_password }}"
    - name: Ask with it
      ansible.builtin.uri:
        url: "http://me:{{ ansible_password }}@127.0.0.1:9/x?sig={{ vaulted }}"
        headers:
          Authorization: "Bearer {{ ansible_password }}"
      ignore_errors: true
"""
)
PAGES = ("/", "/incidents/1", "/incidents/3", "/runs/1/output", "/runs/2/output", "/policy", "/fleet", "/metrics")
API = ("/api/v1/incidents", "/api/v1/incidents/1", "/api/v1/incidents/3", "/api/v1/alerts", "/api/v1/audit")


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """Return a receiver that has carried recoveries through, with secrets wherever one can be put."""
    directory = tmp_path_factory.mktemp("secrets")
    with repeating() as (address, asked):
        policy = planted.policy(directory, address)
        policy["recovery"] = {
            "strategies": {"oom": {"delay": "0s", "then": []}, "crash": {"delay": "0s", "then": [], "launcher": "awx"}}
        }
        policy["guardrails"] |= {"max_pool_unavailable": "100%", "max_fleet_unavailable": "100%"}
        host = {**planted.connection(), "ansible_zz_undefined": "{{ nosuch }}"}
        given = {"policy": yaml.safe_dump(policy), "host_vars": host, "hosts": ("node-a", "node-b", "node-c")}
        _configure(directory)
        with (
            _environment(HF_TOKEN=IN_ENVIRONMENT, AUTOGLM_TOKEN=TOKEN, HTTPS_PROXY=PROXY),
            _core_files_wanted(),
            serving(directory, tokens=(TOKEN,), playbook=INDISCREET, **given) as receiver,
        ):
            receiver.client.headers["Authorization"] = f"Bearer {TOKEN}"
            roots = {receiver.process.pid}
            with watched(lambda: roots, directory) as watch:
                _recover(receiver)
                _be_refused(receiver, asked)
            receiver.shown = watch.found
            _let_nobody_in(receiver)
            yield receiver


def _configure(directory: Path) -> None:
    """Give the folder an ansible.cfg with a vault's password, and the hosts a value in that vault."""
    (directory / "ansible.cfg").write_text("[defaults]\nvault_password_file = vault.planted\n")
    (directory / "vault.planted").write_text(OF_VAULT)
    (directory / "vault.planted").chmod(0o600)
    encrypted = VaultLib([("default", VaultSecret(OF_VAULT.encode()))]).encrypt(IN_VAULT).decode()
    (directory / "group_vars").mkdir()
    lines = "".join(f"  {line}\n" for line in encrypted.splitlines())
    (directory / "group_vars" / "all.yml").write_text(f"vaulted: !vault |\n{lines}")


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


@contextmanager
def _core_files_wanted() -> Iterator[None]:
    """As many machines have it for what a person starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def _recover(receiver: Receiver) -> None:
    """Have a run started warm and another one cold, which are there at one time."""
    receiver.hold()
    warm = until("the warm process", lambda: _warm(receiver))
    one = alert(start=now(), handler=f"http://alice:{IN_URL}@node-a/x")
    one["generatorURL"] = f"http://admin:{IN_URL}@prometheus:9090/graph?g0.expr=up"
    one["annotations"] = {
        "runbook": f"https://bob:{IN_URL}@wiki/run",
        "note": f"api_key={IN_ANNOTATION}",
        "log": f"https://x.blob.core.windows.net/logs?se=2027&sig={IN_SIGNATURE}",
    }
    broken = {"labels": {"alertname": 5}, "annotations": {"note": f"password: {IN_REJECT}"}}
    answer = receiver.post(payload(one, broken, groupKey=f'{{}}:{{x="https://bob:{IN_URL}@wiki"}}'))
    assert PLANTED not in answer.text
    until("the first playbook to be at work", lambda: receiver.marks)
    os.kill(warm, signal.SIGKILL)
    receiver.post(payload(alert("node-b", start=now())))
    until("the second playbook to be at work", lambda: len(receiver.marks) == 2)
    starts = receiver.client.get(f"{receiver.url}/metrics").text
    assert all(f'autoglm_run_starts_total{{how="{how}"}} 1.0' in starts for how in ("warm", "cold")), starts
    receiver.let_go()
    until("both runs to succeed", lambda: len(receiver.incidents("verifying")) == 2)
    assert receiver.order(1, "close").status_code == 200


def _warm(receiver: Receiver) -> int | None:
    """Return the process that is warm, once it listens."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            title, _, socket = (place / "cmdline").read_bytes().partition(b"\0")
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if title == b"autoglm-warm" and parent == receiver.process.pid and Path(socket.strip(b"\0").decode()).exists():
            return int(place.name)
    return None


def _be_refused(receiver: Receiver, asked: set[str]) -> None:
    """Have whoever the policy names refuse: AWX a run, and the people's services the notice about that."""
    receiver.post(payload(alert("node-c", start=now(), alertname="Crash", failure_class="crash")))
    until("a person to be called", lambda: receiver.incidents("escalated"))
    wanted = {"/api/v2/silences", "/api/v2/status", "/api/v2/job_templates/", "/api/v1/query"}
    until(f"{wanted} to be asked for, not only {asked}", lambda: wanted <= asked)
    places = ("notify.routes.urls", "notify.routes.urls_file")
    until("both notices to be refused", lambda: {f"/{secret(place)}" for place in places} <= asked)


def _let_nobody_in(receiver: Receiver) -> None:
    for wrong in (f"Bearer {WRONG_TOKEN}", f"Basic {BASIC}", f"Token {WRONG_TOKEN}"):
        denied = receiver.client.get(f"{receiver.url}/api/v1/incidents", headers={"Authorization": wrong})
        assert denied.status_code == 401
        receiver.post(payload(alert(start=now())), Authorization=wrong)
    login = receiver.client.post(f"{receiver.url}/login", data={"name": "alice", "secret": PASSWORD})
    assert login.status_code == 401
    assert receiver.client.post(f"{receiver.url}/login", data={"secret": TOKEN}).status_code == 303


def _holds(content: bytes) -> list[bytes]:
    """Return the secrets in some bytes, each with what stands before it."""
    found = [PLANTED.encode(), BASIC.encode(), *ENCODED]
    return [content[max(0, content.index(each) - 100) :][:160] for each in found if each in content]


def test_no_secret_is_kept_or_logged(used: Receiver) -> None:
    backup = ("backup", "saved.db", "--state-dir", "state")
    _autoglm(used, *backup)
    files = [path for path in (used.directory / "state").rglob("*") if path.is_file()]
    files += [used.directory / "log", used.directory / "saved.db"]
    names = {path.name for path in files}
    assert {"receiver.db", "receiver.db-wal", "stdout", "events.jsonl", "warm.log"} <= names
    assert any("job_events" in path.parts for path in files)
    found = {str(path.relative_to(used.directory)): _holds(path.read_bytes()) for path in files}
    assert {name: held for name, held in found.items() if held} == {}


def test_no_secret_is_shown(used: Receiver) -> None:
    for page in (*PAGES, *API):
        answer = used.client.get(used.url + page)
        assert answer.status_code == 200, page
        assert _holds(answer.content) == [], page
    assert "nosuch" in used.client.get(f"{used.url}/runs/1/output").text


def test_no_command_prints_one(used: Receiver) -> None:
    world = ("--inventory", "inventory.yml", "--policy", "policy.yaml")
    (used.directory / "payload.json").write_text(
        json.dumps(payload(alert(start=now(), link=f"http://alice:{IN_URL}@node-a/x")))
    )
    said = [
        _autoglm(used, "explain", "payload.json", *world),
        _autoglm(used, "check", "policy.yaml"),
        _autoglm(used, "rules", "--policy", "policy.yaml"),
        _autoglm(used, "doctor", *world, "--no-hosts", "--access-file", "tokens", code=1),
        _autoglm(used, "notify", "test", "--policy", "policy.yaml", code=1),
        _autoglm(used, "incidents", "report", "3", "--url", used.url),
    ]
    assert [_holds(each) for each in said] == [[]] * len(said)
    assert b"node-a" in said[0]
    assert b"refused" in said[3]


def _autoglm(receiver: Receiver, *words: str, code: int = 0) -> bytes:
    """Run a command where the receiver was started, and return what it says."""
    autoglm = str(Path(sys.executable).with_name("autoglm"))
    done = subprocess.run(
        [autoglm, *words],
        cwd=receiver.directory,
        env={**receiver.environment(), "AUTOGLM_TOKEN": TOKEN, "COLUMNS": "500"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


def test_no_secret_is_in_what_everybody_sees_of_processes(used: Receiver) -> None:
    words = b"\n".join(word for shown in used.shown.values() for word in shown.cmdline)
    # The receiver, the warm process, supervisors, ansible-playbook, its workers and what these start.
    for program in (b"serve", b"autoglm-warm", b"supervisor", b"ansible-playbook", b"AnsiballZ"):
        assert program in words, program
    assert _holds(words) == []


def test_an_environment_has_what_the_operator_put_there_and_no_more(used: Receiver) -> None:
    """Only its user and root can read it; what a run has no use for is not even there."""
    own = {used.process.pid}
    for shown in _runs(used.shown, own):
        for environ in shown.environ:
            left = environ.replace(IN_ENVIRONMENT.encode(), b"").replace(PROXY.encode(), b"")
            assert _holds(left) == [], shown.cmdline


def _runs(shown: dict[int, Shown], own: set[int]) -> list[Shown]:
    """Return what is no receiver: before it executes another program, a child of the receiver is one."""
    return [
        each for pid, each in shown.items() if pid not in own and not any(b"serve" in word for word in each.cmdline)
    ]


def test_no_process_leaves_its_memory_behind_in_a_crash(used: Receiver) -> None:
    assert used.process.pid in used.shown
    assert len(used.shown) > 2
    for shown in used.shown.values():
        (line,) = [line for line in shown.limits.splitlines() if line.startswith(b"Max core file size")]
        assert line.split()[4] == b"0"


def test_what_is_shown_still_says_what_happened(used: Receiver) -> None:
    shown: dict[str, Any] = used.get("/api/v1/alerts")["alerts"][-1]
    assert "prometheus:9090/graph?g0.expr=up" in shown["generator_url"]
    assert "wiki/run" in shown["annotations"]["runbook"]
    audit = used.get("/api/v1/audit")["audit"]
    assert [(row["what"], row["outcome"]) for row in audit].count(("close", "done")) == 1
    assert {row["outcome"] for row in audit} == {"done", "unrecognised"}
