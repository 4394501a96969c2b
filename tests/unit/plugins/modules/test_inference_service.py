# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module inference_service on processes of this machine: idempotent, honest in check mode, silent on secrets."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.modules import inference_service


@pytest.fixture
def sleeper(run_module, tmp_path: Path):
    """Call the module with a service that sleeps; what it left running is ended with the test."""
    pid_file = tmp_path / "x.pid"

    def call(state: str, check: bool = False, **more) -> dict:
        options = {"pid_file": str(pid_file), "start_command": ["/bin/sleep", "1000"], "state": state, **more}
        return run_module(inference_service, check, **options)

    yield call
    with contextlib.suppress(OSError, ValueError):
        os.kill(int(pid_file.read_text()), signal.SIGKILL)


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}/exe").exists() and os.readlink(f"/proc/{pid}/exe").endswith("sleep")


def test_each_state_is_reached_once(sleeper) -> None:
    started, again = sleeper("started"), sleeper("started")
    assert (started["changed"], again["changed"]) == (True, False)
    assert started["service"]["state"] == "running"
    assert again["service"]["main_pid"] == started["service"]["main_pid"]
    assert (started["stopped"], started["diff"]["before"]) == (
        None,
        f"PID file {started['service']['name']}: stopped, no process\n",
    )

    restarted = sleeper("restarted")
    assert restarted["changed"]
    assert restarted["stopped"]["by"] == "SIGTERM"
    assert restarted["service"]["main_pid"] != started["service"]["main_pid"]

    stopped, still = sleeper("stopped"), sleeper("stopped")
    assert (stopped["changed"], still["changed"]) == (True, False)
    assert stopped["service"]["state"] == "stopped"
    assert "running" in stopped["diff"]["before"]
    assert "no process" in stopped["diff"]["after"]
    assert not alive(restarted["service"]["main_pid"])


@pytest.mark.parametrize("state", ["started", "restarted", "stopped"])
def test_check_mode_tells_and_does_nothing(sleeper, state: str) -> None:
    told = sleeper(state, check=True)
    assert told["changed"] is (state != "stopped")
    assert told["service"]["state"] == "stopped"
    running = sleeper("started")["service"]["main_pid"]
    told = sleeper(state, check=True)
    assert told["changed"] is (state != "started")
    assert (told["diff"]["before"] != told["diff"]["after"]) is told["changed"]
    assert alive(running)


def test_a_failure_tells_what_it_found(sleeper) -> None:
    failed = sleeper("started", start_command=["/bin/false"])
    assert failed["failed"]
    assert "ended at once" in failed["msg"]
    assert failed["service"]["state"] == "failed"


def test_secrets_are_not_in_the_output(sleeper, tmp_path: Path) -> None:
    result = sleeper(
        "started",
        start_command=["/bin/sleep", "1000", "--api-key", "s3cret-one"],
        environment={"HF_TOKEN": "s3cret-two", "MODE": "fast"},
        log_file=str(tmp_path / "log"),
    )
    assert result["failed"]  # sleep knows no such option, and says so into its log
    assert "s3cret" not in json.dumps(result)
    # Newer ansible-core shows the invocation only where it is asked for; where it does, the rest is still told.
    assert "invocation" not in result or "fast" in json.dumps(result["invocation"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"unit": "a", "pid_file": "/x"}, "mutually exclusive"),
        ({}, "one of the following is required"),
        ({"unit": "--all"}, "not the name of a systemd unit"),
        ({"container": "a b"}, "not the name of a container"),
        ({"container": "a", "container_runtime": "lxc"}, "must be one of: docker, podman"),
        ({"unit": "a", "start_command": ["/x"]}, "belongs to a service with a pid_file"),
        ({"container": "ab", "user": "x"}, "belongs to a service with a pid_file"),
        ({"pid_file": "/run/autoglm-none.pid"}, "needs a start_command"),
        ({"pid_file": "/run/autoglm-none.pid", "start_command": ["sleep"]}, "absolute path"),
        (
            {"pid_file": "/run/autoglm-none.pid", "start_command": ["/x"], "environment": {"A=B": "x"}},
            "name of a variable",
        ),
        ({"pid_file": "/run/autoglm-none.pid", "stop_timeout": -1}, "stop_timeout"),
        ({"pid_file": "/run/autoglm-none.pid", "timeout": 0}, "above 0"),
    ],
)
def test_nonsense_is_refused(run_module, more: dict, message: str) -> None:
    result = run_module(inference_service, state="started", **more)
    assert result["failed"]
    assert message in result["msg"]
