# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""clear_queue_and_reset where the engine has no order for it, or nobody takes one.

What a vLLM in dev mode does with the order is in tests/unit/plugins/module_utils/engines/test_vllm.py.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.integration.balancers.running import Haproxy, started
from tests.integration.engines.streams import Stream
from tests.lab.places import CHECKOUT
from tests.support.servers.asked import RECEIVERS
from tests.support.servers.freezing import freeze
from tests.support.servers.waiting import until

from .fleet import Fleet, told

CLEAR = "clear_queue_and_reset"
ORDER = "End its requests and reset its scheduler, by the engine's own order"


@pytest.fixture
def dead_core(fleet: Fleet) -> Iterator[tuple[Fleet, Haproxy]]:
    """p1, a fake vLLM without dev mode whose core is dead behind a living API until it is started anew; with p2, which
    serves, behind a real HAProxy."""
    sick = fleet.directory / "sick"
    sick.touch()
    ports = {name: int(fleet.add(name)["url"].rpartition(":")[2]) for name in ("p1", "p2")}
    words = [sys.executable, "-m", "tests.support.fake_vllm", str(ports["p1"]), str(sick)]
    fleet.hosts["p1"]["autoglm_services"][0].update(
        engine="vllm", stall_seconds=3, working_dir=str(CHECKOUT), start_command=words
    )
    for name in ports:
        fleet.start(name)
    with started(Haproxy({name: SimpleNamespace(port=port) for name, port in ports.items()})) as haproxy:  # type: ignore[misc]
        fleet.group_vars["autoglm_pools"] = {"chat": {"balancer": haproxy.pool()}}
        fleet.group_vars["autoglm_taken_out_dir"] = str(fleet.directory / "taken-out")
        yield fleet, haproxy


def evidence(fleet: Fleet) -> list[Path]:
    return list((fleet.directory / "evidence").glob("*"))


def taken_out(fleet: Fleet) -> list[Path]:
    return list((fleet.directory / "taken-out").glob("*"))


def test_what_has_no_order_for_it_is_restarted_after_a_snapshot_and_that_is_told(
    dead_core: tuple[Fleet, Haproxy],
) -> None:
    fleet, haproxy = dead_core
    before = fleet.pid("p1")
    done = fleet.run(CLEAR, RECEIVERS, "--check")
    assert done.returncode == 0, told(done)
    assert "would be restarted if it did not generate after that" in told(done)
    assert (fleet.pid("p1"), evidence(fleet), taken_out(fleet)) == (before, [], [])

    done = fleet.run(CLEAR, RECEIVERS)

    assert done.returncode == 0, told(done)
    assert f"TASK [{ORDER}]" in done.stdout
    assert "llama on p1 is restarted: /pause?mode=abort: not supported by this engine as it was started" in told(done)
    assert "llama on p1 was repaired by a restart." in told(done)
    assert "generates again in the same process" not in told(done)
    assert fleet.pid("p1") not in {None, before}
    assert len(evidence(fleet)) == 1, "of the old process alone, before anything was changed"
    assert done.stdout.index("TASK [Save the evidence]") < done.stdout.index("TASK [Send it nothing new]")
    assert done.stdout.index("TASK [Send it nothing new]") < done.stdout.index(f"TASK [{ORDER}]")
    assert haproxy.open().state("p1").admin == "active"
    assert taken_out(fleet) == []


def test_a_stopped_process_is_told_nothing_and_restarted(fleet: Fleet) -> None:
    fleet.add("p1")
    before = fleet.start("p1")
    freeze(before)
    done = fleet.run(CLEAR, RECEIVERS)
    assert done.returncode == 0, told(done)
    assert "its process is stopped, and takes no order" in told(done)
    assert f"TASK [{ORDER}]" not in done.stdout
    assert "llama on p1 was repaired by a restart." in told(done)
    assert fleet.pid("p1") not in {None, before}


def test_a_slot_that_a_client_does_not_read_is_progress_and_is_not_touched(fleet: Fleet) -> None:
    """Its tokens are made all the same: a person who takes it for stuck is told so, and force changes nothing."""
    port = int(fleet.add("p1")["url"].rpartition(":")[2])
    before = fleet.start("p1")
    streams = [Stream(port, 8000) for _ in range(3)]
    until("both slots work", lambda: sum(stream.tokens > 0 for stream in streams) == 2)
    done = fleet.run(CLEAR, {"target": "p1", "force": True})
    os.kill(before, signal.SIGKILL)
    assert done.returncode == 0, told(done)
    assert "not cleared" in told(done)
    assert "Whoever wants a new process all the same asks for restart_process" in told(done)
    assert fleet.pid("p1") == before
    assert evidence(fleet) == []


def test_what_cannot_be_read_is_refused_whoever_asks(fleet: Fleet) -> None:
    service = fleet.add("p1")
    before = fleet.start("p1")
    service.update(url="https://127.0.0.1:9", ca_path="/nowhere/ca.pem")
    done = fleet.run(CLEAR, {"target": "p1", "force": True})
    assert done.returncode != 0
    assert "llama on p1 is not cleared, as whether it is broken could not be read" in told(done)
    assert fleet.pid("p1") == before
