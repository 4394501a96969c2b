# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module inference_service on real systemd units, and a process with a PID file on a host behind SSH."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from . import engine
from .laboratory import Lab, environment
from .places import CHECKOUT, PROGRAMS
from .test_restart_by_hand import restart_process
from .waiting import wait_for

UNIT = "autoglm-test.service"
FILE = f"/etc/systemd/system/{UNIT}"
DEAF = """/bin/sh -c "trap '' TERM; while :; do sleep 0.1; done" """
PID_FILE = "/run/llama-by-hand.pid"
SERVER = [
    *("/usr/bin/llama-server", "--model", "/var/lib/llama/tiny.gguf", "--alias", "tiny", "--port", "8081"),
    *("--no-webui", "--ctx-size", "1024", "--threads", "1", "--cache-ram", "0", "--fit", "off"),
]


def service(lab: Lab, **options: object) -> dict[str, Any]:
    """Run the module on node-a; its result."""
    command = [
        str(PROGRAMS / "ansible"),
        "-i",
        str(lab.by_person),
        "node-a",
        "-m",
        "autoglm.recovery.inference_service",
    ]
    done = subprocess.run(
        [*command, "--one-line", "-a", json.dumps(options)],
        capture_output=True, text=True, check=False, cwd=CHECKOUT, env=environment(), timeout=120,
    )  # fmt: skip
    verdict, arrow, result = done.stdout.partition("=> ")
    assert arrow, done.stdout + done.stderr
    return {**json.loads(result), "failed": "FAILED" in verdict}


@pytest.fixture
def unit(running_lab: Lab) -> Iterator[Callable[..., str]]:
    """Write a unit of these lines and start it; it goes with the test."""
    node = running_lab.node_a

    def make(command: str, *lines: str, start: bool = True) -> str:
        text = "\n".join(["[Service]", f"ExecStart={command}", *lines, ""])
        node.run("sh", "-c", 'printf %s "$1" > "$2" && systemctl daemon-reload', "sh", text, FILE)
        if start:
            node.run("systemctl", "start", "--no-block", UNIT)
        return UNIT

    yield make
    node.run("sh", "-c", 'systemctl kill --signal=KILL "$1"; rm -f "$2"; systemctl daemon-reload', "sh", UNIT, FILE)
    node.run("sh", "-c", 'systemctl stop "$1"; systemctl reset-failed "$1"; true', "sh", UNIT)


def test_a_deaf_unit_is_killed_where_that_is_allowed_and_stays_down(running_lab: Lab, unit) -> None:
    name = unit(DEAF, "TimeoutStopSec=300", "Restart=always", "RestartSec=100ms")
    asked = service(running_lab, unit=name, state="stopped", stop_timeout=1, kill_after=False)
    assert asked["failed"]
    assert "kill_after is false" in asked["msg"]
    assert asked["service"]["state"] == "stopping"
    assert asked["service"]["restarts_itself"] == "systemd, Restart=always"
    stopped = service(running_lab, unit=name, state="stopped", stop_timeout=1)
    assert stopped["stopped"]["by"] == "SIGKILL"
    assert stopped["service"]["main_pid"] is None
    assert stopped["service"]["end"]["signal"] == 9


def test_a_unit_that_systemd_itself_kills_is_told_so(running_lab: Lab, unit) -> None:
    name = unit(DEAF, "TimeoutStopSec=1")
    stopped = service(running_lab, unit=name, state="stopped", stop_timeout=60)["stopped"]
    assert stopped["by"] == "SIGKILL"
    assert "its own orchestrator" in stopped["text"]


def test_a_frozen_unit_is_restarted(running_lab: Lab, unit) -> None:
    name = unit(DEAF)
    pid = wait_for("a process", lambda: int(running_lab.node_a.unit(name, "MainPID")["MainPID"]), 10)
    running_lab.node_a.run("kill", "-STOP", str(pid))
    restarted = service(running_lab, unit=name, state="restarted", stop_timeout=1)
    assert restarted["stopped"]["by"] == "SIGKILL"
    assert restarted["service"]["main_pid"] not in (None, pid)


def test_a_unit_that_ends_at_once_is_no_success_although_systemd_tries_again(running_lab: Lab, unit) -> None:
    name = unit("/bin/sh -c 'echo no model there; exit 3'", "Restart=always", "RestartSec=5", start=False)
    failed = service(running_lab, unit=name, state="started")
    assert failed["failed"]
    assert "ended at once" in failed["msg"]
    assert "no model there" in failed["msg"]
    assert "Restart=always starts it again" in failed["msg"]


def test_a_unit_that_loads_for_long_is_started_when_its_process_is_there(running_lab: Lab, unit) -> None:
    """Type=notify, as for a server that tells systemd when its model is loaded."""
    name = unit("/bin/sleep 1000", "Type=notify", "TimeoutStartSec=600", start=False)
    started = service(running_lab, unit=name, state="started")
    assert started["changed"]
    assert started["service"]["state"] == "starting"
    assert started["service"]["main_pid"] is not None


@pytest.fixture
def by_hand(lab: Lab) -> Iterator[dict[str, object]]:
    """A server with a PID file beside the unit's, ended with the test."""
    yield {"pid_file": PID_FILE, "start_command": SERVER, "log_file": "/var/log/llama-by-hand.log"}
    lab.node_a.run("sh", "-c", 'kill -KILL "$(cat "$1")"; rm -f "$1"', "sh", PID_FILE)


def test_a_process_with_a_pid_file_is_healed_and_outlives_the_connection(lab: Lab, by_hand: dict[str, object]) -> None:
    node = lab.node_a
    pid = service(lab, **by_hand, state="started")["service"]["main_pid"]
    assert pid == int(node.run("cat", PID_FILE))
    node.run("kill", "-KILL", str(pid))

    described = {"name": "llama", "engine": "llama_cpp", "url": "http://127.0.0.1:8081", **by_hand}
    done = restart_process(lab, "node-a", autoglm_services=[described])

    assert done.returncode == 0, done.stdout + done.stderr
    again = int(node.run("cat", PID_FILE))
    assert again != pid
    assert os.path.basename(node.run("readlink", f"/proc/{again}/exe").strip()) == "llama-server"
    assert engine.generates(node)  # the unit beside it was left alone
