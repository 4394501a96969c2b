# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiver with AWX for its launcher: from the webhook to the job and back, and over a kill in between."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.receiver.running import Receiver, alert, now, payload, serving
from tests.support.fake_awx.server import Running
from tests.support.servers.waiting import until


def policy(awx: Running, token: Path) -> str:
    return f"""\
launchers:
  default: awx
  awx: {{url: '{awx.url}', token_file: '{token}'}}
recovery: {{strategies: {{oom: {{delay: 0s}}}}}}
"""


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "awx-token"
    path.write_text("a-token\n")
    path.chmod(0o600)
    return path


def the_job(awx: Running) -> dict[str, Any] | None:
    jobs = awx.awx.all("jobs")
    assert len(jobs) <= 1, jobs
    return jobs[0] if jobs else None


def finish(awx: Running, receiver: Receiver) -> dict[str, Any]:
    """Let the job prove a repair and end; return the incident."""
    job = the_job(awx)
    assert job is not None
    awx.awx.start(job)
    awx.awx.event(job, "playbook_on_start")
    saved = {
        "path": "/evidence/b",
        "excerpts": [{"name": "SUMMARY.txt", "text": "<b>dead</b>\x1b[2J --api-key s3cret"}],
    }
    action = "autoglm.recovery.crash_snapshot"
    awx.awx.event(job, "runner_on_ok", task="Save the evidence", task_action=action, host="node-a", res=saved)
    awx.awx.event(job, "runner_on_ok", task="Prove", host="node-a", res={"verdict": "healthy", "reasons": []})
    awx.awx.finish(job)
    (found,) = until("the playbook's proof to be taken in", lambda: receiver.incidents("verifying"))
    return dict(receiver.get(f"/api/v1/incidents/{found['id']}"))


def test_a_webhook_becomes_one_job_and_its_end_the_incidents(tmp_path: Path, awx: Running, token: Path) -> None:
    (tmp_path / "r").mkdir()
    with serving(tmp_path / "r", policy=policy(awx, token)) as receiver:
        receiver.post(payload(alert("node-a", start=now())))
        until("the job", lambda: the_job(awx))
        incident = finish(awx, receiver)
        assert '<a href="/runs/1/evidence">' in receiver.client.get(f"{receiver.url}/incidents/1").text
        evidence = receiver.client.get(f"{receiver.url}/runs/1/evidence")
        assert evidence.headers["content-type"].startswith("text/plain")
        assert "===== node-a:/evidence/b" in evidence.text
        assert r"<b>dead</b>\x1b[2J --api-key" in evidence.text
        assert "s3cret" not in evidence.text
        assert len(list(receiver.directory.glob("state/runs/1-*/evidence-1.json"))) == 1
    (run,) = incident["runs"]
    assert (run["launcher"], run["state"], run["host"]) == ("awx", "succeeded", "node-a")
    assert run["reference"].startswith("job:")
    assert run["link"].startswith(f"{awx.url}/#/jobs/playbook/")
    assert "node-a is healthy" in {line["text"] for line in incident["timeline"]}


def test_a_cancelled_run_is_a_cancelled_job_and_a_persons_incident(tmp_path: Path, awx: Running, token: Path) -> None:
    (tmp_path / "r").mkdir()
    with serving(tmp_path / "r", policy=policy(awx, token)) as receiver:
        receiver.post(payload(alert("node-a", start=now())))
        job = until("the job", lambda: the_job(awx))
        awx.awx.start(job)
        until("the run to be followed", lambda: receiver.runs(1)[0]["reference"].startswith("job:"))
        assert receiver.order(1, "cancel").status_code == 200
        until("the run to end", lambda: receiver.runs(1)[0]["state"] == "cancelled")
        until("the job to be cancelled", lambda: (the_job(awx) or {})["status"] == "canceled")
        assert receiver.incidents("escalated")[0]["reason"].startswith("cancelled by ")
    assert len(awx.launches()) == 1


def test_a_receiver_that_is_killed_follows_the_same_job_when_it_is_back(
    tmp_path: Path, awx: Running, token: Path
) -> None:
    (tmp_path / "r").mkdir()
    with serving(tmp_path / "r", policy=policy(awx, token)) as receiver:
        receiver.post(payload(alert("node-a", start=now())))
        until("the job", lambda: the_job(awx))
        receiver.kill()
        receiver.start()
        incident = finish(awx, receiver)
    assert len(awx.launches()) == 1
    assert [run["state"] for run in incident["runs"]] == ["succeeded"]


OWN = """
actions:
  free_disk:
    playbook: acme.ops.free_disk
    destructive: false
    host_wide: false
    launcher: awx
    template: Free a disk
    extra_vars: {keep_days: 3, note: "{{ 7 }}"}
    proof: playbook
classes:
  disk_full: {ladder: [free_disk], serving: true}
"""


def test_an_own_action_is_a_job_of_its_template_also_when_the_policy_changes(
    tmp_path: Path, awx: Running, token: Path
) -> None:
    for name in ("Free a disk", "Free a disk well"):
        (first,) = (each for each in awx.awx.all("job_templates") if each["name"] == "autoglm restart_process")
        given = {key: value for key, value in first.items() if key not in ("id", "name", "playbook")}
        awx.awx.add("job_templates", **{**given, "name": name, "playbook": "free_disk.yml"})
    (tmp_path / "r").mkdir()
    where = f"launchers: {{awx: {{url: '{awx.url}', token_file: '{token}'}}}}\n"
    with serving(tmp_path / "r", policy=where + OWN) as receiver:
        receiver.post(payload(alert("node-a", failure_class="disk_full", start=now())))
        job = until("the job", lambda: the_job(awx))
        assert job["name"] == "Free a disk"
        given = json.loads(job["extra_vars"])
        assert (given["keep_days"], given["note"]) == (3, "{ { 7 }}")
        assert given["autoglm_incident"]["action"] == "free_disk"
        assert job["limit"] == "node-a"
        (receiver.directory / "policy.yaml").write_text(where + OWN.replace("a disk", "a disk well"))
        assert receiver.process is not None
        receiver.process.send_signal(signal.SIGHUP)
        until("the policy to be read", lambda: "Free a disk well" in receiver.client.get(f"{receiver.url}/policy").text)
        receiver.post(payload(alert("node-b", failure_class="disk_full", start=now())))
        until("the other job", lambda: [job["name"] for job in awx.awx.all("jobs")][1:] == ["Free a disk well"])
