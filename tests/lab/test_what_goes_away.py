# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node, the monitoring and the state directory go away: silence is no health, and what was lost disarms nothing.

That Prometheus stays away until its alerts expire, minutes in the lab, is in tests/integration/decisions.
"""

from __future__ import annotations

import httpx

from tests.support.servers.traffic import Traffic

from . import engine, faults
from .expectations import Footprint
from .laboratory import Lab
from .receiver import Receiver
from .steady import wait_until_steady
from .waiting import wait_for

SEEN_SECONDS = 120
RESTARTED = ("prometheus-alertmanager", "prometheus")


def test_a_node_that_goes_is_an_incident_until_its_service_says_otherwise(lab: Lab, receiver: Receiver) -> None:
    untouched = Footprint.of(lab.node_b)
    with faults.unplugged(lab.node_a):
        incident = receiver.wait_for_class(lab.node_a, "node_down")
        assert incident["state"] != "resolved"
        # Whoever tells of it is restarted, too: that is no end, and no second incident.
        for unit in RESTARTED:
            lab.ops.run("systemctl", "restart", unit)
        # An end of which a restarted Alertmanager has not seen the beginning is told to nobody.
        wait_for("Alertmanager to have the alert again", lambda: _active(lab, "NodeDown"), SEEN_SECONDS)
        (found,) = receiver.incidents()
        assert (found["host"], found["failure_class"]) == ("node-a", "node_down")
        assert found["state"] not in ("resolved", "closed")
    incident = receiver.wait_for_state(lab.node_a, "resolved")
    assert engine.generates(lab.node_a)
    assert [run["state"] for run in incident["runs"] if run["state"] == "succeeded"] == []
    assert Footprint.of(lab.node_b) == untouched


def test_a_receiver_that_has_lost_its_state_repairs_again(lab: Lab, traffic: Traffic, receiver: Receiver) -> None:
    faults.out_of_memory(lab.node_a)
    receiver.wait_for_line(lab.node_a, "run_finished")
    receiver.kill()
    receiver.lose_its_state()
    receiver.start()
    wait_until_steady(lab, traffic)
    faults.out_of_memory(lab.node_a)
    incident = receiver.wait_for_line(lab.node_a, "run_finished")
    assert [(run["action"], run["state"]) for run in incident["runs"]] == [("restart_process", "succeeded")]
    assert engine.generates(lab.node_a)


def _active(lab: Lab, name: str) -> bool:
    answer = httpx.get(f"{lab.alertmanager}/api/v2/alerts", timeout=5, trust_env=False)
    return any(alert["labels"].get("alertname") == name for alert in answer.raise_for_status().json())
