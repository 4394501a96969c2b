# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Another communication path for a real server of systemd: taken, tried one after the other, and left again.

The hosts have no GPU: what NCCL would make of the environment is not seen here, that the process has it is.
"""

from __future__ import annotations

import json
import subprocess

import pytest

from . import engine
from .expectations import Footprint
from .hosts import Host
from .inventory import SERVICE
from .laboratory import Lab, environment, launchers_words
from .memory_limit import UNIT
from .places import CHECKOUT, PROGRAMS
from .waiting import wait_for

PLAYBOOK_SECONDS = 300
DROP_INS = f"/etc/systemd/system/{UNIT}.d"
PATHS = [
    {"name": "without-nvls", "environment": {"NCCL_NVLS_ENABLE": "0"}},
    {"name": "without-p2p", "environment": {"NCCL_P2P_DISABLE": "1", "NCCL_IB_HCA": "^mlx5_3"}},
]
INCIDENT = {"id": 7, "attempt": 1}


def switch(lab: Lab, **variables: object) -> subprocess.CompletedProcess[str]:
    """Run the playbook on node-a as a person would type it, or with ``autoglm_incident`` as the receiver does."""
    asked = {"autoglm_services": [{**SERVICE, "comm_paths": PATHS}], **variables}
    command = [
        *launchers_words(asked),
        *(str(PROGRAMS / "ansible-playbook"), "autoglm.recovery.switch_comm_path"),
        *("-i", str(lab.by_person), "-e", "target=node-a", "-e", json.dumps(asked)),
    ]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=CHECKOUT, env=environment(), timeout=PLAYBOOK_SECONDS
    )


def started_with(node: Host) -> dict[str, str]:
    """What NCCL would read in the environment of the server's process."""
    pid = node.unit(UNIT, "MainPID")["MainPID"]
    block = node.run("cat", f"/proc/{pid}/environ").split("\0")
    return dict(pair.split("=", 1) for pair in block if pair.startswith("NCCL_"))


@pytest.fixture(autouse=True)
def own_path_again(lab: Lab):
    """Whatever comes of a test, the server is on its own path afterwards."""
    yield
    lab.node_a.run("rm", "-rf", f"{DROP_INS}/60-autoglm-comm-path.conf")
    lab.node_a.run("systemctl", "daemon-reload")
    lab.node_a.run("systemctl", "restart", UNIT)
    wait_for("node-a to serve", lambda: engine.generates(lab.node_a), seconds=60)


@pytest.mark.thorough
def test_a_server_that_stands_still_goes_on_over_each_path_in_turn_and_back(lab: Lab) -> None:
    for name, expected in (("without-nvls", PATHS[0]), ("without-p2p", PATHS[1])):
        lab.node_a.run("systemctl", "kill", "--signal=STOP", UNIT)
        done = switch(lab, autoglm_incident=INCIDENT)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"llama on node-a generates over {name}, and may be slower" in done.stdout
        assert started_with(lab.node_a) == expected["environment"]

    before = Footprint.of(lab.node_a)
    lab.node_a.run("systemctl", "kill", "--signal=STOP", UNIT)
    none_left = switch(lab, autoglm_incident=INCIDENT)
    lab.node_a.run("systemctl", "kill", "--signal=CONT", UNIT)
    assert none_left.returncode != 0
    assert "Refused, nothing was changed: llama on node-a is on without-p2p, the last of its paths" in none_left.stdout
    assert Footprint.of(lab.node_a) == before

    # No GPU is there to be found well: the way back takes a person's word.
    refused = switch(lab, comm_path="primary")
    assert refused.returncode != 0
    assert Footprint.of(lab.node_a) == before
    back = switch(lab, comm_path="primary", force=True)
    assert back.returncode == 0, back.stdout + back.stderr
    assert "generates over its own path again" in back.stdout
    assert started_with(lab.node_a) == {}


def test_a_server_that_generates_is_left_on_its_path(lab: Lab) -> None:
    before = Footprint.of(lab.node_a)
    done = switch(lab, autoglm_incident=INCIDENT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Already healthy, not restarted" in done.stdout
    assert Footprint.of(lab.node_a) == before


def test_a_unit_whose_own_file_has_the_last_word_is_not_said_to_be_on_the_path(lab: Lab) -> None:
    lab.node_a.run("mkdir", "-p", DROP_INS)
    lab.node_a.run("sh", "-c", "echo NCCL_NVLS_ENABLE=1 >/etc/own.env")
    lab.node_a.run("sh", "-c", f"printf '[Service]\\nEnvironmentFile=/etc/own.env\\n' >{DROP_INS}/10-own.conf")
    try:
        done = switch(lab, comm_path="without-nvls")
        assert done.returncode != 0
        assert "is not on the path without-nvls" in done.stdout
    finally:
        lab.node_a.run("rm", "-f", f"{DROP_INS}/10-own.conf", "/etc/own.env")
