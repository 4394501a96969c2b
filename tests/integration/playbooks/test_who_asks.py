# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Short names come from the command line alone, and a run that a machine started is no person's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.services import acting
from ansible_collections.autoglm.recovery.plugins.module_utils.services.registry import open_service

from autoglm_recovery.receiver.runs import ansible_settings
from tests.support.fake_nvml import FakeNvml
from tests.support.fake_nvml.plugin import make_fake_nvml
from tests.support.servers.asked import ASKED, INCIDENT, RECEIVERS
from tests.support.servers.misleading import MISLEADING
from tests.support.tooling.awx_collection import awx_collection

from .fleet import Fleet, told

__all__ = ["make_fake_nvml"]

# What needs more than a process with a PID file, or another machine, is refused here; so is a shutdown without reason.
REFUSED = {"drill", "isolate_and_snapshot", "reboot_node", "safe_shutdown", "switch_comm_path"}
# One that is added to the table is run too. Those for which there must be a balancer are run in front of one.
ON_ONE_HOST = sorted(ASKED.keys() - {"awx_setup", "rolling_restart", "shed_load"} - REFUSED)


@pytest.fixture
def misleading(fleet: Fleet) -> Fleet:
    """One host in an inventory that misleads by every name, for all and for the host."""
    fleet.add("p1")
    fleet.group_vars.update(MISLEADING)
    fleet.hosts["p1"].update(MISLEADING)
    return fleet


@pytest.fixture
def driver(make_fake_nvml: Callable[..., FakeNvml]) -> dict[str, str]:
    """Two GPUs that are well, for a playbook that asks for one."""
    return {"LD_LIBRARY_PATH": make_fake_nvml("l40s", gpus=2).environment()["LD_LIBRARY_PATH"]}


@pytest.mark.parametrize("playbook", ON_ONE_HOST)
def test_what_is_launched_does_what_it_would_do_under_any_inventory(
    misleading: Fleet, driver: dict[str, str], playbook: str
) -> None:
    before = misleading.start("p1")
    extra, tells = ASKED[playbook]
    done = misleading.run(playbook, extra, **ansible_settings.ENVIRONMENT, **driver)
    assert done.returncode == 0, told(done)
    assert tells in told(done)
    assert misleading.pid("p1") == before


@pytest.mark.parametrize("playbook", sorted(REFUSED))
def test_what_a_service_is_not_made_for_is_refused(misleading: Fleet, playbook: str) -> None:
    before = misleading.start("p1")
    extra, tells = ASKED[playbook]
    done = misleading.run(playbook, extra, **ansible_settings.ENVIRONMENT)
    assert done.returncode != 0
    assert "Refused, nothing was changed" in told(done)
    assert tells in told(done)
    assert misleading.pid("p1") == before


@pytest.mark.parametrize(
    "extra",
    [
        # Event-Driven Ansible, whatever else its rulebook gives.
        {"target": "p1", "ansible_eda": {"event": {"alert": {}}}},
        # What strangers wrote is in it: nothing of it is evaluated, or this would make it no variable that is defined.
        {"target": "p1", "ansible_eda": "{{ of_a_stranger }}", "force": True},
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


def test_a_person_checks_what_is_there(misleading: Fleet) -> None:
    misleading.start("p1")
    done = misleading.run("check_service", {"target": "p1"})
    assert done.returncode == 0, told(done)
    assert "for p1 => (item=llama)" in told(done)


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
    extra, tells = ASKED["awx_setup"]
    done = misleading.run("awx_setup", extra, ANSIBLE_COLLECTIONS_PATH=str(awx_collection()))
    assert done.returncode != 0
    assert tells in told(done)


def test_a_pool_is_restarted_whatever_the_inventory_calls_so(pool: Fleet) -> None:
    pool.group_vars.update(MISLEADING)
    before = {host: pool.pid(host) for host in pool.hosts}
    extra, tells = ASKED["rolling_restart"]
    done = pool.run("rolling_restart", extra)
    assert done.returncode == 0, told(done)
    assert tells in told(done)
    after = {host: pool.pid(host) for host in pool.hosts}
    assert all(after[host] not in {None, pid} for host, pid in before.items())

    done = pool.run("rolling_restart", extra, "--limit", "p1")

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
