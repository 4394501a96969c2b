# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of every kind go in; none is found in the database, the artifacts or the log after a whole recovery."""

from __future__ import annotations

import base64
import json
from contextlib import contextmanager

import pytest

from .running import alert, now, payload, serving, until

TOKEN = "planted-bearer-token-0001"
WRONG_TOKEN = "planted-wrong-token-0002"
PASSWORD = "planted-basic-password-0003"
IN_URL = "planted-url-password-0004"
IN_ANNOTATION = "planted-annotation-key-0005"
SSH = "planted-ssh-password-0006"
BECOME = "planted-become-password-0007"
IN_ENVIRONMENT = "planted-hf-token-0008"
IN_REJECT = "planted-rejected-password-0009"
ALL = (TOKEN, WRONG_TOKEN, PASSWORD, IN_URL, IN_ANNOTATION, SSH, BECOME, IN_ENVIRONMENT, IN_REJECT)

BASIC = base64.b64encode(f"alice:{PASSWORD}".encode()).decode()


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    """Return a receiver that has carried a recovery through, with secrets wherever one can be put."""
    secrets = {"ansible_password": SSH, "ansible_become_password": BECOME}
    with (
        _environment(HF_TOKEN=IN_ENVIRONMENT, AUTOGLM_TOKEN=TOKEN),
        serving(tmp_path_factory.mktemp("secrets"), tokens=(TOKEN,), host_vars=secrets) as receiver,
    ):
        receiver.client.headers["Authorization"] = f"Bearer {TOKEN}"
        _recover(receiver)
        for wrong in (f"Bearer {WRONG_TOKEN}", f"Basic {BASIC}", f"Token {WRONG_TOKEN}"):
            denied = receiver.client.get(f"{receiver.url}/api/v1/incidents", headers={"Authorization": wrong})
            assert denied.status_code == 401
            receiver.post(payload(alert(start=now())), Authorization=wrong)
        login = receiver.client.post(f"{receiver.url}/login", data={"name": "alice", "secret": PASSWORD})
        assert login.status_code == 401
        assert receiver.client.post(f"{receiver.url}/login", data={"secret": TOKEN}).status_code == 303
        yield receiver


@contextmanager
def _environment(**variables):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


def _recover(receiver):
    one = alert(start=now(), handler=f"http://alice:{IN_URL}@node-a/x")
    one["generatorURL"] = f"http://admin:{IN_URL}@prometheus:9090/graph?g0.expr=up"
    one["annotations"] = {"runbook": f"https://bob:{IN_URL}@wiki/run", "note": f"api_key={IN_ANNOTATION}"}
    broken = {"labels": {"alertname": 5}, "annotations": {"note": f"password: {IN_REJECT}"}}
    receiver.post(payload(one, broken, groupKey=f'{{}}:{{x="https://bob:{IN_URL}@wiki"}}'))
    until("the run to succeed", lambda: receiver.incidents("verifying"))
    assert receiver.order(1, "close").status_code == 200


def test_no_secret_is_kept_or_logged(used):
    files = [path for path in (used.directory / "state").rglob("*") if path.is_file()]
    files.append(used.directory / "log")
    assert any(path.name == "receiver.db" for path in files)
    assert any("artifacts" in path.parts for path in files)
    found = {
        (secret, str(path.relative_to(used.directory)))
        for path in files
        for secret in (*ALL, BASIC)
        if secret.encode() in path.read_bytes()
    }
    assert found == set()


def test_what_is_shown_still_says_what_happened(used):
    (shown,) = used.get("/api/v1/alerts")["alerts"]
    assert "prometheus:9090/graph?g0.expr=up" in shown["generator_url"]
    assert "wiki/run" in shown["annotations"]["runbook"]
    audit = used.get("/api/v1/audit")["audit"]
    assert [(row["what"], row["outcome"]) for row in audit].count(("close", "done")) == 1
    assert {row["outcome"] for row in audit} == {"done", "unrecognised"}
    assert not any(secret in json.dumps(audit) for secret in ALL)
