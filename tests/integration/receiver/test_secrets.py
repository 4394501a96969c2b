# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of every kind go in; none is found in database, backup, artifacts, pages or log after whole recoveries.

Nor in what any user sees of its processes, and none of them leaves its memory behind in a crash.  Runs start warm, cold
and as jobs of AWX; whoever is asked refuses, and repeats what it was sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from . import indiscreet
from .indiscreet import IN_URL, autoglm, core_limits, holds, in_environments, kept
from .running import Receiver, alert, now, payload

PAGES = ("/", "/incidents/1", "/incidents/3", "/runs/1/output", "/runs/2/output", "/policy", "/fleet", "/metrics")
API = ("/api/v1/incidents", "/api/v1/incidents/1", "/api/v1/incidents/3", "/api/v1/alerts", "/api/v1/audit")


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """Return a receiver that has carried recoveries through, with secrets wherever one can be put."""
    with indiscreet.used(tmp_path_factory.mktemp("secrets"), indiscreet.warm_and_cold) as receiver:
        yield receiver


def test_no_secret_is_kept_or_logged(used: Receiver) -> None:
    autoglm(used, "backup", "saved.db", "--state-dir", "state")
    files = kept(used, "saved.db")
    names = {Path(path).name for path in files}
    assert {"receiver.db", "receiver.db-wal", "stdout", "events.jsonl", "warm.log"} <= names
    assert any("job_events" in path for path in files)
    assert b"Failed to export spans" in files["log"]
    found = {path: holds(content) for path, content in files.items()}
    assert {path: held for path, held in found.items() if held} == {}


def test_no_secret_is_shown(used: Receiver) -> None:
    for page in (*PAGES, *API):
        answer = used.client.get(used.url + page)
        assert answer.status_code == 200, page
        assert holds(answer.content) == [], page
    assert "nosuch" in used.client.get(f"{used.url}/runs/1/output").text


def test_no_command_prints_one(used: Receiver) -> None:
    world = ("--inventory", "inventory.yml", "--policy", "policy.yaml")
    (used.directory / "payload.json").write_text(
        json.dumps(payload(alert(start=now(), link=f"http://alice:{IN_URL}@node-a/x")))
    )
    said = [
        autoglm(used, "explain", "payload.json", *world),
        autoglm(used, "check", "policy.yaml"),
        autoglm(used, "rules", "--policy", "policy.yaml"),
        autoglm(used, "doctor", *world, "--no-hosts", "--access-file", "tokens", code=1),
        autoglm(used, "notify", "test", "--policy", "policy.yaml", code=1),
        autoglm(used, "incidents", "report", "3", "--url", used.url),
    ]
    assert [holds(each) for each in said] == [[]] * len(said)
    assert b"node-a" in said[0]
    assert b"refused" in said[3]


def test_no_secret_is_in_what_everybody_sees_of_processes(used: Receiver) -> None:
    words = b"\n".join(word for shown in used.shown.values() for word in shown.cmdline)
    # The receiver, the warm process, supervisors, ansible-playbook, its workers and what these start.
    for program in (b"serve", b"autoglm-warm", b"supervisor", b"ansible-playbook", b"AnsiballZ"):
        assert program in words, program
    assert holds(words) == []


def test_an_environment_has_what_the_operator_put_there_for_runs_and_no_more(used: Receiver) -> None:
    """Only its user and root can read it; what a run has no use for is not even there."""
    assert in_environments(used) == []


def test_no_process_leaves_its_memory_behind_in_a_crash(used: Receiver) -> None:
    assert used.process.pid in used.shown
    assert len(used.shown) > 2
    assert core_limits(used) == {b"0"}


def test_what_is_shown_still_says_what_happened(used: Receiver) -> None:
    shown: dict[str, Any] = used.get("/api/v1/alerts")["alerts"][-1]
    assert "prometheus:9090/graph?g0.expr=up" in shown["generator_url"]
    assert "wiki/run" in shown["annotations"]["runbook"]
    audit = used.get("/api/v1/audit")["audit"]
    assert [(row["what"], row["outcome"]) for row in audit].count(("close", "done")) == 1
    assert {row["outcome"] for row in audit} == {"done", "unrecognised"}
