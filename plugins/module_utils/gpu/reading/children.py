# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting the child, and abandoning it without ever waiting for it.

A process in uninterruptible sleep does not die of SIGKILL before the driver gives it back, perhaps never.  So nobody
waits for a child: it is killed, looked at for a moment, and abandoned; when it ends at last, the next start or close of
a session reaps it. It holds no stream of ours, which Ansible or systemd would wait for.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time

from . import child

FORK, SPAWN = "fork", "spawn"
_CHUNK = 65536
_MAX_LINE = 4 * 1024 * 1024
# Of one request: a GPU says some ten kilobytes.
_MAX_ANSWER = 32 * 1024 * 1024

# Killed, and not gone yet. Reaped when there is a chance, so that a long-lived process collects no zombies.
_abandoned: list[int] = []


class Child:
    """A child that serves requests. pid: 0 when it has ended and was reaped."""

    def __init__(self, pid: int, requests: int, answers: int) -> None:
        self.pid = pid
        self._requests = requests
        self._answers = answers
        self._rest = b""
        self._said = 0
        self.end = ""

    def ask(self, line: bytes) -> None:
        """Send a request, which is shorter than a pipe's buffer. Raises OSError."""
        self._said = 0
        os.write(self._requests, line + b"\n")

    def lines(self, seconds: float) -> list[bytes] | None:
        """The lines written within a time, possibly none; None where the child has ended, or its answer is too long."""
        if not select.select([self._answers], [], [], max(0.0, seconds))[0]:
            return []
        chunk = os.read(self._answers, _CHUNK)
        if not chunk:
            return None
        self._said += len(chunk)
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > _MAX_LINE or self._said > _MAX_ANSWER:
            self.end = f"it said more than {_MAX_LINE} bytes in a line, or {_MAX_ANSWER} in all"
            return None
        return whole

    def abandon(self) -> None:
        """Kill the child without waiting for its end. Takes some milliseconds at most."""
        for descriptor in (self._requests, self._answers):
            os.close(descriptor)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        for _attempt in range(20):
            if self._was_reaped():
                return
            time.sleep(0.001)
        _abandoned.append(self.pid)

    def how_it_ended(self) -> str:
        """How a child without further lines has ended, in words."""
        if self.end:
            return self.end
        for _attempt in range(50):
            if self._was_reaped():
                return self.end
            time.sleep(0.002)
        return "it closed its answers"

    def _was_reaped(self) -> bool:
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            return True
        if pid:
            code = os.waitstatus_to_exitcode(status)
            self.end = f"it was ended by signal {-code}" if code < 0 else f"it exited with status {code}"
        return bool(pid)


def start(way: str) -> Child:
    """Start a child. fork: from a process with one thread, such as a module, whose code may lie in an archive.
    spawn: from any process; a new interpreter, which has to find this package on its path. Raises OSError."""
    reap_abandoned()
    their_requests, requests = os.pipe()
    answers, their_answers = os.pipe()
    try:
        launch = _start_by_fork if way == FORK else _start_by_spawn
        pid = launch(their_requests, their_answers)
    except OSError:
        os.close(requests)
        os.close(answers)
        raise
    finally:
        os.close(their_requests)
        os.close(their_answers)
    return Child(pid, requests, answers)


def _start_by_fork(requests: int, answers: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        _close_all_but(requests, answers)
        child.serve(requests, answers)
    finally:
        os._exit(0)


def _close_all_but(*kept: int) -> None:
    """Close inherited descriptors: the other ends of sockets and pipes wait until the last one is closed."""
    low = 3
    for descriptor in sorted(kept):
        os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, max(low, min(os.sysconf("SC_OPEN_MAX"), 65536)))


def _start_by_spawn(requests: int, answers: int) -> int:
    # Only the exporter comes here, where there is no AnsibleModule; and run_command would wait for the child.
    process = subprocess.Popen(  # pylint: disable=ansible-bad-function
        [sys.executable, "-m", f"{__package__}.child"],
        stdin=requests,
        stdout=answers,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    pid = process.pid
    process.returncode = 0  # it is ours to reap: Popen must neither wait for it nor warn
    return pid


def reap_abandoned() -> None:
    """Reap the killed children that have ended since."""
    for pid in list(_abandoned):
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                _abandoned.remove(pid)
        except ChildProcessError:
            _abandoned.remove(pid)
