# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same playbook in an operator's hands: no receiver runs."""

from __future__ import annotations

import json
import subprocess

import pytest

from . import engine, faults
from .expectations import Footprint
from .laboratory import Lab, environment, launchers_words
from .memory_limit import UNIT
from .places import CHECKOUT, PROGRAMS
from .waiting import wait_for

PLAYBOOK_SECONDS = 600


def restart_process(lab: Lab, target: str, **variables: object) -> subprocess.CompletedProcess[str]:
    """Run the playbook as a person would type it."""
    command = [
        *launchers_words(variables),
        *(str(PROGRAMS / "ansible-playbook"), "autoglm.recovery.restart_process"),
        *("-i", str(lab.by_person), "-e", f"target={target}", "-e", json.dumps(variables)),
    ]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=CHECKOUT, env=environment(), timeout=PLAYBOOK_SECONDS
    )


def test_a_crashed_server_is_healed(lab: Lab) -> None:
    before = {node.name: Footprint.of(node) for node in lab.nodes}
    faults.crash(lab.node_a)
    wait_for("node-a to be down", lambda: engine.generates(lab.node_a) is None, seconds=30)

    done = restart_process(lab, "node-a")

    assert done.returncode == 0, done.stdout + done.stderr
    assert engine.generates(lab.node_a)
    after = {node.name: Footprint.of(node) for node in lab.nodes}
    assert after["node-a"].invocation != before["node-a"].invocation
    assert len(after["node-a"].evidence - before["node-a"].evidence) == 1
    assert after["node-b"] == before["node-b"]


@pytest.mark.parametrize("target", ["all", "node-*", "node-a,node-b"])
def test_more_than_one_host_is_refused_and_nothing_changed(lab: Lab, target: str) -> None:
    before = [Footprint.of(node) for node in lab.nodes]

    done = restart_process(lab, target)

    assert done.returncode != 0, done.stdout
    assert "Refused, nothing was changed" in done.stdout
    assert [Footprint.of(node) for node in lab.nodes] == before


def test_an_incident_does_not_restart_what_could_not_be_read(lab: Lab) -> None:
    before = [Footprint.of(node) for node in lab.nodes]
    # node-exporter answers there, which is no engine: nothing it says proves anything about the server.
    elsewhere = {"name": "llama", "engine": "llama_cpp", "url": "http://127.0.0.1:9100", "unit": UNIT}

    done = restart_process(lab, "node-a", autoglm_services=[elsewhere], autoglm_incident={"id": 1, "attempt": 1})

    assert done.returncode != 0, done.stdout
    assert "could not be read" in done.stdout
    assert [Footprint.of(node) for node in lab.nodes] == before


def test_an_incident_does_not_restart_what_is_healthy(lab: Lab) -> None:
    before = [Footprint.of(node) for node in lab.nodes]

    done = restart_process(lab, "node-a", autoglm_incident={"id": 1, "attempt": 1})

    assert done.returncode == 0, done.stdout
    assert "Already healthy, not restarted" in done.stdout
    assert [Footprint.of(node) for node in lab.nodes] == before
