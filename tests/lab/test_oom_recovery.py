# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole loop: the kernel kills a server that ran out of memory, and the receiver brings it back."""

from __future__ import annotations

from tests.support.servers import account
from tests.support.servers.traffic import Traffic

from . import engine, faults
from .expectations import Footprint, last_end, starts
from .laboratory import Lab
from .receiver import Receiver

# A request may be lost only if its answer had begun on the server that was killed, which has this many slots.
SLOTS = 4


def test_a_server_killed_for_memory_is_healed_on_its_host_alone(lab: Lab, traffic: Traffic, receiver: Receiver) -> None:
    assert receiver.user() == account.UID  # and its login is root nowhere
    before = {node.name: Footprint.of(node) for node in lab.nodes}
    lost_before, errors_before = traffic.counts.lost, traffic.counts.errors.copy()

    kill = faults.out_of_memory(lab.node_a)
    incident = receiver.wait_until_over(lab.node_a)

    assert "(llama-server)" in kill.line
    assert "status=9/KILL" in last_end(lab.node_a)
    assert engine.generates(lab.node_a)

    assert incident["failure_class"] == "oom"
    assert incident["state"] == "resolved"
    assert [(run["action"], run["host"], run["state"]) for run in incident["runs"]] == [
        ("restart_process", "node-a", "succeeded")
    ]
    assert [found["host"] for found in receiver.incidents()] == ["node-a"]
    assert {"alert", "committed", "classified", "decided", "run_started", "task", "proof", "resolved"} <= {
        line["kind"] for line in incident["timeline"]
    }

    after = {node.name: Footprint.of(node) for node in lab.nodes}
    assert after["node-a"].invocation != before["node-a"].invocation
    assert len(after["node-a"].evidence - before["node-a"].evidence) == 1
    assert after["node-b"] == before["node-b"]

    assert traffic.counts.lost - lost_before <= SLOTS, traffic.counts.errors - errors_before


def test_a_receiver_killed_in_mid_run_neither_loses_nor_doubles_the_incident(lab: Lab, receiver: Receiver) -> None:
    started, untouched = starts(lab.node_a), Footprint.of(lab.node_b)

    faults.out_of_memory(lab.node_a)
    in_mid_run = receiver.wait_for_line(lab.node_a, "task")
    receiver.kill()
    assert [run["state"] for run in in_mid_run["runs"]] == ["running"]
    receiver.start()
    incident = receiver.wait_until_over(lab.node_a)

    assert engine.generates(lab.node_a)
    assert incident["state"] == "resolved"
    assert [found["host"] for found in receiver.incidents()] == ["node-a"]
    *cut, last = incident["runs"]
    assert last["state"] == "succeeded"
    # Adopted and finished, or cut off: then it says so, and exactly one further attempt was made.
    assert [run["state"] for run in cut] in ([], ["lost"])
    assert starts(lab.node_a) - started == 1
    assert Footprint.of(lab.node_b) == untouched
