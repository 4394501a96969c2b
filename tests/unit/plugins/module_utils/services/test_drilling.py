# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real processes are broken for a drill, and let go on again; what cannot be broken is refused."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.services import drilling, process
from ansible_collections.autoglm.recovery.plugins.module_utils.services.protocol import ServiceError, Status

from tests.support.servers.waiting import until

PROC = Path("/proc")
# As vLLM: an API, and behind it a process that calls itself so.
API = "bash -c 'exec -a VLLM::EngineCore sleep 600' & wait"


@pytest.fixture
def api() -> Iterator[subprocess.Popen[bytes]]:
    """A process with a child that is called an engine."""
    with subprocess.Popen(["bash", "-c", API], start_new_session=True) as one:
        until("its child to be there", lambda: engines(one.pid))
        family = [one.pid, *drilling.descendants(one.pid)]
        yield one
        for pid in family:
            subprocess.run(["kill", "-KILL", str(pid)], check=False, stderr=subprocess.DEVNULL)


def engines(pid: int) -> list[int]:
    return [one for one in drilling.descendants(pid) if b"EngineCore" in (PROC / str(one) / "cmdline").read_bytes()]


def running(pid: int, state: str = "S") -> Status:
    return Status("systemd", "llm.service", state="running", main_pid=pid, process_state=state)


def test_a_crash_ends_the_main_process_by_sigkill(api: subprocess.Popen[bytes]) -> None:
    assert drilling.inject(running(api.pid), drilling.CRASH) == api.pid
    assert api.wait() == -signal.SIGKILL


def test_what_hangs_is_there_and_goes_on_when_it_is_let_go(api: subprocess.Popen[bytes]) -> None:
    assert drilling.inject(running(api.pid), drilling.UNRESPONSIVE) == api.pid
    until("it to stand", lambda: process.state_of(PROC, api.pid) == "T")
    assert drilling.let_go(running(api.pid, "T")) == [api.pid]
    until("it to go on", lambda: process.state_of(PROC, api.pid) == "S")
    assert drilling.let_go(running(api.pid)) == []


def test_the_engine_behind_an_api_stands_and_the_api_does_not(api: subprocess.Popen[bytes]) -> None:
    (engine,) = engines(api.pid)
    assert drilling.inject(running(api.pid), drilling.DEADLOCK) == engine
    until("it to stand", lambda: process.state_of(PROC, engine) == "T")
    assert process.state_of(PROC, api.pid) == "S"
    assert drilling.let_go(running(api.pid)) == [engine]


def test_a_server_of_one_process_has_no_engine_to_stop() -> None:
    with subprocess.Popen(["sleep", "600"]) as one:
        with pytest.raises(ServiceError, match="no processes of an engine"):
            drilling.inject(running(one.pid), drilling.DEADLOCK)
        assert one.poll() is None
        one.kill()


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (Status("systemd", "llm.service", readable=False, reason="systemctl hangs"), "cannot be read: systemctl hangs"),
        (Status("systemd", "llm.service", state="failed", detail="failed (failed)"), "has no process to break"),
        (running(1, "T"), "stopped by a signal already"),
    ],
)
@pytest.mark.parametrize("fault", drilling.FAULTS)
def test_what_is_not_known_to_run_is_not_broken(status: Status, why: str, fault: str) -> None:
    with pytest.raises(ServiceError, match=why):
        drilling.inject(status, fault)


def test_nobody_is_let_go_where_it_is_not_known_who_it_is() -> None:
    with pytest.raises(ServiceError, match="cannot be read"):
        drilling.let_go(Status("systemd", "llm.service", readable=False, reason="x"))
    assert drilling.let_go(Status("systemd", "llm.service", state="stopped")) == []
