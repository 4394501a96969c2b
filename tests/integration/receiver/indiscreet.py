# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A receiver that gets secrets wherever one can be put, whose playbook says them, and whom everybody refuses."""

from __future__ import annotations

import base64
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

from tests.support.servers import planted
from tests.support.servers.planted import PLANTED, secret
from tests.support.servers.repeating import repeating
from tests.support.servers.shown import Shown, watched
from tests.support.servers.waiting import until

from .running import PLAYBOOK, Receiver, alert, now, payload, serving

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

HOST = {**planted.connection(), "ansible_zz_undefined": "{{ nosuch }}"}
# Tasks that say what they should not. The undefined variable stands below the passwords in the inventory.
SAYING = """\
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
INDISCREET = (
    PLAYBOOK
    + """\
    - name: Be root by a password
      ansible.builtin.command: id -u
      become: true
"""
    + SAYING
)


@contextmanager
def used(directory: Path, recover: Callable[[Receiver], None], **settings: Any) -> Iterator[Receiver]:
    """Run a receiver with secrets wherever one can be put, have it carry recoveries through, and refuse it the rest."""
    with repeating() as (address, asked):
        policy = planted.policy(directory, address)
        policy["recovery"] = {
            "strategies": {"oom": {"delay": "0s", "then": []}, "crash": {"delay": "0s", "then": [], "launcher": "awx"}}
        }
        policy["guardrails"] |= {"max_pool_unavailable": "100%", "max_fleet_unavailable": "100%"}
        given = {"policy": yaml.safe_dump(policy), "host_vars": HOST, "hosts": ("node-a", "node-b", "node-c")}
        configure(directory)
        with (
            _environment({**planted.environment(address), "HF_TOKEN": IN_ENVIRONMENT, "HTTPS_PROXY": PROXY}),
            core_files_wanted(),
            serving(directory, tokens=(TOKEN,), playbook=INDISCREET, **{**given, **settings}) as receiver,
        ):
            receiver.client.headers["Authorization"] = f"Bearer {TOKEN}"
            roots = {receiver.process.pid}
            with watched(lambda: roots, directory) as watch:
                recover(receiver)
                _be_refused(receiver, asked)
            receiver.shown = watch.found
            _let_nobody_in(receiver)
            yield receiver


def configure(directory: Path) -> None:
    """Give the folder an ansible.cfg with a vault's password, and the hosts a value in that vault."""
    (directory / "ansible.cfg").write_text("[defaults]\nvault_password_file = vault.planted\n")
    (directory / "vault.planted").write_text(OF_VAULT)
    (directory / "vault.planted").chmod(0o600)
    encrypted = VaultLib([("default", VaultSecret(OF_VAULT.encode()))]).encrypt(IN_VAULT).decode()
    (directory / "group_vars").mkdir()
    lines = "".join(f"  {line}\n" for line in encrypted.splitlines())
    (directory / "group_vars" / "all.yml").write_text(f"vaulted: !vault |\n{lines}")


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


@contextmanager
def core_files_wanted() -> Iterator[None]:
    """As many machines have it for what a person starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def warm_and_cold(receiver: Receiver) -> None:
    """Have a run started warm and another one cold, which are there at one time."""
    receiver.hold()
    warm = until("the warm process", lambda: _warm(receiver))
    tell(receiver)
    until("the first playbook to be at work", lambda: receiver.marks)
    os.kill(warm, signal.SIGKILL)
    receiver.post(payload(alert("node-b", start=now())))
    until("the second playbook to be at work", lambda: len(receiver.marks) == 2)
    starts = receiver.client.get(f"{receiver.url}/metrics").text
    assert all(f'autoglm_run_starts_total{{how="{how}"}} 1.0' in starts for how in ("warm", "cold")), starts
    receiver.let_go()
    until("both runs to succeed", lambda: len(receiver.incidents("verifying")) == 2)
    assert receiver.order(1, "close").status_code == 200


def once(receiver: Receiver) -> None:
    """Have one run."""
    tell(receiver)
    until("the run to succeed", lambda: receiver.incidents("verifying"))
    assert receiver.order(1, "close").status_code == 200


def tell(receiver: Receiver) -> None:
    """Post an alert with secrets in it, and another that is set aside."""
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
    wanted = {"/api/v2/silences", "/api/v2/status", "/api/v2/job_templates/", "/api/v1/query", "/v1/traces"}
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


def holds(content: bytes) -> list[bytes]:
    """Return the secrets in some bytes, each with what stands before it."""
    found = [PLANTED.encode(), BASIC.encode(), *ENCODED]
    return [content[max(0, content.index(each) - 100) :][:160] for each in found if each in content]


def kept(receiver: Receiver, *others: str) -> dict[str, bytes]:
    """Return the files of its state directory, its log, and others of its folder, by their paths from there."""
    paths = [path for path in (receiver.directory / "state").rglob("*") if path.is_file()]
    paths += [receiver.directory / name for name in ("log", *others)]
    return {str(path.relative_to(receiver.directory)): path.read_bytes() for path in paths}


def of_runs(shown: dict[int, Shown], own: set[int]) -> list[Shown]:
    """Return what is no receiver: before it executes another program, a child of the receiver is one."""
    return [
        each for pid, each in shown.items() if pid not in own and not any(b"serve" in word for word in each.cmdline)
    ]


def in_environments(receiver: Receiver, *others: str) -> list[bytes]:
    """Return the secrets in environments of runs, but for what the operator put there for them, and others."""
    runs = of_runs(receiver.shown, {receiver.process.pid})
    environs = b"\n".join(environ for shown in runs for environ in shown.environ)
    assert IN_ENVIRONMENT.encode() in environs
    for expected in (IN_ENVIRONMENT, PROXY, *others):
        environs = environs.replace(expected.encode(), b"")
    return holds(environs)


def core_limits(receiver: Receiver) -> set[bytes]:
    """Return how large a core file of each process may be."""
    lines = [line for each in receiver.shown.values() for line in each.limits.splitlines()]
    return {line.split()[4] for line in lines if line.startswith(b"Max core file size")}


def autoglm(receiver: Receiver, *words: str, code: int = 0) -> bytes:
    """Run a command where the receiver was started, and return what it says."""
    program = str(Path(sys.executable).with_name("autoglm"))
    done = subprocess.run(
        [program, *words],
        cwd=receiver.directory,
        env={**receiver.environment(), "AUTOGLM_TOKEN": TOKEN, "COLUMNS": "500"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == code, done.stdout
    return done.stdout
