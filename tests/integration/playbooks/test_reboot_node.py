# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""reboot_node with real servers behind a real HAProxy: a host is rebooted once, and serves when it is proven well."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.integration.balancers.running import Haproxy, started
from tests.support.fake_nvml.build import compiler
from tests.support.servers.asked import INCIDENT

from .fake_reboot import FakeRebootingFleet
from .fleet import Fleet, healthy, told

GPUS = ["GPU-00000000-0000-4000-8000-000000000000", "GPU-00000000-0000-4000-8000-000000000001"]
ASKED: dict[str, Any] = {
    "autoglm_incident": {**INCIDENT, "failure_class": "gpu_lost", "action": "reboot_node", "key": "a-7"},
    "autoglm_target": {"host": "p1", "service": "", "gpu": GPUS[1], "pool": ""},
}
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may bind a boot id"),
    pytest.mark.skipif(compiler() is None, reason="no C compiler to build the fake NVML library with"),
]


class Served(SimpleNamespace):
    """A fleet, and what is in front of it."""

    fleet: FakeRebootingFleet
    haproxy: Haproxy

    def in_traffic(self) -> list[str]:
        """The servers to which requests are sent."""
        balancer = self.haproxy.open()
        return [name for name in ("p1", "p2") if balancer.state(name).admin == "active"]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """p1, whose server uses a GPU and which reboots, and p2, on which the balancer is."""
    fleet = FakeRebootingFleet(tmp_path).with_gpus()
    try:
        fleet.nvml.set("gpu0.remap.pending", 0)
        ports = {name: int(fleet.add(name)["url"].rpartition(":")[2]) for name in ("p1", "p2")}
        fleet.reboots()
        for name in ports:
            fleet.start(name)
        with started(Haproxy({name: SimpleNamespace(port=port) for name, port in ports.items()})) as haproxy:  # type: ignore[misc]
            balancer = {**haproxy.pool(), "host": "p2"}
            fleet.group_vars["autoglm_pools"] = {"chat": {"balancer": balancer}}
            yield Served(fleet=fleet, haproxy=haproxy)
    finally:
        fleet.end()


def test_a_host_is_rebooted_once_and_serves_again_when_it_is_well(served: Served) -> None:
    fleet = served.fleet
    before = fleet.pid("p1")
    done = fleet.run("reboot_node", ASKED)
    assert done.returncode == 0, told(done)
    assert "p1 was rebooted and is well. What serves again: llama." in told(done)
    assert len(fleet.orders) == 1
    assert fleet.orders[0].endswith("systemctl reboot")
    assert (fleet.note["state"], fleet.note["gpus"], fleet.note["gpu_count"]) == ("proven", GPUS, 2)
    assert (fleet.note["services"], fleet.note["incident"]) == (["llama"], "a-7")
    assert fleet.pid("p1") not in (None, before)
    assert served.in_traffic() == ["p1", "p2"]


def test_a_run_that_was_killed_after_its_order_is_followed_by_the_proof_and_a_gpu_that_is_gone_is_named(
    served: Served,
) -> None:
    fleet = served.fleet
    fleet.killed_after_its_order(GPUS)
    fleet.nvml.set("count", 1)
    proof = fleet.run("reboot_node", {**ASKED, "autoglm_gpus_back_seconds": 10})
    assert proof.returncode != 0
    assert "No reboot is ordered here: it was rebooted already" in told(proof)
    assert f"Its GPUs are not as they were: missing: {GPUS[1]}" in told(proof)
    assert "quarantine_node comes next" in told(proof)
    assert (fleet.orders, fleet.note["state"]) == ([], "unproven")
    assert fleet.note["words"] == f"Its GPUs are not as they were: missing: {GPUS[1]}"


def test_nobody_reboots_the_machine_of_his_own_run_nor_one_with_the_balancer_of_others(pool: Fleet) -> None:
    before = pool.pid("p1")
    refused = pool.run("reboot_node", {"target": "p1", "force": True})
    assert refused.returncode != 0
    assert "the reboot would end its own controller" in told(refused)
    pool.group_vars["autoglm_pools"]["chat"]["balancer"]["host"] = "p1"
    refused = pool.run("reboot_node", {"target": "p1"})
    assert refused.returncode != 0
    assert "behind it are p2/llama" in told(refused)
    assert pool.pid("p1") == before
    assert healthy(pool.service("p1")["url"])
