# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs on one host, as two people or a person and a receiver would start them: real processes of ansible-playbook.

The first one is in its proof, which takes as long as nobody generates: no engine answers for its service's process.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.services import acting
from ansible_collections.autoglm.recovery.plugins.module_utils.services.registry import open_service

from tests.lab.places import CHECKOUT
from tests.lab.waiting import wait_for
from tests.support.servers.asked import INCIDENT
from tests.support.servers.leftovers import end_processes_of

from .fleet import Fleet, told

PERSON = {"target": "p1"}
# The host is asked at once in a test; a receiver's run waits a while.
RECEIVERS = {"autoglm_incident": {**INCIDENT, "fence": 1000}, "autoglm_target": {"host": "p1"}, "autoglm_lock_wait": 0}
SECONDS = 120


@pytest.fixture
def one(fleet: Fleet) -> Fleet:
    """A host with a process that nothing answers for."""
    service = fleet.add("p1", url="http://127.0.0.1:9", start_command=["/bin/sleep", "600"], ready_timeout=90)
    acting.start(open_service(service, 5.0), 10)
    balancer = {"kind": "file_sd", "file": str(fleet.directory / "targets.json")}
    fleet.group_vars["autoglm_pools"] = {"chat": {"balancer": balancer}}
    return fleet


@contextmanager
def at_its_proof(fleet: Fleet, extra: dict[str, Any]) -> Iterator[subprocess.Popen[bytes]]:
    """A run that has started the service anew and waits for it to generate."""
    log = fleet.directory / "first"
    with log.open("wb") as out:
        run = subprocess.Popen(
            fleet.command("restart_process", extra),
            stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=CHECKOUT, env=fleet.environment(),
        )  # fmt: skip
    try:
        wait_for("the proof to begin", lambda: "FAILED - RETRYING" in log.read_text(), SECONDS)
        yield run
    finally:
        end_processes_of(fleet.directory)
        run.wait()


def second(fleet: Fleet, extra: dict[str, Any], *words: str) -> subprocess.CompletedProcess[str]:
    """Another run, which does not wait for the proof that cannot come."""
    return fleet.run("restart_process", {**extra, "ready_timeout": 1}, *words)


def was_restarted(done: subprocess.CompletedProcess[str]) -> bool:
    return "TASK [Wait until it is live, ready and generating]" in told(done)


def test_a_person_and_a_receiver_exclude_each_other(one: Fleet) -> None:
    with at_its_proof(one, PERSON):
        before = one.pid("p1")
        for done in (
            second(one, {**RECEIVERS, "force": True}),
            second(one, {**PERSON, "force": True}, "--check"),
            one.run("rolling_restart", {"pool": "chat"}),
        ):
            assert done.returncode != 0
            assert "Refused, nothing was changed by this step: root on " in told(done)
            assert "holds it (as p1, since " in told(done)
        assert one.pid("p1") == before


def test_a_killed_run_gives_the_host_up(one: Fleet) -> None:
    with at_its_proof(one, PERSON) as first:
        first.kill()
        first.wait()
        assert Path(one.directory / "run/locks/host").exists()
        assert was_restarted(second(one, RECEIVERS))
        # A run that ended, even badly, has given it back.
        assert not Path(one.directory / "run/locks/host").exists()


def test_a_frozen_run_loses_the_host_when_its_step_would_be_over(one: Fleet) -> None:
    with at_its_proof(one, {**PERSON, "autoglm_step_seconds": 30}) as first:
        first.send_signal(signal.SIGSTOP)
        done = second(one, {**RECEIVERS, "autoglm_lock_wait": 60})
        assert was_restarted(done), told(done)


@pytest.mark.thorough
def test_a_newer_run_of_a_receiver_takes_the_host_over(one: Fleet) -> None:
    with at_its_proof(one, RECEIVERS):
        done = second(one, PERSON)
        assert done.returncode != 0
        assert "incident 7 (root on " in told(done)
        newer = {**RECEIVERS, "autoglm_incident": {**INCIDENT, "fence": 2000}}
        assert was_restarted(second(one, newer))
