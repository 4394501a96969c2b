# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A receiver as a service: what systemd hears of it, and that a check beside it disturbs nothing."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from pathlib import Path

from tests.support.servers.waiting import until

from .running import Receiver


def test_the_service_manager_hears_that_it_is_ready_lives_reads_again_and_stops(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        heard: list[str] = []

        def told(what: str) -> bool:
            try:
                while True:
                    heard.append(manager.recv(4096).decode().partition("\n")[0])
            except BlockingIOError:
                return what in heard

        # Half of it is the longest silence, of which the loop's own five seconds would be more.
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "4000000"}
        receiver = Receiver(tmp_path, variables=environment)
        try:
            receiver.start()
            until("READY=1", lambda: told("READY=1"))
            heard.clear()
            until("signs of life of a loop that has nothing to do", lambda: told("WATCHDOG=1"))
            heard.clear()
            receiver.process.send_signal(signal.SIGHUP)
            until("READY=1 again", lambda: told("READY=1"))
            assert heard.index("RELOADING=1") < heard.index("READY=1")
            command = [*receiver.command(), "--check", "--json"]
            beside = subprocess.run(
                command,
                cwd=receiver.directory,
                env={**receiver.environment(), "NOTIFY_SOCKET": ""},
                capture_output=True,
                check=False,
                timeout=120,
            )
            assert beside.returncode == 0, beside.stderr
            assert json.loads(beside.stdout)["database"].startswith("schema ")
            assert not any(b"NOTIFY_SOCKET=/" in each for each in environments_of_children(receiver.process.pid))
            # uvicorn ends by the signal that it got, which systemd takes for a clean end.
            assert receiver.kill(signal.SIGTERM) == -signal.SIGTERM
            assert told("STOPPING=1")
        finally:
            if receiver.process is not None and receiver.process.poll() is None:
                receiver.kill()
            receiver.client.close()


def environments_of_children(pid: int) -> list[bytes]:
    """Return the environments of the processes that it has started, such as the warm one."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [Path(f"/proc/{child}/environ").read_bytes() for child in children]
