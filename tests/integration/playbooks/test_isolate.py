# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service in which somebody else is: cut off from the network, kept for a look, and given back by a person alone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.isolation.cutting import TABLE
from ansible_collections.autoglm.recovery.plugins.module_utils.services.ownership import MARK

from tests.integration.balancers.running import Haproxy, started
from tests.support.servers.asked import INCIDENT
from tests.support.servers.leftovers import carrying
from tests.support.servers.own_network import OwnNetwork, own_network

from .fleet import Fleet, healthy, told

RECEIVERS = {
    "autoglm_incident": {
        **INCIDENT, "action": "isolate_and_snapshot", "failure_class": "intrusion", "key": "a-7", "fence": 1000,
        "run": "r1", "root_cause": "a shell in llama on p1", "host_wide": True,
    },
    "autoglm_target": {"host": "p1", "service": "llama"},
    "autoglm_lock_wait": 0,
}  # fmt: skip


def in_its_own_network(fleet: Fleet, network: OwnNetwork) -> dict[str, Any]:
    """Give p1 a service in a network namespace, as a container has it."""
    service: dict[str, Any] = fleet.add("p1")
    port = service["url"].rpartition(":")[2]
    command = [network.address if word == "127.0.0.1" else word for word in service["start_command"]]
    service.update(url=f"http://{network.address}:{port}", start_command=network.command(*command))
    fleet.start("p1")
    return service


@dataclass
class Pool:
    """p1, which is in a network of its own, and p2 behind HAProxy; ``here`` is where notes are."""

    fleet: Fleet
    haproxy: Haproxy
    network: OwnNetwork
    url: str
    notes: Path

    def run(self, playbook: str = "isolate_and_snapshot", **extra: Any) -> subprocess.CompletedProcess[str]:
        return self.fleet.run(playbook, {"autoglm_isolation_dir": str(self.notes), **extra})

    def stands(self) -> tuple[bool, str, int]:
        """Whether p1 answers, how it is in its balancer, and how many notes there are."""
        notes = list(self.notes.iterdir()) if self.notes.exists() else []
        return healthy(self.url), self.haproxy.open().state("p1").admin, len(notes)


@pytest.fixture
def pool(fleet: Fleet) -> Iterator[Pool]:
    with own_network() as network:
        url = in_its_own_network(fleet, network)["url"]
        # HAProxy of these tests knows ports of this machine: another server stands there for p1.
        ports = {name: int(fleet.add(name)["url"].rpartition(":")[2]) for name in ("p2", "p3")}
        for name in ports:
            fleet.start(name)
        fleet.hosts.pop("p3")
        fleet.hosts["p1"].update(autoglm_taken_out_dir=str(fleet.directory / "notes"), autoglm_expected_gpus=0)
        servers = {"p1": SimpleNamespace(port=ports["p3"]), "p2": SimpleNamespace(port=ports["p2"])}
        with started(Haproxy(servers)) as haproxy:  # type: ignore[misc,arg-type]
            balancer = {**haproxy.pool(), "host": "p2", "metrics_url": "http://127.0.0.1:1"}
            fleet.group_vars["autoglm_pools"] = {"chat": {"balancer": balancer}}
            yield Pool(fleet, haproxy, network, url, fleet.directory / "isolation")
        for process, mark in carrying(MARK):
            if mark.startswith(f"{fleet.directory}/p3.pid:"):
                process.kill()


def test_a_service_is_cut_off_for_an_incident_and_gets_its_network_back_by_a_person(pool: Pool) -> None:
    fleet = pool.fleet
    pid = fleet.pid("p1")
    done = pool.run(**RECEIVERS)
    assert done.returncode != 0, "a person is called, whatever the alert does"
    assert "Isolated on p1, and a person has to look. llama: cut (" in told(done), told(done)
    assert pool.stands() == (False, "drained", 1)
    assert fleet.pid("p1") == pid
    assert json.loads(next(pool.notes.iterdir()).read_text())["incident"] == "a-7"
    mark = json.loads((fleet.directory / "notes/quarantine").read_text())
    assert mark["reason"].startswith("an intruder is suspected, look before anything is started anew: incident a-7")
    (bundle,) = (each for each in (fleet.directory / "evidence").iterdir() if each.is_dir())
    assert {"connections.txt", "programs.txt"} <= {each.name for each in bundle.iterdir()}

    back = pool.run(target="p1", reconnect=True)
    assert back.returncode == 0, told(back)
    assert pool.stands() == (True, "drained", 0), "return_node gives it back"
    assert TABLE not in pool.network.rules()
    assert (fleet.directory / "notes/quarantine").exists()


@pytest.mark.thorough
def test_the_guard_holds_and_nobody_but_a_person_brings_back_what_is_isolated(pool: Pool) -> None:
    pool.haproxy.open().drain("p2")
    refused = pool.run(**RECEIVERS)
    assert refused.returncode != 0
    assert "min_available" in told(refused), "the last one that serves is taken away by a person alone"
    assert pool.stands() == (True, "active", 0)
    pool.haproxy.open().ready("p2")

    assert pool.run(**RECEIVERS).returncode != 0
    again = pool.run(**RECEIVERS)
    assert "it is already: cut off from the network since " in told(again)
    assert pool.stands() == (False, "drained", 1)
    kept = pool.run("return_node", target="p1", force=True)
    assert kept.returncode != 0
    assert "was isolated for a look: cut off from the network since " in told(kept)
    nobody = pool.run(**RECEIVERS, reconnect=True)
    assert "only a person gives the network back" in told(nobody)
    assert pool.stands() == (False, "drained", 1)
    assert pool.run(target="p1", reconnect=True).returncode == 0
    back = pool.run("return_node", target="p1")
    assert back.returncode == 0, told(back)
    assert pool.stands() == (True, "active", 0)
