# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""reset_gpu with real servers behind a real HAProxy, on GPUs that are repaired by a reset, or are not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from tests.integration.balancers.running import Haproxy, started
from tests.support.fake_nvml.build import compiler
from tests.support.servers.asked import INCIDENT

from .fleet import healthy, told
from .gpus import GpuFleet

GPU = "GPU-00000000-0000-4000-8000-000000000000"
ASKED: dict[str, Any] = {
    "autoglm_incident": {**INCIDENT, "failure_class": "gpu_fault", "action": "reset_gpu"},
    "autoglm_target": {"host": "p1", "service": "", "gpu": GPU, "pool": ""},
}
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a /dev with a GPU"),
    pytest.mark.skipif(compiler() is None, reason="no C compiler to build the fake NVML library with"),
]


class Served(SimpleNamespace):
    """A fleet, and what is in front of it."""

    fleet: GpuFleet
    haproxy: Haproxy

    def in_traffic(self) -> list[str]:
        """The servers to which requests are sent."""
        balancer = self.haproxy.open()
        return [name for name in ("p1", "p2") if balancer.state(name).admin == "active"]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """p1, whose server uses a GPU that waits for a reset, and p2."""
    fleet = GpuFleet(tmp_path).with_gpus()
    try:
        ports = {name: int(fleet.add(name)["url"].rpartition(":")[2]) for name in ("p1", "p2")}
        for name in ports:
            fleet.start(name)
        with started(Haproxy({name: SimpleNamespace(port=port) for name, port in ports.items()})) as haproxy:  # type: ignore[misc]
            fleet.group_vars["autoglm_pools"] = {"chat": {"balancer": haproxy.pool()}}
            yield Served(fleet=fleet, haproxy=haproxy)
    finally:
        fleet.end()


def test_a_gpu_is_reset_and_what_used_it_serves_again(served: Served) -> None:
    fleet = served.fleet
    before = {name: fleet.pid(name) for name in ("p1", "p2")}
    done = fleet.run("reset_gpu", ASKED)
    assert done.returncode == 0, told(done)
    assert f"GPU {GPU} was reset and is well; what serves again: llama" in told(done)
    assert fleet.smi.orders == [f"-i {GPU} -pm 0", f"--gpu-reset -i {GPU}", f"-i {GPU} -pm 1"]
    assert fleet.pid("p1") not in (None, before["p1"])
    assert fleet.pid("p2") == before["p2"]
    assert served.in_traffic() == ["p1", "p2"]
    assert [path for path in fleet.notes.rglob("*") if path.is_file()] == []


def test_refused_by_nvidia_smi_what_used_the_gpu_serves_as_before(served: Served) -> None:
    fleet = served.fleet
    fleet.smi.plays("in_use")
    done = fleet.run("reset_gpu", ASKED)
    assert done.returncode != 0
    assert "is not repaired (refused)" in told(done)
    assert "In use by another client" in told(done)
    assert healthy(fleet.service("p1")["url"])
    assert served.in_traffic() == ["p1", "p2"]
    assert fleet.smi.orders[-1] == f"-i {GPU} -pm 1"
    assert [path for path in fleet.notes.rglob("*") if path.is_file()] == []


def test_on_a_gpu_that_is_not_well_nothing_is_started_and_the_next_run_mends_it(served: Served) -> None:
    """As after a reboot has repaired what the reset did not."""
    fleet = served.fleet
    fleet.smi.plays("still_pending")
    done = fleet.run("reset_gpu", ASKED)
    assert done.returncode != 0
    assert "is not repaired (done): rows wait for a reset to be replaced" in told(done)
    assert "Not started, and out of traffic: llama" in told(done)
    assert not healthy(fleet.service("p1")["url"])
    assert served.in_traffic() == ["p2"]
    fleet.nvml.set("gpu0.remap.pending", 0)
    mended = fleet.run("reset_gpu", ASKED)
    assert mended.returncode == 0, told(mended)
    assert "A run before has left stopped: llama. It is started." in told(mended)
    assert served.in_traffic() == ["p1", "p2"]
    assert [path for path in fleet.notes.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"target": "p1"}, "name one GPU by UUID or PCI address"),
        ({"target": "p1", "gpu": "GPU-9\n"}, "name one GPU by UUID or PCI address"),
        ({"target": "p1", "gpu": GPU, "autoglm_services": []}, "is no service of this host's autoglm_services"),
    ],
)
def test_what_is_refused(served: Served, extra: dict[str, Any], words: str) -> None:
    before = served.fleet.pid("p1")
    done = served.fleet.run("reset_gpu", extra)
    assert done.returncode != 0
    assert words in told(done)
    assert served.fleet.pid("p1") == before
    assert before is not None
    assert psutil.pid_exists(before)
    assert served.fleet.smi.orders == []
