# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run in AWX from its launch to its end."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autoglm_recovery.receiver.runs import kept_evidence
from autoglm_recovery.receiver.runs.awx import following
from autoglm_recovery.receiver.runs.awx.client import AwxUnavailable
from autoglm_recovery.receiver.runs.awx.launcher import AwxLauncher
from autoglm_recovery.receiver.runs.awx.settings import Template
from autoglm_recovery.receiver.runs.protocol import LaunchRefused, RunStatus
from tests.integration.awx.driving import RUN, Kept, awaited, order, settings
from tests.support.fake_awx import Fault
from tests.support.fake_awx.server import Running


def job_of(awx: Running) -> dict[str, Any]:
    """Return the only job."""
    (job,) = awx.awx.all("jobs")
    return job


def test_a_run_is_launched_followed_and_ends_well(awx: Running, launcher: AwxLauncher) -> None:
    kept = Kept()
    first = kept.look(launcher)
    assert first.status is RunStatus.running
    assert str(first.reference).startswith("launching:")
    assert not awx.launches()

    kept.launched(launcher)
    job = job_of(awx)
    assert job["limit"] == "node-a"
    sent = json.loads(job["extra_vars"])
    assert sent["autoglm_incident"]["reason"] == "{ { 1 + 1 }}"
    assert kept.look(launcher).why == "AWX: pending"

    awx.awx.start(job)
    awx.awx.event(job, "playbook_on_start")
    moment = {"task": "Preflight", "res": {}}
    awx.awx.event(job, "runner_on_ok", **moment)
    assert kept.look(launcher).status is RunStatus.running
    assert kept.lines == ["Preflight: ok"]

    awx.awx.event(job, "runner_on_ok", task="Prove", host="node-a", res={"verdict": "healthy", "reasons": []})
    awx.awx.finish(job)
    last = kept.ended(launcher)
    assert (last.rc, last.why) == (0, None)
    assert kept.lines == ["Preflight: ok", "Prove: ok", "node-a is healthy"]
    assert last.reference == f"job:{job['id']}"
    assert last.link == f"{awx.url}/#/jobs/playbook/{job['id']}/output"


def test_the_last_events_may_come_after_the_end(awx: Running, launcher: AwxLauncher) -> None:
    kept = Kept()
    kept.launched(launcher)
    job = job_of(awx)
    awx.awx.event(job, "runner_on_ok", task="one", res={})
    awx.awx.event(job, "runner_on_ok", counter=3, task="three", res={})
    awx.awx.finish(job, "failed", events_written=False)
    look = kept.look(launcher)
    assert (look.status, look.why) == (RunStatus.running, "ended; waiting for its last events")
    assert kept.lines == ["one: ok"]
    awx.awx.event(job, "runner_on_failed", counter=2, task="two", res={"msg": "no"})
    job["event_processing_finished"] = True
    assert kept.ended(launcher).rc == 1
    # The failed task, and the cause that it names.
    assert kept.lines == ["one: ok", "two: failed: no", "two: no", "three: ok"]


def test_many_events_are_read_page_by_page_and_none_twice(awx: Running, launcher: AwxLauncher) -> None:
    kept = Kept()
    kept.launched(launcher)
    job = job_of(awx)
    for number in range(1, 1001):
        awx.awx.add("job_events", job=job["id"], event="runner_on_ok", counter=number,
                    event_data={"task": f"t{number}", "res": {}})  # fmt: skip
    awx.awx.finish(job)
    assert kept.ended(launcher).rc == 0
    assert kept.lines == [f"t{number}: ok" for number in range(1, 1001)]


@pytest.mark.parametrize(("status", "rc"), [("failed", 1), ("error", None), ("canceled", None)])
def test_only_success_is_success(awx: Running, launcher: AwxLauncher, status: str, rc: int | None) -> None:
    kept = Kept()
    kept.launched(launcher)
    awx.awx.finish(job_of(awx), status)
    assert kept.ended(launcher).rc == rc


def test_a_play_that_matched_no_host_is_no_success(awx: Running, launcher: AwxLauncher) -> None:
    kept = Kept()
    kept.launched(launcher)
    job = job_of(awx)
    awx.awx.event(job, "playbook_on_no_hosts_matched")
    awx.awx.finish(job)
    last = kept.ended(launcher)
    assert last.rc == 1
    assert "no task was begun" in str(last.why)


def test_a_play_without_a_task_is_no_success(awx: Running, launcher: AwxLauncher) -> None:
    kept = Kept()
    kept.launched(launcher)
    job = job_of(awx)
    awx.awx.start(job)
    for event in ("playbook_on_start", "playbook_on_play_start", "playbook_on_stats"):
        awx.awx.event(job, event)
    awx.awx.finish(job)
    assert kept.ended(launcher).rc == 1


def test_success_of_which_no_event_was_written_is_not_known(
    awx: Running, launcher: AwxLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The callback receiver or its Redis is down: AWX goes on, and writes no event."""
    monkeypatch.setattr(following, "_LAST_EVENTS_S", 0.0)
    kept = Kept()
    kept.launched(launcher)
    awx.awx.finish(job_of(awx), events_written=False)
    last = kept.ended(launcher)
    assert (last.rc, "is not known" in str(last.why)) == (None, True)


def test_a_job_that_was_deleted_ends_the_run_without_a_verdict(awx: Running, launcher: AwxLauncher) -> None:
    kept = Kept()
    kept.launched(launcher)
    awx.awx.delete("jobs", job_of(awx)["id"])
    last = kept.ended(launcher)
    assert last.rc is None
    assert "deleted" in str(last.why)


def test_a_job_beyond_its_timeout_is_cancelled(awx: Running, launcher: AwxLauncher) -> None:
    kept = Kept()
    hurried = order(timeout_s=0.05)
    kept.launched(launcher, hurried)
    awx.awx.start(job_of(awx))
    last = kept.ended(launcher, hurried)
    assert job_of(awx)["status"] == "canceled"
    assert last.rc is None
    assert "timeout" in str(last.why)


def test_a_job_that_never_gets_capacity_is_cancelled(awx: Running, make_launcher: Callable[..., AwxLauncher]) -> None:
    launcher, kept = make_launcher(queue_s=600.0), Kept()
    kept.launched(launcher)
    kept.look(launcher)
    assert job_of(awx)["status"] == "pending"
    # AWX's clock is two hours ahead of ours; only its own passing counts.
    awx.awx.clock_ahead_s += 601.0
    last = kept.ended(launcher)
    assert (last.rc, job_of(awx)["status"]) == (None, "canceled")


def test_cancel_ends_the_job_and_may_be_said_twice(awx: Running, launcher: AwxLauncher) -> None:
    kept = Kept()
    kept.launched(launcher)
    launcher.cancel(kept.run, "no longer wanted")
    assert job_of(awx)["status"] == "pending"
    launcher.cancel(kept.run, "no longer wanted")
    kept.ended(launcher)
    assert job_of(awx)["status"] == "canceled"
    assert sum("/cancel/" in line for line in awx.seen) == 1
    # Also where the reference was lost, and where there is nothing.
    launcher.cancel(replace(kept.run, reference=None), "again")
    launcher.cancel(replace(kept.run, reference=None, id=99), "nothing there")


def test_what_is_cancelled_before_it_was_launched_never_is(awx: Running, launcher: AwxLauncher) -> None:
    kept = Kept()
    launcher.cancel(kept.run, "cancelled by ann")
    last = kept.ended(launcher)
    assert (last.rc, last.why) == (None, "not launched: cancelled by ann")
    assert awx.launches() == []


def test_cancel_says_when_awx_does_not_listen(awx: Running, launcher: AwxLauncher) -> None:
    kept = Kept()
    kept.launched(launcher)
    awx.faults.append(Fault(500, "POST", "/cancel/"))
    with pytest.raises(AwxUnavailable):
        launcher.cancel(kept.run, "no longer wanted")
    launcher.cancel(kept.run, "no longer wanted")
    assert sum("/cancel/" in line for line in awx.seen) == 1, "AWX is left alone for a while"

    def ended() -> bool:
        launcher.cancel(kept.run, "no longer wanted")
        return kept.look(launcher).status is RunStatus.ended

    awaited(ended)
    assert job_of(awx)["status"] == "canceled"


@pytest.mark.parametrize("token", ["a-token", "an-admin-token"])
def test_a_job_that_has_ended_needs_no_cancel_whoever_asks(
    awx: Running, make_launcher: Callable[..., AwxLauncher], token: str
) -> None:
    """Who is no superuser is told 403 by AWX, and not 405."""
    launcher, kept = make_launcher(token=token), Kept()
    kept.launched(launcher)
    awx.awx.succeed(job_of(awx))
    launcher.cancel(kept.run, "closed by ann")
    assert kept.ended(launcher).rc == 0


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ({"ask_limit_on_launch": False}, "'Prompt on launch' for Limit"),
        ({"ask_variables_on_launch": False}, "'Prompt on launch' for Variables"),
        ({"inventory": None}, "no inventory"),
        ({"passwords_needed": ["ssh_password"]}, "ssh_password"),
        ({"job_slice_count": 3}, "slices"),
        ({"name": "something else"}, "no job template"),
    ],
)
def test_what_a_template_lacks_refuses_the_run_before_anything_is_launched(
    awx: Running, launcher: AwxLauncher, template: dict[str, Any], words: str
) -> None:
    awx.awx.all("job_templates")[0].update(template)
    with pytest.raises(LaunchRefused, match=words) as refused:
        Kept().launched(launcher)
    assert not refused.value.launched
    assert not awx.launches()


@pytest.mark.parametrize("host", ["node-c", "all", "node-*", "inference", "node-a,node-b"])
def test_nothing_but_one_host_of_the_inventory_is_launched(awx: Running, launcher: AwxLauncher, host: str) -> None:
    with pytest.raises(LaunchRefused):
        Kept(replace(RUN, host=host)).launched(launcher, order(host))
    assert not awx.launches()


def test_a_host_with_the_name_of_a_group_is_refused(awx: Running, launcher: AwxLauncher) -> None:
    awx.awx.add("groups", name="node-a", inventory=awx.awx.all("inventories")[0]["id"])
    with pytest.raises(LaunchRefused, match="group"):
        Kept().launched(launcher)


def test_two_templates_of_one_name_need_an_organization(
    awx: Running, make_launcher: Callable[..., AwxLauncher]
) -> None:
    other = awx.awx.add("organizations", name="Other")
    twin = {**awx.awx.all("job_templates")[0], "organization": other["id"]}
    awx.awx.add("job_templates", **{key: value for key, value in twin.items() if key not in ("id", "type")})
    with pytest.raises(LaunchRefused, match="say which organization"):
        Kept().launched(make_launcher())
    kept = Kept()
    kept.launched(make_launcher(templates={"restart_process": Template("autoglm restart_process", "Default")}))
    assert job_of(awx)["job_template"] == awx.awx.all("job_templates")[0]["id"]


def test_a_prompt_switched_off_in_the_last_moment_cancels_what_was_launched(
    awx: Running, launcher: AwxLauncher
) -> None:
    kept = Kept()
    kept.look(launcher)
    awx.awx.all("job_templates")[0]["ask_limit_on_launch"] = False
    awx.faults.append(Fault(502, "POST", "/cancel/"))
    with pytest.raises(LaunchRefused, match="Limit") as refused:
        kept.ended(launcher)
    assert refused.value.launched
    awx.awx.dispatch()
    assert job_of(awx)["status"] == "canceled"
    assert len(awx.launches()) == 1


def test_what_a_workflow_does_not_ask_for_in_the_last_moment_is_refused(
    awx: Running, make_launcher: Callable[..., AwxLauncher]
) -> None:
    workflow, kept = _workflow(awx), Kept()
    launcher = make_launcher(templates={"restart_process": Template("heal", workflow=True)})
    kept.look(launcher)
    workflow["ask_limit_on_launch"] = False
    with pytest.raises(LaunchRefused, match="not configured to prompt") as refused:
        kept.ended(launcher)
    assert not refused.value.launched
    assert not awx.awx.all("workflow_jobs")


@pytest.mark.parametrize("kind", ["job_templates", "workflow_job_templates"])
def test_a_job_that_hides_our_mark_is_cancelled(
    awx: Running, make_launcher: Callable[..., AwxLauncher], kind: str
) -> None:
    """A survey that calls the mark a password: the job gets it, and nobody would find the job by it."""
    _workflow(awx)
    asked = {"variable": "autoglm_run", "type": "password", "required": False}
    awx.awx.all(kind)[0].update(survey_enabled=True, survey_spec={"spec": [asked]})
    workflow = kind == "workflow_job_templates"
    launcher = make_launcher(templates={"restart_process": Template("heal", workflow=True)} if workflow else {})
    with pytest.raises(LaunchRefused, match="out of its survey") as refused:
        Kept().launched(launcher)
    assert refused.value.launched
    awx.awx.dispatch()
    assert awx.awx.all("workflow_jobs" if workflow else "jobs")[0]["status"] == "canceled"


def test_slices_in_the_last_moment_are_cancelled(awx: Running, launcher: AwxLauncher) -> None:
    kept = Kept()
    kept.look(launcher)
    awx.awx.all("job_templates")[0]["job_slice_count"] = 2
    with pytest.raises(LaunchRefused, match="slices") as refused:
        kept.ended(launcher)
    assert refused.value.launched
    awx.awx.dispatch()
    assert [job["status"] for job in awx.awx.all("workflow_jobs")] == ["canceled"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"variable": "autoglm_target", "type": "text"}, "'autoglm_target' expected to be a string"),
        ({"variable": "autoglm_run", "type": "text", "max": 3}, "is too large"),
        ({"variable": "autoglm_run", "type": "multiplechoice", "choices": "a\nb"}, "expected to be one of"),
        ({"variable": "autoglm_run", "type": "integer"}, "expected to be an integer"),
    ],
)
def test_a_survey_that_refuses_our_variables_refuses_the_run(
    awx: Running, launcher: AwxLauncher, asked: dict[str, Any], words: str
) -> None:
    spec = [{"required": False, **asked}]
    awx.awx.all("job_templates")[0].update(survey_enabled=True, survey_spec={"spec": spec})
    with pytest.raises(LaunchRefused, match=words) as refused:
        Kept().launched(launcher)
    assert not refused.value.launched
    assert not awx.awx.all("jobs")


def test_a_project_that_failed_refuses_the_run(awx: Running, launcher: AwxLauncher) -> None:
    awx.awx.all("projects")[0]["status"] = "failed"
    with pytest.raises(LaunchRefused, match="failed project update") as refused:
        Kept().launched(launcher)
    assert not refused.value.launched


def test_an_inventory_that_is_not_shown_names_the_role(awx: Running, launcher: AwxLauncher) -> None:
    awx.awx.hidden_inventories = True
    with pytest.raises(LaunchRefused, match="the role Read"):
        Kept().launched(launcher)


def test_awx_that_is_being_upgraded_is_waited_for(awx: Running, launcher: AwxLauncher) -> None:
    awx.awx.migrating = True
    kept = Kept()
    look = kept.look(launcher)
    assert (look.status, look.started, "is being upgraded" in str(look.why)) == (RunStatus.running, False, True)
    awx.awx.migrating = False
    kept.launched(launcher)
    awx.awx.migrating = True
    assert kept.look(launcher).status is RunStatus.running
    awx.awx.migrating = False
    awx.awx.succeed(job_of(awx))
    assert kept.ended(launcher).rc == 0


def test_a_launch_costs_six_requests(awx: Running, launcher: AwxLauncher) -> None:
    Kept().launched(launcher)
    assert len(awx.seen) == 6, awx.seen


def test_a_survey_and_variables_of_the_template_are_below_what_is_given(awx: Running, launcher: AwxLauncher) -> None:
    spec = [{"variable": "target", "type": "text", "required": False, "default": ""}]
    awx.awx.all("job_templates")[0].update(survey_enabled=True, survey_spec={"spec": spec}, extra_vars="fleet: blue")
    kept = Kept()
    kept.launched(launcher)
    sent = json.loads(job_of(awx)["extra_vars"])
    assert (sent["target"], sent["fleet"], sent["autoglm_target"]["host"]) == ("", "blue", "node-a")
    # It is found again by its mark among them.
    assert Kept().launched(launcher).reference == kept.run.reference


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        ({"result_traceback": "Traceback ...\nreceptor: no route to node"}, "receptor: no route to node"),
        ({"job_explanation": "Image could not be pulled"}, "Image could not be pulled"),
    ],
)
def test_an_error_says_what_awx_knows_of_it(
    awx: Running, launcher: AwxLauncher, ended: dict[str, str], words: str
) -> None:
    kept = Kept()
    kept.launched(launcher)
    job_of(awx).update(ended)
    awx.awx.finish(job_of(awx), "error")
    assert words in str(kept.ended(launcher).why)


def test_who_may_not_launch_is_told_so(awx: Running, launcher: AwxLauncher) -> None:
    awx.awx.forbidden_launch = True
    with pytest.raises(LaunchRefused, match="permission") as refused:
        Kept().launched(launcher)
    assert not refused.value.launched


def test_a_template_that_is_gone_while_a_job_may_be_there_says_nothing_of_the_job(
    awx: Running, make_launcher: Callable[..., AwxLauncher]
) -> None:
    kept = Kept()
    kept.look(make_launcher())
    for template in awx.awx.all("job_templates"):
        awx.awx.delete("job_templates", template["id"])
    # Another receiver: whether the first one has posted it does not know.
    with pytest.raises(LaunchRefused, match="no job template") as refused:
        kept.ended(make_launcher())
    assert refused.value.launched
    # And one that nobody has posted yet.
    with pytest.raises(LaunchRefused, match="no job template") as refused:
        Kept().launched(make_launcher())
    assert not refused.value.launched


def _workflow(awx: Running, **node_template: Any) -> dict[str, Any]:
    template = awx.awx.all("job_templates")[0]
    template.update(node_template)
    asks = {"ask_limit_on_launch": True, "ask_variables_on_launch": True}
    workflow = awx.awx.add("workflow_job_templates", name="heal", inventory=template["inventory"], **asks)
    awx.awx.add(
        "workflow_job_template_nodes", workflow_job_template=workflow["id"], unified_job_template=template["id"]
    )
    return workflow


def test_a_workflow_is_launched_and_followed(awx: Running, make_launcher: Callable[..., AwxLauncher]) -> None:
    _workflow(awx)
    launcher = make_launcher(templates={"restart_process": Template("heal", workflow=True)})
    kept = Kept()
    kept.launched(launcher)
    (workflow_job,) = awx.awx.all("workflow_jobs")
    assert workflow_job["limit"] == "node-a"
    # A second launcher without the reference finds it, although AWX cannot search workflow jobs by limit.
    again = Kept().launched(make_launcher(templates={"restart_process": Template("heal", workflow=True)}))
    assert again.reference == f"workflow_job:{workflow_job['id']}"

    job = awx.awx.add("jobs", name="autoglm restart_process", status="running")
    awx.awx.add("workflow_nodes", workflow_job=workflow_job["id"], job=job["id"])
    kept.look(launcher)
    assert kept.lines == []
    awx.awx.succeed(job)
    kept.look(launcher)
    awx.awx.finish(workflow_job)
    assert kept.ended(launcher).rc == 0
    assert kept.lines == ["autoglm restart_process: successful"]
    assert len(awx.launches()) == 1


def test_a_workflow_that_waits_for_an_approval_says_so_and_is_not_overdue(
    awx: Running, make_launcher: Callable[..., AwxLauncher]
) -> None:
    _workflow(awx)
    launcher, kept = make_launcher(templates={"restart_process": Template("heal", workflow=True)}), Kept()
    hurried = order(timeout_s=0.05)
    kept.launched(launcher, hurried)
    (workflow_job,) = awx.awx.all("workflow_jobs")
    awx.awx.start(workflow_job)
    awx.awx.clock_ahead_s += 3600.0
    node = awx.awx.add("workflow_nodes", workflow_job=workflow_job["id"],
                       approval={"id": 99, "name": "May node-a restart?", "status": "pending"})  # fmt: skip
    look = kept.look(launcher, hurried)
    assert (look.status, look.why) == (RunStatus.running, "waits for May node-a restart? to be approved in AWX")
    node["approval"]["status"] = "successful"
    assert "timeout" in str(kept.ended(launcher, hurried).why)


def test_a_workflow_with_a_template_that_slices_its_jobs_is_refused(
    awx: Running, make_launcher: Callable[..., AwxLauncher]
) -> None:
    _workflow(awx, job_slice_count=2)
    launcher = make_launcher(templates={"restart_process": Template("heal", workflow=True)})
    with pytest.raises(LaunchRefused, match="slices"):
        Kept().launched(launcher)
    assert not awx.launches()


def test_a_workflow_whose_job_would_ignore_the_limit_is_refused(
    awx: Running, make_launcher: Callable[..., AwxLauncher]
) -> None:
    _workflow(awx, ask_limit_on_launch=False)
    launcher = make_launcher(templates={"restart_process": Template("heal", workflow=True)})
    with pytest.raises(LaunchRefused, match="Limit"):
        Kept().launched(launcher)
    assert not awx.launches()


def _saves(text: str, **changes: Any) -> dict[str, Any]:
    """Return the event data of a task that has saved evidence, as ansible-runner tells it."""
    res = {"path": "/var/lib/autoglm/evidence/b", "changed": True, "excerpts": [{"name": "SUMMARY.txt", "text": text}]}
    return {
        "task": "Save the evidence",
        "task_action": "autoglm.recovery.crash_snapshot",
        "host": "node-a",
        "res": {**res, **changes},
    }


def _texts(directory: Path) -> list[str]:
    return [excerpt.text for bundle in kept_evidence.kept(directory) for excerpt in bundle.excerpts]


def test_evidence_of_a_job_is_kept_once_and_no_more_than_so_much(awx: Running, tmp_path: Path) -> None:
    launcher, kept = AwxLauncher(settings(awx.url), tmp_path), Kept()
    kept.launched(launcher)
    job = job_of(awx)
    awx.awx.start(job)
    before = kept.run
    awx.awx.event(job, "runner_on_ok", **_saves("one"))
    kept.look(launcher)
    # What was seen was thrown away, and is seen again: by another receiver, say.
    again = Kept(run=before)
    again.look(launcher)
    awx.awx.event(job, "runner_on_ok", **_saves("x" * 2 * kept_evidence.MOST_CHARACTERS, path="/b-failed-start"))
    # AWX has nothing of a result that is larger than it takes.
    awx.awx.event(job, "runner_on_ok", **_saves("y" * 800000))
    for number in range(10):
        awx.awx.event(job, "runner_on_ok", **_saves("more", path=f"/{number}"))
    awx.awx.finish(job)
    assert kept.ended(launcher).rc == 0
    directory = tmp_path / RUN.directory.name
    texts = _texts(directory)
    assert (texts[0], len(texts[1]), texts[2:]) == ("one", kept_evidence.MOST_CHARACTERS, ["more", "more"])
    assert sorted(path.name for path in tmp_path.rglob("*.json")) == [f"evidence-{n}.json" for n in (1, 2, 3, 4)]
    launcher.close()


def test_evidence_that_cannot_be_kept_holds_up_no_run(awx: Running, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    launcher, kept = AwxLauncher(settings(awx.url), tmp_path / "file"), Kept()
    kept.launched(launcher)
    job = job_of(awx)
    awx.awx.start(job)
    awx.awx.event(job, "runner_on_ok", **_saves("one"))
    awx.awx.finish(job)
    assert kept.ended(launcher).rc == 0
    assert "node-a:/var/lib/autoglm/evidence/b" in kept.lines
    launcher.close()


def test_evidence_of_a_workflows_jobs_is_kept_as_well(awx: Running, tmp_path: Path) -> None:
    _workflow(awx)
    heal = settings(awx.url, templates={"restart_process": Template("heal", workflow=True)})
    launcher, kept = AwxLauncher(heal, tmp_path), Kept()
    kept.launched(launcher)
    (workflow_job,) = awx.awx.all("workflow_jobs")
    for text in ("one", "two"):
        job = awx.awx.add("jobs", name=text, status="running")
        awx.awx.add("workflow_nodes", workflow_job=workflow_job["id"], job=job["id"])
        awx.awx.event(job, "runner_on_ok", **_saves(text, path=f"/{text}"))
        awx.awx.succeed(job)
        kept.look(launcher)
    awx.awx.finish(workflow_job)
    assert kept.ended(launcher).rc == 0
    assert _texts(tmp_path / RUN.directory.name) == ["one", "two"]
    launcher.close()
