# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pause and a notice survive kill -9 of a real receiver."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from tests.integration.receiver.running import alert, now, payload, serving
from tests.support.servers.fake_pager import SECRET, FakePager
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import until


def autoglm(receiver, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line against the receiver."""
    program = str(Path(sys.executable).with_name("autoglm"))
    command = [program, *arguments, "--url", receiver.url]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_a_pause_survives_a_kill(tmp_path):
    with serving(tmp_path) as receiver:
        paused = autoglm(receiver, "pause", "--comment", "network work")
        assert paused.returncode == 0, paused.stderr
        assert paused.stdout.startswith("actions are paused, by ")
        assert "127.0.0.1" in paused.stdout
        receiver.kill()
        receiver.start()
        assert receiver.get("/api/v1/pause")["reason"] == "network work"
        receiver.post(payload(alert(start=now())))
        until("the incident to wait", lambda: receiver.incidents("waiting"))
        assert "all actions are paused since" in receiver.incidents()[0]["reason"]
        assert ": network work, then restart_process" in receiver.incidents()[0]["reason"]
        assert autoglm(receiver, "resume").returncode == 0
        until("the run to succeed", lambda: receiver.incidents("verifying"))
        assert receiver.client.post(f"{receiver.url}/api/v1/explode").status_code == 404


WINDOW = """
guardrails:
  maintenance_windows:
    - {name: power work, hosts: [node-a], start: 2020-01-01T00:00:00Z, end: 2199-01-01T00:00:00Z}
"""


def test_a_window_that_is_taken_out_of_the_policy_lets_go_what_waits_for_its_end(tmp_path):
    with serving(tmp_path, policy=WINDOW) as receiver:
        receiver.post(payload(alert("node-a", start=now())))
        until("the incident to wait", lambda: receiver.incidents("waiting"))
        assert "maintenance window 'power work' until 2199-01-01" in receiver.incidents()[0]["reason"]
        (tmp_path / "policy.yaml").write_text("recovery: {}")
        receiver.process.send_signal(signal.SIGHUP)
        until("the run to succeed", lambda: receiver.incidents("verifying"))


def test_a_notice_that_could_not_be_sent_survives_a_kill_and_is_sent(tmp_path):
    port = free_port()
    policy = f"notify: ['json://user:{SECRET}@127.0.0.1:{port}/hook']"
    with serving(tmp_path, policy=policy) as receiver:
        receiver.post(payload(alert(failure_class="unknown", start=now())))
        until("a person to be called", lambda: receiver.incidents("escalated"))
        until("the first attempt to fail", lambda: "notice not sent yet" in (tmp_path / "log").read_text())
        receiver.kill()
        pager = FakePager(port)
        try:
            receiver.start()
            until("the notice", lambda: pager.received)
        finally:
            pager.close()
        (notice,) = pager.received
        assert notice["title"] == "[autoglm] incident 1: unknown on node-a, a person is needed"
        assert SECRET not in (tmp_path / "log").read_text()
        kept = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
        assert kept
        assert not any(SECRET.encode() in path.read_bytes() for path in kept)
