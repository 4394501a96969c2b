# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drill as a person holds one: a server is really broken, the fleet heals it, and the person is told how."""

from __future__ import annotations

import json
import subprocess

from . import engine
from .expectations import Footprint
from .laboratory import Lab, environment
from .places import CHECKOUT, PROGRAMS
from .receiver import Receiver
from .waiting import wait_for

SECONDS = 600


def test_a_broken_server_is_healed_and_the_drill_tells_it(lab: Lab, receiver: Receiver) -> None:
    before = {node.name: Footprint.of(node) for node in lab.nodes}
    command = [
        *(str(PROGRAMS / "autoglm"), "drill", "unresponsive", "--host", "node-b", "-i", str(lab.by_person)),
        *("--url", receiver.url, "--token-file", str(lab.keys.token), "--within", "8m", "--json"),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=CHECKOUT, env=environment(), timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert (told["state"], told["seen_as"]) == ("resolved", "unresponsive")
    assert told["recovered_s"] > 0
    assert [run["action"] for run in receiver.incident(told["incident"])["runs"]] == ["restart_process"]
    wait_for("node-b to generate", lambda: engine.generates(lab.node_b), 60)
    assert Footprint.of(lab.node_b).invocation != before["node-b"].invocation
    assert Footprint.of(lab.node_a) == before["node-a"]
