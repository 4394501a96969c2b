# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host whose services are shut down on purpose and come back by a person: real servers behind a real HAProxy."""

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

from .fleet import Fleet, healthy, told

RECEIVERS = {
    "autoglm_incident": {
        **INCIDENT, "action": "safe_shutdown", "failure_class": "unknown", "key": "a-7", "fence": 1000, "run": "r1",
        "root_cause": "SomethingOdd on p1", "host_wide": True,
    },
    "autoglm_target": {"host": "p1", "service": "llama"},
    "autoglm_lock_wait": 0,
}  # fmt: skip
BACK = "To start, prove and give back: ansible-playbook autoglm.recovery.return_node -e target=p1"


@dataclass
class Pool:
    """p1 and p2 serve behind HAProxy; this machine has no GPU, which the inventory says."""

    fleet: Fleet
    haproxy: Haproxy

    def admin(self, name: str = "p1") -> str:
        return self.haproxy.open().state(name).admin

    def serves(self, name: str = "p1") -> bool:
        return healthy(self.fleet.service(name)["url"])

    @property
    def path(self) -> Path:
        return Path(self.fleet.hosts["p1"]["autoglm_taken_out_dir"]) / "quarantine"

    def mark(self) -> dict[str, Any] | None:
        return json.loads(self.path.read_text()) if self.path.exists() else None


@pytest.fixture
def pool(fleet: Fleet, tmp_path: Path) -> Iterator[Pool]:
    ports = {name: int(fleet.add(name)["url"].rpartition(":")[2]) for name in ("p1", "p2")}
    for name in ports:
        fleet.start(name)
        fleet.hosts[name]["autoglm_taken_out_dir"] = str(fleet.directory / f"notes-{name}")
        fleet.hosts[name]["autoglm_expected_gpus"] = 0
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "adapter.bin").write_bytes(b"what was learned today")
    fleet.hosts["p1"]["autoglm_services"][0]["checkpoint"] = {"store": str(tmp_path / "store"), "source": str(weights)}
    with started(Haproxy({name: SimpleNamespace(port=port) for name, port in ports.items()})) as haproxy:  # type: ignore[misc]
        balancer = {**haproxy.pool(), "host": "p2", "metrics_url": "http://127.0.0.1:1"}
        fleet.group_vars["autoglm_pools"] = {"chat": {"balancer": balancer}}
        yield Pool(fleet, haproxy)


def test_a_host_is_shut_down_for_an_incident_stays_so_and_comes_back_as_it_was_said(pool: Pool) -> None:
    fleet = pool.fleet
    pool.haproxy.open().drain("p2")
    planned = fleet.run("safe_shutdown", {"target": "p1", "reason": "smoke", "force": True}, "--check")
    assert planned.returncode == 0, told(planned)
    assert "Would shut down on p1: llama." in told(planned), "a person may take the last one that serves"
    assert (pool.mark(), pool.admin(), pool.serves()) == (None, "active", True)

    pool.haproxy.open().ready("p2")
    done = fleet.run("safe_shutdown", RECEIVERS)
    assert done.returncode == 0, told(done)
    assert "Shut down on p1: llama. Saved: llama: evidence in /" in told(done)
    assert f"checkpoint in {fleet.directory}/store" in told(done)
    assert BACK in told(done)
    mark = pool.mark()
    assert mark is not None
    assert mark["incident"] == "a-7"
    assert mark["reason"].startswith("shut down on purpose: incident a-7, unknown: SomethingOdd on p1")
    assert (pool.admin(), pool.admin("p2"), pool.serves(), pool.serves("p2")) == ("drained", "active", False, True)

    evidence = sorted((fleet.directory / "evidence").rglob("*"))
    again = fleet.run("safe_shutdown", RECEIVERS)
    assert again.returncode == 0, told(again)
    assert "Already down, nothing was stopped on p1: llama. Nothing new was saved." in told(again)
    assert (pool.mark(), sorted((fleet.directory / "evidence").rglob("*"))) == (mark, evidence)

    back = fleet.run("return_node", {"target": "p1"})
    assert back.returncode == 0, told(back)
    assert (pool.mark(), pool.admin(), pool.serves()) == (None, "active", True)
