# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Orders by people with different roles, over TLS and the command line, and the record that is kept of them."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from autoglm_recovery.cli.exit_codes import ExitCode
from tests.support.servers.authority import Authority
from tests.support.servers.waiting import until

from .running import Receiver, alert, end_runs, now, payload

ALICE, DASHBOARD, SENDER = "alice-" + "a" * 20, "dashboard-" + "d" * 20, "sender-" + "s" * 20
WHO = f"alice operator {ALICE}\nboard viewer {DASHBOARD}\nam sender {SENDER}\nrobot operator cert:CN=robot\n"


class Guarded(Receiver):
    """A receiver with TLS, roles and client certificates."""

    @property
    def url(self):
        """Return its address."""
        return f"https://127.0.0.1:{self.port}"


@pytest.fixture(scope="module")
def asking(tmp_path_factory):
    """Return a receiver that asks before it acts, and knows who may answer."""
    directory = tmp_path_factory.mktemp("record")
    authority = Authority(directory, "ours")
    ours, robot = authority.sign("server"), authority.sign("robot")
    (directory / "access").write_text(WHO)
    (directory / "access").chmod(0o600)
    tls = ("--tls-cert", str(ours.certificate), "--tls-key", str(ours.key), "--client-ca", str(authority.certificate))
    trusting = ssl.create_default_context(cafile=authority.certificate)
    receiver = Guarded(
        directory,
        policy="recovery: {autonomy: ask}",
        arguments=("--access-file", "access", *tls),
        client=httpx.Client(timeout=30, trust_env=False, verify=trusting),
    )
    receiver.client.headers["Authorization"] = f"Bearer {ALICE}"
    receiver.robot = robot
    receiver.authority = authority
    try:
        receiver.start()
        yield receiver
    finally:
        receiver.kill()
        receiver.client.close()
        end_runs(receiver)


def autoglm(receiver, *arguments, **environment):
    """Run the command as somebody."""
    given = {**receiver.environment(), "AUTOGLM_CA_FILE": str(receiver.authority.certificate), **environment}
    command = [str(Path(sys.executable).with_name("autoglm")), *arguments, "--url", receiver.url]
    return subprocess.run(command, env=given, capture_output=True, check=False, timeout=60, text=True)


def test_only_an_operator_approves_and_everybody_who_tried_is_on_record(asking):
    sent = asking.post(payload(alert(start=now())), Authorization=f"Bearer {SENDER}")
    assert sent.status_code == 200
    until("the incident to be held", lambda: asking.incidents("held"))
    for token in (SENDER, DASHBOARD):
        refused = autoglm(asking, "incidents", "approve", "1", AUTOGLM_TOKEN=token)
        assert refused.returncode == 1
        assert "may not order" in refused.stderr
    assert autoglm(asking, "incidents", "approve", "1", AUTOGLM_TOKEN="guessed-token-0000").returncode == 3
    assert asking.marks == []
    robot = {"AUTOGLM_CLIENT_CERT": str(asking.robot.certificate), "AUTOGLM_CLIENT_KEY": str(asking.robot.key)}
    done = autoglm(asking, "incidents", "approve", "1", "-m", "ticket 42", **robot)
    assert done.returncode == 0, done.stderr
    until("the run to succeed", lambda: asking.incidents("verifying"))
    assert autoglm(asking, "incidents", "approve", "1", AUTOGLM_TOKEN=ALICE).returncode == 1

    rows = json.loads(autoglm(asking, "audit", "--json", AUTOGLM_TOKEN=ALICE).stdout)["audit"]
    told = [(row["who"], row["how"], row["what"], row["outcome"], row["incident_id"]) for row in reversed(rows)]
    path = "POST /api/v1/incidents/1/approve"
    assert told == [
        ("am", "bearer", path, "forbidden", None),
        ("board", "bearer", path, "forbidden", None),
        ("", "bearer", "login", "unrecognised", None),
        ("robot", "certificate", "approve", "done", 1),
        ("alice", "bearer", "approve", "refused", 1),
    ]
    assert rows[1]["comment"] == "ticket 42"
    shown = autoglm(asking, "incidents", "show", "1", AUTOGLM_TOKEN=DASHBOARD).stdout
    assert "approve by robot (certificate, 127.0.0.1): ticket 42" in shown
    table = autoglm(asking, "audit", AUTOGLM_TOKEN=ALICE, COLUMNS="200").stdout
    assert "ticket 42" in table


def test_the_database_lets_nobody_change_the_record(asking):
    with sqlite3.connect(asking.directory / "state" / "receiver.db") as database:
        for statement in ("UPDATE audit SET who = 'nobody'", "DELETE FROM audit WHERE outcome = 'done'"):
            with pytest.raises(sqlite3.IntegrityError, match="only added to"):
                database.execute(statement)


def test_a_token_is_rotated_while_the_receiver_runs(asking):
    new = "alice-" + "n" * 20
    _replace(asking.directory / "access", WHO + f"alice operator {new}\n")
    until("the new token", lambda: _status(asking, new) == 200)
    assert _status(asking, ALICE) == 200
    _replace(asking.directory / "access", WHO.replace(ALICE, new))
    until("the old token to end", lambda: _status(asking, ALICE) == 401)
    assert _status(asking, new) == 200
    _replace(asking.directory / "access", "nonsense here\n")
    asking.process.send_signal(signal.SIGHUP)
    log = asking.directory / "log"
    until("the refusal", lambda: _status(asking, new) == 200 and "kept the old one" in log.read_text())
    assert "line 1: write TOKEN" in log.read_text()
    _replace(asking.directory / "access", WHO)
    until("the file to be good again", lambda: _status(asking, ALICE) == 200)


def _replace(path, text):
    part = path.with_suffix(".part")
    part.write_text(text)
    os.replace(part, path)


def _status(receiver, token):
    headers = {"Authorization": f"Bearer {token}"}
    return receiver.client.get(f"{receiver.url}/api/v1/incidents", headers=headers).status_code


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (("--listen", "0.0.0.0:0"), "--access-file", ExitCode.no),
        (("--tls-cert", "none", "--tls-key", "none"), "TLS cannot be served", ExitCode.unasked),
    ],
)
def test_what_would_let_anybody_in_or_nobody_does_not_start(tmp_path, arguments, said, code):
    receiver = Receiver(tmp_path, arguments=arguments)
    ended = subprocess.run(
        receiver.command(), cwd=tmp_path, env=receiver.environment(), capture_output=True, check=False, timeout=60
    )
    assert ended.returncode == code
    assert said in ended.stderr.decode()
    assert b"Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("name", "mode", "said"),
    [
        ("access", 0o666, "access file access has mode 0666: others than its owner may write it"),
        ("server.key", 0o644, "has mode 0644: everybody on this machine may read it"),
        ("state/session.key", 0o604, "session key state/session.key has mode 0604"),
        ("state", None, "state directory state is of user 12345"),
    ],
)
def test_what_others_may_read_or_write_does_not_start(tmp_path, name, mode, said):
    pair = Authority(tmp_path, "ours").sign("server")
    (tmp_path / "access").write_text(f"alertmanager sender sha256:{'0' * 64}\n")
    tls = ("--tls-cert", str(pair.certificate), "--tls-key", str(pair.key))
    receiver = Receiver(tmp_path, arguments=("--access-file", "access", *tls))
    (tmp_path / "state").mkdir(exist_ok=True)
    (tmp_path / "state/session.key").write_text("k" * 64)
    (tmp_path / "state/session.key").chmod(0o600)
    if mode is not None:
        (tmp_path / name).chmod(mode)
    elif os.geteuid() == 0:
        os.chown(tmp_path / name, 12345, 12345)
    else:
        pytest.skip("only root gives files away")
    ended = subprocess.run(
        receiver.command(), cwd=tmp_path, env=receiver.environment(), capture_output=True, check=False, timeout=60
    )
    assert ended.returncode == 1
    assert said in ended.stderr.decode()
    assert b"Traceback" not in ended.stderr
