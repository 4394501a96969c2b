# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiver with AWX for its launcher: from the webhook to the job and back, and over a kill in between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fake_awx.server import Running
from tests.integration.receiver.running import Receiver, alert, now, payload, serving
from tests.parts.waiting import until


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
