# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""C(autoglm explain) and C(autoglm incidents) with a real inventory and a real receiver."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .running import alert, now, payload, serving, until


@pytest.fixture(scope="module")
def watching(tmp_path_factory):
    """Return a receiver that asks before it acts."""
    with serving(tmp_path_factory.mktemp("ask"), policy="recovery: {autonomy: ask}") as receiver:
        yield receiver


def autoglm(receiver, *arguments, given=b""):
    """Run the command in the receiver's directory."""
    return subprocess.run(
        [str(Path(sys.executable).with_name("autoglm")), *arguments],
        cwd=receiver.directory,
        env=receiver.environment(),
        input=given,
        capture_output=True,
        check=False,
        timeout=60,
    )


def explain(receiver, body, *arguments):
    """Explain a payload."""
    given = body if isinstance(body, bytes) else json.dumps(body).encode()
    return autoglm(receiver, "explain", "-", "-i", "inventory.yml", *arguments, given=given)


def test_explain_says_what_would_be_done_and_why(watching):
    result = explain(watching, payload(alert("node-a"), alert("all"), {"labels": 5}), "--json")
    assert result.returncode == 0
    good, refused, unread = json.loads(result.stdout)["alerts"]
    assert (good["failure_class"], good["fault_mode"], good["decision"]) == ("oom", "transient", "run")
    assert good["target"] == {"host": "node-a", "service": "llama", "gpu": None, "pool": "chat"}
    assert good["playbook"] == "autoglm.recovery.restart_process"
    assert good["extra_vars"]["autoglm_target"]["host"] == "node-a"
    assert "rung 1 of 2" in good["reason"]
    assert good["ladder"][0] == "1 restart_process <- next"
    rules = {rail["rule"]: rail for rail in good["guardrails"]}
    assert "1 of 2 would be out of service" in rules["unavailable in pool chat"]["stands"]
    assert not any(rail["stops"] for rail in good["guardrails"])
    assert (refused["decision"], refused["target"]) == ("refuse", None)
    assert "'all'" in refused["reason"]
    assert unread["decision"] == "set aside"


def test_explain_follows_the_policy(watching):
    result = explain(watching, payload(alert("node-a")), "--policy", "policy.yaml", "--json")
    assert json.loads(result.stdout)["alerts"][0]["decision"] == "hold"


def test_explain_refuses_what_the_receiver_would_refuse(watching):
    result = explain(watching, b"{")
    assert result.returncode == 1
    assert b"not JSON" in result.stderr
    assert explain(watching, payload(), "--policy", "none.yaml").returncode == 1


def test_explain_paints_nothing_on_the_terminal(watching):
    result = explain(watching, payload(alert("node-a", alertname="\x1b[2Jgone")))
    assert b"\x1b" not in result.stdout


def test_incidents_are_listed_shown_and_approved(watching):
    assert watching.post(payload(alert("node-a", start=now(), alertname="\x1b[2JOom"))).status_code == 200
    until("the incident to be held", lambda: watching.incidents("held"))
    url = ("--url", watching.url)
    listed = json.loads(autoglm(watching, "incidents", "list", *url, "--json").stdout)["incidents"]
    assert [(one["id"], one["state"], one["host"]) for one in listed] == [(1, "held", "node-a")]
    table = autoglm(watching, "incidents", "list", *url).stdout.decode()
    assert "held" in table
    shown = autoglm(watching, "incidents", "show", "1", *url)
    assert b"waits for approval" in shown.stdout
    assert b"\x1b" not in shown.stdout
    assert autoglm(watching, "incidents", "show", "9", *url).returncode == 1
    assert autoglm(watching, "incidents", "approve", "1", *url).returncode == 0
    until("the run to succeed", lambda: watching.incidents("verifying"))
    again = autoglm(watching, "incidents", "approve", "1", *url)
    assert again.returncode == 1
    assert b"approve is for incidents that are held" in again.stderr
    assert json.loads(autoglm(watching, "incidents", "close", "1", *url, "--json").stdout)["state"] == "closed"
