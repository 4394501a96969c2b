# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``awx_setup.yml`` with the real awx.awx modules: all is created, once, and the launcher can use it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autoglm_recovery.receiver.runs.awx.launcher import AwxLauncher
from autoglm_recovery.receiver.runs.awx.settings import Template
from tests.integration.awx.driving import Kept, settings
from tests.support.fake_awx import FakeAwx, projects, running, workflows
from tests.support.fake_awx.api import answer
from tests.support.fake_awx.server import Running
from tests.support.fake_awx.state import APPROVALS, NOTIFICATIONS
from tests.support.servers.misleading import MISLEADING
from tests.support.tooling.awx_collection import awx_collection

CHECKOUT = Path(__file__).parents[3]
# Of each kind one or two: a module takes its seconds.
GIVEN = ["awx_project_url=https://git.example.com/recovery.git", 'awx_actions=["restart_process", "quarantine_node"]',
         'awx_for_people=["rolling_restart"]', 'awx_approved=["restart_process"]',
         "awx_receiver_url=https://receiver.example.com", "awx_receiver_token=a-secret-of-the-receiver",
         "awx_machine_credential=fleet-key", "awx_notify_url=https://chat.example.com/hook",
         "awx_execution_environment_image=registry.example.com/autoglm-ee:1"]  # fmt: skip


def set_up(server: Running, *options: str, given: list[str] = GIVEN) -> subprocess.CompletedProcess[str]:
    """Run the playbook."""
    variables = [word for one in given for word in ("-e", _json(one))]
    return subprocess.run(
        [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", *options, *variables,
         str(CHECKOUT / "playbooks/awx_setup.yml")],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "CONTROLLER_HOST": server.url, "CONTROLLER_OAUTH_TOKEN": "an-admin-token",
             "ANSIBLE_COLLECTIONS_PATH": str(awx_collection()), "ANSIBLE_LOCALHOST_WARNING": "false"},
    )  # fmt: skip


def _json(one: str) -> str:
    name, _, value = one.partition("=")
    return f"{{{name!r}: {value if value.startswith(('[', '{')) else repr(value)}}}".replace("'", '"')


def changed(done: subprocess.CompletedProcess[str]) -> int:
    """Return how many tasks changed something."""
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"changed=(\d+)", done.stdout)
    assert found
    return int(found[1])


@pytest.fixture
def empty() -> FakeAwx:
    fake = FakeAwx()
    # What AWX finds in this repository, and an action that it does not have.
    fake.playbooks = projects.playbooks(CHECKOUT) | {"playbooks/quarantine_node.yml"}
    machine = fake.all("credential_types", name="Machine")[0]
    fake.add("credentials", name="fleet-key", credential_type=machine["id"], inputs={"ssh_key_data": "$encrypted$"})
    return fake


def test_everything_is_created_once_and_may_be_launched(empty: FakeAwx, tmp_path: Path) -> None:
    """Beside an organization that uses the same names."""
    other = empty.add("organizations", name="Other")
    empty.add("inventories", name="autoglm fleet", organization=other["id"])
    inventory = tmp_path / "misleading.json"
    inventory.write_text(json.dumps({"all": {"vars": MISLEADING, "hosts": {"localhost": MISLEADING}}}))
    with running(empty) as server:
        assert changed(set_up(server)) == 14
        (update,) = empty.all("inventory_updates")
        assert update["status"] == "successful", "the hosts are there before anything is launched"
        again = set_up(server, "-i", str(inventory))
        assert changed(again) == 0, again.stdout
        assert len(empty.all("inventory_updates")) == 1

        templates = {item["name"]: item for item in empty.all("job_templates")}
        assert set(templates) == {
            "autoglm restart_process",
            "autoglm quarantine_node",
            "autoglm rolling_restart",
        }
        (environment,) = empty.all("execution_environments")
        assert environment["image"] == "registry.example.com/autoglm-ee:1"
        assert {each["execution_environment"] for each in templates.values()} == {environment["id"]}
        rolling = templates["autoglm rolling_restart"]
        (question,) = rolling["survey_spec"]["spec"]
        assert (question["variable"], question["required"]) == ("pool", True)
        template = templates["autoglm restart_process"]
        assert template["playbook"] == "playbooks/restart_process.yml"
        assert [question["variable"] for question in template["survey_spec"]["spec"]] == ["target", "service"]
        assert len(template["credentials"]) == 2
        (made,) = empty.all("credential_types", name="autoglm receiver")
        assert made["injectors"] == {"env": {"AUTOGLM_URL": "{{ url }}", "AUTOGLM_TOKEN": "{{ token }}"}}
        (source,) = empty.all("inventory_sources")
        assert source["source_path"] == "inventory.yml"
        (mine,) = empty.all("inventories", organization=empty.all("organizations", name="Default")[0]["id"])
        assert {each["inventory"] for each in templates.values()} == {mine["id"]}

        empty.add("hosts", name="node-a", inventory=template["inventory"])
        launcher = AwxLauncher(settings(server.url))
        Kept().launched(launcher)
        launcher.close()
        assert empty.all("jobs")[0]["job_template"] == template["id"]
        told_by_a_webhook(empty)
        begins_only_when_approved(empty, server, template)


def told_by_a_webhook(empty: FakeAwx) -> None:
    (webhook,) = empty.all("notification_templates")
    assert webhook["notification_configuration"]["url"] == "https://chat.example.com/hook"
    for template in (*empty.all("job_templates"), *empty.all("workflow_job_templates")):
        assert {tuple(template[each]) for each in NOTIFICATIONS} == {(webhook["id"],)}
    (workflow,) = empty.all("workflow_job_templates")
    assert workflow[APPROVALS] == [webhook["id"]]


def begins_only_when_approved(empty: FakeAwx, server: Running, template: dict[str, Any]) -> None:
    """The receiver launches the workflow in place of the template; what it gives goes on to the action."""
    below = "/api/v2/workflow_job_template_nodes/"
    wrote = [line for line in server.seen if below in line and not line.startswith("GET")]
    assert [re.sub(r"\d+/", "N/", line.replace(below, "")) for line in wrote] == [
        "POST ", "POST ", "POST N/create_approval_template/", "POST N/success_nodes/", "PATCH N/",
    ], "the action has its template last"  # fmt: skip
    before = len(empty.all("jobs"))
    wanted = Template("autoglm restart_process after approval", workflow=True)
    launcher = AwxLauncher(settings(server.url, templates={"restart_process": wanted}))
    kept = Kept()
    kept.launched(launcher)
    (workflow_job,) = empty.all("workflow_jobs")
    empty.start(workflow_job)
    workflows.walk(empty, workflow_job)
    assert kept.look(launcher).why == "waits for May restart_process be done? to be approved in AWX"
    assert len(empty.all("jobs")) == before
    workflows.answer_approval(empty, workflow_job, "successful")
    job = empty.all("jobs")[-1]
    assert (len(empty.all("jobs")), job["job_template"], job["limit"]) == (before + 1, template["id"], "node-a")
    given = json.loads(workflow_job["extra_vars"])
    assert given["autoglm_target"]["host"] == "node-a"
    assert json.loads(job["extra_vars"]) == given
    empty.succeed(job)
    workflows.walk(empty, workflow_job)
    assert kept.ended(launcher).rc == 0
    launcher.close()


@pytest.mark.parametrize("after", range(1, 6))
def test_a_run_that_ended_on_the_way_leaves_no_workflow_that_acts_unasked(empty: FakeAwx, after: int) -> None:
    """The requests that the playbook makes, in its order (see above); what does a launch begin after so many?"""
    template = empty.add("job_templates", name="autoglm restart_process")
    workflow = empty.add("workflow_job_templates", name="autoglm restart_process after approval")
    below = "/api/v2/workflow_job_template_nodes/"
    steps: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", below, {"workflow_job_template": workflow["id"], "identifier": "action"}),
        ("POST", below, {"workflow_job_template": workflow["id"], "identifier": "approval"}),
        ("POST", f"{below}{{approval}}/create_approval_template/", {"name": "May it?"}),
        ("POST", f"{below}{{approval}}/success_nodes/", {"id": "{action}"}),
        ("PATCH", f"{below}{{action}}/", {"unified_job_template": template["id"]}),
    ]
    empty.is_superuser = True
    numbers: dict[str, int] = {}
    for method, path, body in steps[:after]:
        filled = {key: numbers["action"] if value == "{action}" else value for key, value in body.items()}
        _, made = answer(empty, method, path.format(**numbers), [], filled)
        if "identifier" in body:
            numbers[body["identifier"]] = made["id"]
    job = empty.add("workflow_jobs", workflow_job_template=workflow["id"], status="running")
    workflows.walk(empty, job)
    assert empty.all("jobs") == []
    workflows.answer_approval(empty, job, "failed")
    assert (empty.all("jobs"), job["status"]) == ([], "failed")


def test_what_a_person_attached_stays(empty: FakeAwx) -> None:
    only = [GIVEN[0], 'awx_actions=["restart_process"]', "awx_for_people=[]", "awx_approved=[]"]
    with running(empty) as server:
        changed(set_up(server, given=only))
        key = empty.all("credentials", name="fleet-key")[0]["id"]
        for template in empty.all("job_templates"):
            template["credentials"].append(key)
            template["notification_templates_error"].append(7)
        assert changed(set_up(server, given=only)) == 0
        for template in empty.all("job_templates"):
            assert (template["credentials"], template["notification_templates_error"]) == ([key], [7])


def test_every_playbook_that_people_or_the_receiver_launch_has_a_template(empty: FakeAwx) -> None:
    """By default, and without a repository's rolling_restart where it has none."""
    empty.playbooks.remove("playbooks/rolling_restart.yml")
    given = ["awx_project_url=https://git.example.com/recovery.git", "awx_approved=[]", "awx_inventory_path="]
    with running(empty) as server:
        refused = set_up(server, given=[*given, 'awx_actions=["restart_process"]'])
        assert refused.returncode != 0
        assert "Playbook not found for project." in refused.stdout
        done = set_up(server, given=[*given, "awx_rolling_restart=false"])
        assert done.returncode == 0, done.stdout
    ours = {path.stem for path in (CHECKOUT / "playbooks").glob("*.yml")}
    not_launched = {"awx_setup", "drill", "look_at_hosts", "try_run", "rolling_restart"}
    made = {template["name"]: template["playbook"] for template in empty.all("job_templates")}
    assert made == {f"autoglm {name}": f"playbooks/{name}.yml" for name in ours - not_launched}
    asked = {template["name"]: template["survey_spec"].get("spec", []) for template in empty.all("job_templates")}
    assert asked["autoglm site"] == []
    assert [each["variable"] for each in asked["autoglm uninstall"]] == ["autoglm_uninstall", "autoglm_remove_data"]


def test_check_mode_on_an_awx_that_has_nothing_changes_nothing_and_fails_nowhere(empty: FakeAwx) -> None:
    with running(empty) as server:
        assert set_up(server, "--check").returncode == 0
        assert not any(line.startswith(("POST", "PATCH", "DELETE")) for line in server.seen)


def test_what_is_missing_is_said_before_anything_is_created(empty: FakeAwx) -> None:
    with running(empty) as server:
        for wrong in (
            ["awx_actions=[]"],
            [*GIVEN, 'awx_approved=["never_heard_of"]'],
            [*GIVEN, 'awx_notify_on=["end"]'],
        ):
            done = set_up(server, given=wrong)
            assert done.returncode != 0
            assert "Give awx_project_url" in done.stdout
        assert not any(line.startswith("POST") for line in server.seen)
