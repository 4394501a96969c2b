# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that goes out of use and comes back: real servers behind a real HAProxy, and the other playbooks meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.integration.balancers.running import Haproxy, started
from tests.support.servers.asked import INCIDENT
from tests.support.servers.ports import free_port

from .fleet import Fleet, healthy, told

PERSON = {"target": "p1", "reason": "new memory"}
RECEIVERS = {
    "autoglm_incident": {**INCIDENT, "key": "a-7", "fence": 1000, "run": "r1", "root_cause": "Xid 79 on 0000:3b:00"},
    "autoglm_target": {"host": "p1", "service": "llama", "gpu": "GPU-1"},
    "autoglm_lock_wait": 0,
}


@dataclass
class Pool:
    """p1 and p2 serve behind HAProxy; this machine has no GPU, which the inventory says."""

    fleet: Fleet
    haproxy: Haproxy

    def admin(self, name: str = "p1") -> str:
        return self.haproxy.open().state(name).admin

    def mark(self) -> dict[str, Any] | None:
        path = Path(self.fleet.hosts["p1"]["autoglm_taken_out_dir"]) / "quarantine"
        return json.loads(path.read_text()) if path.exists() else None


@pytest.fixture
def pool(fleet: Fleet) -> Iterator[Pool]:
    ports = {name: int(fleet.add(name)["url"].rpartition(":")[2]) for name in ("p1", "p2")}
    for name in ports:
        fleet.start(name)
        fleet.hosts[name]["autoglm_taken_out_dir"] = str(fleet.directory / f"notes-{name}")
        fleet.hosts[name]["autoglm_expected_gpus"] = 0
    with started(Haproxy({name: SimpleNamespace(port=port) for name, port in ports.items()})) as haproxy:  # type: ignore[misc]
        balancer = {**haproxy.pool(), "host": "p2", "metrics_url": "http://127.0.0.1:1"}
        fleet.group_vars["autoglm_pools"] = {"chat": {"balancer": balancer}}
        yield Pool(fleet, haproxy)


def test_a_host_goes_out_of_use_stays_out_over_other_runs_and_comes_back_by_a_person(pool: Pool) -> None:
    fleet = pool.fleet
    pid = fleet.pid("p1")
    done = fleet.run("quarantine_node", PERSON)
    assert done.returncode == 0, told(done)
    assert "no run of ours acts on it, and its services go on without traffic" in told(done)
    mark = pool.mark()
    assert mark is not None
    assert (mark["reason"], mark["incident"]) == ("new memory", "")
    assert (pool.admin(), pool.admin("p2")) == ("drained", "active")
    assert fleet.pid("p1") == pid
    assert healthy(fleet.service("p1")["url"]), "left running for whoever looks into it"

    refused = fleet.run("restart_process", {"target": "p1", "force": True})
    assert refused.returncode != 0
    assert "p1 is under quarantine since " in told(refused)
    assert fleet.pid("p1") == pid
    assert "Only a person, or the incident that ordered it" in told(fleet.run("return_node", RECEIVERS))
    assert pool.admin() == "drained"

    back = fleet.run("return_node", {"target": "p1"})
    assert back.returncode == 0, told(back)
    assert (pool.mark(), pool.admin()) == (None, "active")
    assert list(Path(fleet.hosts["p1"]["autoglm_taken_out_dir"]).iterdir()) == []


def test_what_cannot_be_proven_well_does_not_come_back_and_what_a_person_drained_stays_out(pool: Pool) -> None:
    fleet = pool.fleet
    pool.haproxy.open().drain("p1")
    done = fleet.run("quarantine_node", RECEIVERS)
    assert done.returncode == 0, told(done)
    mark = pool.mark()
    assert mark is not None
    assert mark["incident"] == "a-7"
    assert "Xid 79 on 0000:3b:00" in mark["reason"]
    assert "GPU-1" in mark["reason"]

    unproven = fleet.run("check_service", RECEIVERS)
    assert unproven.returncode != 0
    assert "p1 is under quarantine since " in told(unproven)
    assert "TASK [Read the state of the service]" not in told(unproven), "an incident is not over because it generates"

    del fleet.hosts["p1"]["autoglm_expected_gpus"]
    unread = fleet.run("return_node", RECEIVERS)
    assert unread.returncode != 0
    assert "The GPUs of p1 are unknown" in told(unread)
    assert pool.mark() == mark

    back = fleet.run("return_node", {"target": "p1", "force": True})
    assert back.returncode == 0, told(back)
    assert (pool.mark(), pool.admin()) == (None, "drained")
    assert "serves, but gets no requests" in told(back)


def test_nobody_is_kept_out_of_use_without_a_reason_nor_the_last_one_that_serves(pool: Pool) -> None:
    refused = pool.fleet.run("quarantine_node", {"target": "p1"})
    assert refused.returncode != 0
    assert "say why" in told(refused)
    pool.haproxy.open().drain("p2")
    refused = pool.fleet.run("quarantine_node", PERSON)
    assert refused.returncode != 0
    assert "min_available" in told(refused)
    assert (pool.mark(), pool.admin()) == (None, "active")


def test_a_host_that_is_gone_leaves_its_balancers_and_the_run_says_that_it_was_not_marked(pool: Pool) -> None:
    pool.fleet.hosts["p1"].update(
        ansible_connection="ssh", ansible_host="127.0.0.1", ansible_port=free_port(), ansible_timeout=5
    )
    done = pool.fleet.run("quarantine_node", PERSON)
    assert done.returncode != 0
    assert "p1 cannot be reached" in told(done)
    assert "The mark of its quarantine could NOT be written" in told(done)
    assert (pool.mark(), pool.admin()) == (None, "drained")
