# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Short names come from the command line alone, and a run that a machine started is no person's."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.services import acting
from ansible_collections.autoglm.recovery.plugins.module_utils.services.registry import open_service

from tests.tooling.awx_collection import awx_collection

from .fleet import INCIDENT, Fleet, told

# Every short name of the documentation, in somebody's inventory, where it means something else or would do harm.
WRONG = {
    "target": "elsewhere",
    "service": "another",
    "force": True,
    "pool": "batch",
    "at_once": "100%",
    "drain_timeout": 0,
    "ready_timeout": 0,
    "stop_timeout": 0,
    "host": "elsewhere",
    "name": "another",
    "awx_project_url": "https://elsewhere.example/x.git",
    "awx_receiver_url": "https://elsewhere.example",
    "autoglm_incident": {"id": 1, "fence": 1},
    "autoglm_target": {"host": "elsewhere", "service": "another"},
    "autoglm_force": True,
    "autoglm_asked_by_person": True,
    "autoglm_leave_alone": False,
    "autoglm_not_restarted": "by nobody",
    "autoglm_taken_out": ["llama"],
    "autoglm_stopping": "llama",
    "autoglm_ready_timeout": 0,
    "autoglm_wanted_pool": "batch",
}
RECEIVERS = {"autoglm_incident": INCIDENT, "autoglm_target": {"host": "p1", "service": "llama"}}


@pytest.fixture
def misleading(fleet: Fleet) -> Fleet:
    """One host in an inventory that has all short names, for all, for the group and for the host."""
    fleet.add("p1")
    fleet.group_vars.update(WRONG)
    fleet.hosts["p1"].update(WRONG)
    return fleet


@pytest.mark.parametrize(
    "extra",
    [
        RECEIVERS,
        # Event-Driven Ansible, whatever else its rulebook gives.
        {"target": "p1", "ansible_eda": {"event": {"alert": {}}}},
        {"target": "p1", "ansible_eda": {"event": {"alert": {}}}, "force": True},
    ],
)
def test_a_machine_is_no_person(misleading: Fleet, extra: dict[str, Any]) -> None:
    before = misleading.start("p1")
    done = misleading.run("restart_process", extra)
    assert done.returncode == 0, told(done)
    assert "Already healthy, not restarted" in told(done)
    assert misleading.pid("p1") == before


@pytest.mark.parametrize("extra", [{"target": "p1"}, {**RECEIVERS, "force": "true"}])
def test_a_person_gets_the_restart(misleading: Fleet, extra: dict[str, Any]) -> None:
    before = misleading.start("p1")
    done = misleading.run("restart_process", extra)
    assert done.returncode == 0, told(done)
    assert misleading.pid("p1") != before


@pytest.mark.parametrize("playbook", ["restart_process", "check_service"])
def test_what_is_launched_with_facts_as_variables_is_refused(misleading: Fleet, playbook: str) -> None:
    """As by a template of AWX whose project has no ansible.cfg; nothing else would tell."""
    misleading.launched_as_it_should_be = False
    done = misleading.run(playbook, RECEIVERS)
    assert done.returncode != 0
    assert "Refused, nothing was changed: this run was launched for an incident" in told(done)
    assert 'write the lines "[defaults]" and "inject_facts_as_vars = False" into the file ansible.cfg' in told(done)
    assert not (misleading.directory / "evidence").exists()


def test_what_could_not_be_read_is_left_alone(misleading: Fleet) -> None:
    """The group's force lifts no refusal: a process lives, and nobody can ask it anything."""
    service = misleading.hosts["p1"]["autoglm_services"][0]
    service.update(url="https://127.0.0.1:9", ca_path="/nowhere/ca.pem", start_command=["/bin/sleep", "600"])
    before = acting.start(open_service(service, 5.0), 10).main_pid
    done = misleading.run("restart_process", RECEIVERS)
    assert done.returncode != 0
    assert "Refused, nothing was changed: whether llama is broken could not be read" in told(done)
    assert misleading.pid("p1") == before


@pytest.mark.parametrize(
    ("playbook", "extra", "why"),
    [
        ("restart_process", {}, "no target was given"),
        ("restart_process", {"target": "p1", "service": "other"}, 'has no service "other"'),
        ("rolling_restart", {}, "no pool was given"),
    ],
)
def test_what_the_inventory_calls_so_is_not_asked(
    misleading: Fleet, playbook: str, extra: dict[str, Any], why: str
) -> None:
    done = misleading.run(playbook, extra)
    assert done.returncode != 0
    assert why in told(done)


def test_awx_is_not_set_up_from_what_the_inventory_calls_so(misleading: Fleet) -> None:
    done = misleading.run("awx_setup", {}, ANSIBLE_COLLECTIONS_PATH=str(awx_collection()))
    assert done.returncode != 0
    assert "Give awx_project_url" in told(done)


def test_a_pool_is_restarted_whatever_the_inventory_calls_so(pool: Fleet) -> None:
    pool.group_vars.update(WRONG)
    before = {host: pool.pid(host) for host in pool.hosts}
    done = pool.run("rolling_restart", {"pool": "chat"})
    assert done.returncode == 0, told(done)
    after = {host: pool.pid(host) for host in pool.hosts}
    assert all(after[host] not in {None, pid} for host, pid in before.items())

    done = pool.run("rolling_restart", {"pool": "chat"}, "--limit", "p1")

    assert done.returncode == 0, told(done)
    assert pool.pid("p1") != after["p1"]
    assert pool.pid("p2") == after["p2"]


@pytest.mark.parametrize("name", ["007", "true", "1e3"])
def test_a_name_that_looks_like_something_else_is_a_name(fleet: Fleet, name: str) -> None:
    """Refused for what is wrong with it, which shows that host and service were found by their texts."""
    fleet.add(name, called=name, url="")
    receivers = {"autoglm_target": {"host": name, "service": name}, "autoglm_incident": INCIDENT}
    for done in (
        fleet.run("restart_process", {}, "-e", f"target={name} service={name}"),
        fleet.run("restart_process", receivers),
    ):
        assert f"service {name} of {name} needs engine, url" in told(done)
