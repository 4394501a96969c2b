# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run in AWX from its launch to its end."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from autoglm_recovery.receiver.awx.client import AwxUnavailable
from autoglm_recovery.receiver.awx.launcher import AwxLauncher
from autoglm_recovery.receiver.awx.settings import Template
from autoglm_recovery.receiver.launcher import LaunchRefused, Life
from tests.fake_awx import Fault
from tests.fake_awx.server import Running
from tests.integration.awx.driving import RUN, Kept, order


def job_of(awx: Running) -> dict[str, Any]:
    """Return the only job."""
    (job,) = awx.awx.all("jobs")
    return job


def test_a_run_is_launched_followed_and_ends_well(awx: Running, launcher: AwxLauncher) -> None:
    kept = Kept()
    first = kept.look(launcher)
    assert first.life is Life.alive
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
    assert kept.look(launcher).life is Life.alive
    assert kept.lines == ["Preflight: ok"]

    awx.awx.event(job, "runner_on_ok", task="Prove", host="node-a", res={"verdict": "healthy", "reasons": []})
    awx.awx.finish(job)
    last = kept.ended(launcher)
    assert (last.rc, last.why) == (0, None)
    assert kept.lines == ["Preflight: ok", "Prove: ok", "node-a is healthy"]
    assert last.reference == f"job:{job['id']}"
    assert last.link == f"{awx.url}/api/v2/jobs/{job['id']}/stdout/?format=html"


def test_the_last_events_may_come_after_the_end(awx: Running, launcher: AwxLauncher) -> None:
    kept = Kept()
    kept.launched(launcher)
    job = job_of(awx)
    awx.awx.event(job, "runner_on_ok", task="one", res={})
    awx.awx.event(job, "runner_on_ok", counter=3, task="three", res={})
    awx.awx.finish(job, "failed", events_written=False)
    look = kept.look(launcher)
    assert (look.life, look.why) == (Life.alive, "ended; waiting for its last events")
    assert kept.lines == ["one: ok"]
    awx.awx.event(job, "runner_on_failed", counter=2, task="two", res={"msg": "no"})
    job["event_processing_finished"] = True
    assert kept.ended(launcher).rc == 1
    assert kept.lines == ["one: ok", "two: failed: no", "three: ok"]


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
    assert "no host" in str(last.why)


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
    assert job_of(awx)["status"] == "canceled"
    launcher.cancel(kept.run, "no longer wanted")
    # Also where the reference was lost, and where there is nothing.
    launcher.cancel(replace(kept.run, reference=None), "again")
    launcher.cancel(replace(kept.run, reference=None, id=99), "nothing there")


def test_cancel_says_when_awx_does_not_listen(awx: Running, launcher: AwxLauncher) -> None:
    kept = Kept()
    kept.launched(launcher)
    awx.faults.append(Fault(500, "POST", "/cancel/"))
    with pytest.raises(AwxUnavailable):
        launcher.cancel(kept.run, "no longer wanted")
    launcher.cancel(kept.run, "no longer wanted")
    assert job_of(awx)["status"] == "canceled"


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
    with pytest.raises(LaunchRefused, match=words):
        Kept().launched(launcher)
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
    kept.launched(make_launcher(organization="Default"))
    assert job_of(awx)["job_template"] == awx.awx.all("job_templates")[0]["id"]


def test_a_prompt_switched_off_in_the_last_moment_cancels_what_was_launched(
    awx: Running, launcher: AwxLauncher
) -> None:
    kept = Kept()
    kept.look(launcher)
    awx.awx.all("job_templates")[0]["ask_limit_on_launch"] = False
    awx.faults.append(Fault(502, "POST", "/cancel/"))
    with pytest.raises(LaunchRefused, match="Limit"):
        kept.ended(launcher)
    assert job_of(awx)["status"] == "canceled"
    assert len(awx.launches()) == 1


def test_who_may_not_launch_is_told_so(awx: Running, launcher: AwxLauncher) -> None:
    awx.awx.forbidden_launch = True
    with pytest.raises(LaunchRefused, match="permission"):
        Kept().launched(launcher)


def _workflow(awx: Running, **node_template: Any) -> dict[str, Any]:
    template = awx.awx.all("job_templates")[0]
    template.update(node_template)
    asks = {"ask_limit_on_launch": True, "ask_variables_on_launch": True}
    workflow = awx.awx.add("workflow_job_templates", name="heal", inventory=template["inventory"], **asks)
    awx.awx.add("workflow_nodes", workflow_job_template=workflow["id"], unified_job_template=template["id"])
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
    awx.awx.finish(job)
    kept.look(launcher)
    awx.awx.finish(workflow_job)
    assert kept.ended(launcher).rc == 0
    assert kept.lines == ["autoglm restart_process: successful"]
    assert len(awx.launches()) == 1


def test_a_workflow_whose_job_would_ignore_the_limit_is_refused(
    awx: Running, make_launcher: Callable[..., AwxLauncher]
) -> None:
    _workflow(awx, ask_limit_on_launch=False)
    launcher = make_launcher(templates={"restart_process": Template("heal", workflow=True)})
    with pytest.raises(LaunchRefused, match="Limit"):
        Kept().launched(launcher)
    assert not awx.launches()
