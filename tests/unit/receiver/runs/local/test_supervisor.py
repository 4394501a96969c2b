# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run ends with all that it started, whatever ends it.  The processes are real; only what they do is not Ansible."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from autoglm_recovery.receiver.runs import heartbeat
from autoglm_recovery.receiver.runs.local import processes, run_directory
from autoglm_recovery.receiver.runs.protocol import RunStatus
from tests.support.servers.leftovers import carrying
from tests.support.servers.waiting import until

DEADLINE_S = 20

# In place of ansible-playbook: one shell, what it waits for, and something that it left in the background, as ssh does.
SHELL = """\
import subprocess, sys
from pathlib import Path
from autoglm_recovery.receiver.runs.local import supervisor
def work(directory, request):
    # With a function to run before it, the child is forked by Python itself, as pexpect does it for ansible-playbook.
    return subprocess.run(["sh", "-c", request["shell"]], preexec_fn=lambda: None).returncode
sys.exit(supervisor.main(Path(sys.argv[1]), work))
"""
LEAVES_SOMETHING = "setsid -f sleep 1000; touch begun; sleep 1000"


@pytest.fixture
def directory(tmp_path):
    """Return a run's directory, and leave no process of it behind."""
    yield tmp_path / "run"
    run_directory.end_left(tmp_path / "run")


def start(directory: Path, shell: str, timeout_s: float = 1000.0, lease_s: float = 1000.0):
    """Start a supervisor whose work is a line of shell."""
    directory.mkdir(exist_ok=True)
    request = {"shell": shell, "timeout_s": timeout_s, "arguments": {}}
    (directory / "request.json").write_text(json.dumps(request))
    heartbeat.begin(directory, heartbeat.now() + lease_s)
    return subprocess.Popen([sys.executable, "-c", SHELL, str(directory)], cwd=directory, start_new_session=True)


def test_a_supervisor_loads_nothing_that_is_the_receiver_s():
    """There is one for each run, and each starts in the time of what it loads."""
    tell = "import sys; import autoglm_recovery.receiver.runs.local.supervisor; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", tell], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"pydantic", "sqlalchemy", "structlog", "yaml", "httpx", "uvicorn", "autoglm_recovery.policy"}
    assert heavy & set(loaded) == set()


def going_on(directory: Path) -> set[int]:
    """Return the processes that carry the run's mark."""
    return {process.pid for process, mark in carrying(processes.MARK) if mark == str(directory)}


def begun(directory: Path):
    """Wait until the work has begun."""
    until("the work to begin", lambda: (directory / "begun").exists() and len(going_on(directory)) >= 3)


def test_a_run_that_ends_by_itself_tells_its_code(directory):
    assert start(directory, "exit 0").wait(DEADLINE_S) == 0
    assert run_directory.status(directory) is RunStatus.ended
    assert (run_directory.result(directory)["rc"], run_directory.result(directory)["why"]) == (0, None)


def test_a_run_is_begun_only_once(directory):
    assert start(directory, "exit 3").wait(DEADLINE_S) == 1
    assert start(directory, "touch again").wait(DEADLINE_S) == 75
    assert run_directory.result(directory)["rc"] == 3
    assert not (directory / "again").exists()


def test_a_cancelled_run_ends_with_what_it_left_in_the_background(directory):
    supervisor = start(directory, LEAVES_SOMETHING)
    begun(directory)
    run_directory.cancel(directory, "a person said so")
    supervisor.wait(DEADLINE_S)
    assert going_on(directory) == set()
    assert (run_directory.result(directory)["rc"], run_directory.result(directory)["why"]) == (None, "a person said so")


def test_what_is_cancelled_before_it_began_never_begins(directory):
    directory.mkdir()
    run_directory.cancel(directory, "too late")
    run_directory.cancel(directory, "the first reason stays")
    start(directory, "touch begun").wait(DEADLINE_S)
    assert not (directory / "begun").exists()
    assert run_directory.result(directory)["why"] == "too late"


def test_a_run_that_takes_too_long_has_failed(directory):
    supervisor = start(directory, LEAVES_SOMETHING, timeout_s=1.0)
    assert supervisor.wait(DEADLINE_S) == 1
    assert going_on(directory) == set()
    assert run_directory.result(directory)["rc"] == 254
    assert run_directory.result(directory)["why"] == "it took longer than 1 s"


@pytest.mark.parametrize(
    "stubborn", ["trap '' TERM; " + LEAVES_SOMETHING, "touch begun; sleep 1000 & kill -STOP $$ $!; sleep 1000"]
)
def test_processes_that_hear_nothing_are_killed(directory, stubborn):
    supervisor = start(directory, stubborn)
    until("the work to begin", (directory / "begun").exists)
    run_directory.cancel(directory, "now")
    supervisor.wait(DEADLINE_S)
    assert going_on(directory) == set()


def test_a_run_whose_lease_is_not_renewed_ends_itself(directory):
    supervisor = start(directory, LEAVES_SOMETHING)
    begun(directory)
    heartbeat.allow(directory, heartbeat.now() + 0.3)  # renewed once more, and then no more
    supervisor.wait(DEADLINE_S)
    assert going_on(directory) == set()
    assert heartbeat.until(directory) < heartbeat.now()
    assert "has not renewed its lease" in run_directory.result(directory)["why"]


def test_a_run_whose_lease_was_over_before_it_began_is_never_begun(directory):
    assert start(directory, "touch begun", lease_s=-0.1).wait(DEADLINE_S) == 75
    assert not (directory / "begun").exists()
    assert run_directory.status(directory) is RunStatus.not_begun


def test_a_killed_supervisor_takes_its_work_along_and_what_is_left_is_found(directory):
    supervisor = start(directory, LEAVES_SOMETHING)
    begun(directory)
    kept = directory / "artifacts/1/job_events"
    kept.mkdir(parents=True)
    for name in ("../command", "../env.list", "../stdout", "6f-partial.json", "1-6e.json"):
        (kept / name).write_text("api_key=hunter2")
    os.kill(supervisor.pid, signal.SIGKILL)
    supervisor.wait(DEADLINE_S)
    # The work's own process by the kernel; what had forked away by whoever looks at the run next.
    until("the run to be cut off", lambda: run_directory.status(directory) is RunStatus.lost)
    until("the kernel to kill the work", lambda: len(going_on(directory)) <= 2)
    assert run_directory.end_left(directory) >= 1
    until("everything to be gone", lambda: going_on(directory) == set())
    # No event's own file: it had been cleaned when it was written.
    assert {path.name for path in kept.parent.rglob("*") if path.is_file()} == {"stdout", "1-6e.json"}
    assert "hunter2" not in (kept.parent / "stdout").read_text()


def test_the_end_of_a_run_leaves_other_runs_alone(directory, tmp_path):
    other = start(tmp_path / "other", "touch begun; sleep 1000")
    mine = start(directory, LEAVES_SOMETHING)
    begun(directory)
    until("the other to begin", (tmp_path / "other" / "begun").exists)
    run_directory.cancel(directory, "now")
    mine.wait(DEADLINE_S)
    assert going_on(tmp_path / "other")
    run_directory.cancel(tmp_path / "other", "now")
    other.wait(DEADLINE_S)
