# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``autoglm explain`` and ``autoglm incidents`` with a real inventory and a real receiver."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.servers.waiting import until

from .running import alert, now, payload, serving


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
    assert good["ladder"][0] == "1 restart_process (repeated after that, no higher one is installed) <- next"
    assert good["proof"] == [
        "the playbook's own proof",
        "the alert resolves within 5m of that",
        "nature of the alert state: its end, with the Watchdog heard after it, "
        "confirms a repair that a playbook has proven",
        "and the service's own probe says healthy then (autoglm.recovery.check_service)",
    ]
    rules = {rail["rule"]: rail for rail in good["guardrails"]}
    assert "1 of 2 would be out of service" in rules["unavailable in pool chat"]["stands"]
    assert not any(rail["stops"] for rail in good["guardrails"])
    assert (refused["decision"], refused["target"]) == ("refuse", None)
    assert "'all'" in refused["reason"]
    assert unread["decision"] == "set aside"


def test_explain_says_which_label_counted_and_which_one_is_to_be_added(watching):
    told_of_by_another = alert("node-a", instance="node-b:8080", job="kube-state-metrics", service="ksm")
    by_nobody = alert("node-b", instance="node-b:8080", job="kube-state-metrics")
    del by_nobody["labels"]["host"]
    result = explain(watching, payload(told_of_by_another, by_nobody), "--json")
    good, refused = json.loads(result.stdout)["alerts"]
    assert good["target"]["host"] == "node-a"
    assert (good["named_by"], good["sender"]) == ("host='node-a'", "kube-state-metrics")
    assert good["ignored"] == [
        "instance='node-b:8080': it is where kube-state-metrics runs",
        "service='ksm': no host of the inventory has such a service",
    ]
    assert refused["target"] is None
    assert refused["would_be_accepted"].startswith("add a label host with the exact inventory name")
    shown = explain(watching, payload(by_nobody)).stdout.decode()
    assert "would_be_accepted: add a label host" in " ".join(shown.split())


def test_explain_follows_the_policy(watching):
    result = explain(watching, payload(alert("node-a")), "--policy", "policy.yaml", "--json")
    assert json.loads(result.stdout)["alerts"][0]["decision"] == "hold"


def test_explain_refuses_what_the_receiver_would_refuse(watching):
    result = explain(watching, b"{")
    assert result.returncode == 1
    assert b"not JSON" in result.stderr
    assert explain(watching, payload(), "--policy", "none.yaml").returncode == 3


def test_explain_paints_nothing_on_the_terminal(watching):
    result = explain(watching, payload(alert("node-a", alertname="\x1b[2Jgone")))
    assert b"\x1b" not in result.stdout


def test_explain_at_another_time_meets_the_window_of_that_time(watching):
    window = "{name: night, start: 2026-11-24T01:00:00Z, end: 2026-11-24T02:00:00Z}"
    (watching.directory / "window.yaml").write_text(f"guardrails: {{maintenance_windows: [{window}]}}")
    for at, decision in (("2026-11-24T01:30:00Z", "wait"), ("2026-11-24T02:30:00Z", "run")):
        result = explain(watching, payload(alert("node-a")), "--policy", "window.yaml", "--at", at, "--json")
        assert json.loads(result.stdout)["alerts"][0]["decision"] == decision, result.stderr


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


@contextmanager
def going_on(receiver, *arguments, output=subprocess.PIPE) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command while a test goes on."""
    command = [str(Path(sys.executable).with_name("autoglm")), "incidents", *arguments, "--url", receiver.url]
    environment = {**receiver.environment(), "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
    process = subprocess.Popen(command, cwd=receiver.directory, env=environment, stdout=output, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def held(watching):
    """Return the number of an incident that is held."""
    assert watching.post(payload(alert("node-b", start=now(), alertname="\x1b[2JStuck"))).status_code == 200
    (incident,) = until("it to be held", lambda: [i for i in watching.incidents("held") if i["host"] == "node-b"])
    return incident["id"]


def test_incidents_are_picked_by_class_and_host(watching, held):
    def listed(*options):
        result = autoglm(watching, "incidents", "list", "--url", watching.url, "--json", *options)
        return result.returncode, [one["id"] for one in json.loads(result.stdout or b'{"incidents": []}')["incidents"]]

    assert listed("--host", "node-b", "--class", "oom", "--state", "held") == (0, [held])
    assert listed("--host", "node") == (0, [])
    assert listed("--class", "crash") == (0, [])
    assert listed("--class", "crush")[0] == 1


def test_a_report_is_written(watching, held):
    def report(*options):
        return autoglm(watching, "incidents", "report", str(held), "--url", watching.url, *options)

    assert f"Incident {held}: oom".encode() in report().stdout
    assert b"\x1b" not in report().stdout
    assert report("--format", "html", "--out", "report.html").returncode == 0
    assert (watching.directory / "report.html").read_text().startswith("<!doctype html>")
    unwritable = report("--out", "nowhere/report.md")
    assert (unwritable.returncode, b"cannot be written" in unwritable.stderr) == (3, True)
    assert report("--format", "pdf").returncode == 2


def test_a_list_is_watched_in_a_pipe_as_one_line_of_json_a_look(watching, held):
    with going_on(watching, "list", "--watch", "--json") as process:
        looks = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        assert process.wait(180) == 0
    assert all(held in [one["id"] for one in look["incidents"]] for look in looks)


@pytest.mark.usefixtures("held")
def test_a_list_is_watched_on_a_terminal_until_ctrl_c(watching):
    ours, theirs = pty.openpty()
    with going_on(watching, "list", "--watch", output=theirs) as process:
        os.close(theirs)
        seen = b""
        while b"node-b" not in seen:
            seen += os.read(ours, 65536)
        process.send_signal(signal.SIGINT)
        assert process.wait(180) == 0
    os.close(ours)
    assert b"[2JStuck" not in seen
    assert b"held" in seen


def test_one_incident_is_followed_to_its_end(watching, held):
    with going_on(watching, "show", str(held), "--watch") as process:
        first = process.stdout.readline()
        assert watching.order(held, "close").status_code == 200
        # Not communicate: it would leave out what was read ahead with the first line.
        rest = process.stdout.read()
        assert process.wait(180) == 0, process.stderr.read()
    assert b"held" in first
    assert b"closed" in rest.splitlines()[-1]
    assert len({line for line in rest.splitlines() if b"waits for approval" in line}) == 1
