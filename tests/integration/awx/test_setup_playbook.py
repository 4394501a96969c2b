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

import pytest

from autoglm_recovery.receiver.runs.awx.launcher import AwxLauncher
from tests.integration.awx.driving import Kept, settings
from tests.support.fake_awx import FakeAwx, running
from tests.support.fake_awx.server import Running
from tests.support.servers.misleading import MISLEADING
from tests.support.tooling.awx_collection import awx_collection

CHECKOUT = Path(__file__).parents[3]
GIVEN = ["awx_project_url=https://git.example.com/recovery.git", 'awx_actions=["restart_process", "quarantine_node"]',
         "awx_receiver_url=https://receiver.example.com", "awx_receiver_token=a-secret-of-the-receiver",
         "awx_machine_credential=fleet-key",
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
    return f"{{{name!r}: {value if value.startswith('[') else repr(value)}}}".replace("'", '"')


def changed(done: subprocess.CompletedProcess[str]) -> int:
    """Return how many tasks changed something."""
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"changed=(\d+)", done.stdout)
    assert found
    return int(found[1])


@pytest.fixture
def empty() -> FakeAwx:
    fake = FakeAwx()
    fake.playbooks = {f"playbooks/{name}.yml" for name in ("restart_process", "quarantine_node", "rolling_restart")}
    machine = fake.all("credential_types", name="Machine")[0]
    fake.add("credentials", name="fleet-key", credential_type=machine["id"], inputs={"ssh_key_data": "$encrypted$"})
    return fake


def test_everything_is_created_once_and_may_be_launched(empty: FakeAwx, tmp_path: Path) -> None:
    inventory = tmp_path / "misleading.json"
    inventory.write_text(json.dumps({"all": {"vars": MISLEADING, "hosts": {"localhost": MISLEADING}}}))
    with running(empty) as server:
        assert changed(set_up(server)) == 9
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

        empty.add("hosts", name="node-a", inventory=template["inventory"])
        launcher = AwxLauncher(settings(server.url))
        Kept().launched(launcher)
        launcher.close()
        assert empty.all("jobs")[0]["job_template"] == template["id"]


def test_what_a_person_attached_stays(empty: FakeAwx) -> None:
    only = [word for word in GIVEN if "receiver" not in word and "machine" not in word]
    with running(empty) as server:
        assert changed(set_up(server)) == 9
        for template in empty.all("job_templates"):
            template["credentials"].append(empty.all("credentials", name="fleet-key")[0]["id"])
        attached = [list(template["credentials"]) for template in empty.all("job_templates")]
        assert changed(set_up(server, given=only)) == 0
        assert [template["credentials"] for template in empty.all("job_templates")] == attached


def test_another_organization_may_have_the_same_names(empty: FakeAwx) -> None:
    other = empty.add("organizations", name="Other")
    empty.add("inventories", name="autoglm fleet", organization=other["id"])
    with running(empty) as server:
        changed(set_up(server))
    mine = empty.all("inventories", organization=empty.all("organizations", name="Default")[0]["id"])[0]
    assert {template["inventory"] for template in empty.all("job_templates")} == {mine["id"]}


def test_a_repository_without_rolling_restart_needs_no_template_for_it(empty: FakeAwx) -> None:
    empty.playbooks.remove("playbooks/rolling_restart.yml")
    with running(empty) as server:
        refused = set_up(server)
        assert refused.returncode != 0
        assert "Playbook not found for project." in refused.stdout
        done = set_up(server, given=[*GIVEN, "awx_rolling_restart=false"])
        assert done.returncode == 0, done.stdout
    assert {template["name"] for template in empty.all("job_templates")} == {
        "autoglm restart_process",
        "autoglm quarantine_node",
    }


def test_check_mode_on_an_awx_that_has_nothing_changes_nothing_and_fails_nowhere(empty: FakeAwx) -> None:
    with running(empty) as server:
        assert set_up(server, "--check").returncode == 0
        assert not any(line.startswith(("POST", "PATCH", "DELETE")) for line in server.seen)


def test_what_is_missing_is_said_before_anything_is_created(empty: FakeAwx) -> None:
    with running(empty) as server:
        done = set_up(server, given=["awx_actions=[]"])
        assert done.returncode != 0
        assert "Give awx_project_url" in done.stdout
        assert not any(line.startswith("POST") for line in server.seen)
