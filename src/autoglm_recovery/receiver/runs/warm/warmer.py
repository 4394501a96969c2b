# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiver's side: keep a warm process, and ask it for supervisors; start them cold whenever anything is off."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import structlog

from autoglm_recovery.receiver.process import inherited
from autoglm_recovery.receiver.runs.warm import titles, zygote

ANSWER_S = 2.0
_LONGEST_PAUSE_S = 60.0

log = structlog.get_logger()


class Spawned(Protocol):
    """A process that was started: a ``subprocess.Popen`` is one."""

    pid: int

    def poll(self) -> int | None:
        """Return something else than None once it has ended."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""


class WarmProcess:
    """A process that is no child of ours, known by a descriptor: its number cannot become another's."""

    def __init__(self, pid: int, descriptor: int) -> None:
        """Take over the descriptor."""
        self.pid = pid
        self._descriptor: int | None = descriptor

    def poll(self) -> int | None:
        """Return 0 once it has ended, however that was: its result is in the run's directory."""
        return 0 if self._ended(0.0) else None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises subprocess.TimeoutExpired as ``subprocess.Popen`` does.
        """
        if not self._ended(timeout):
            raise subprocess.TimeoutExpired([str(self.pid)], timeout or 0.0)
        return 0

    def kill(self) -> None:
        """Kill it."""
        if self._descriptor is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    def _ended(self, timeout: float | None) -> bool:
        if self._descriptor is None:
            return True
        # Not select(), which takes no descriptor above 1023: where many connections are open this may be one.
        end = select.poll()
        end.register(self._descriptor, select.POLLIN)
        if not end.poll(None if timeout is None else timeout * 1000):
            return False
        os.close(self._descriptor)
        self._descriptor = None
        return True

    def __del__(self) -> None:
        """Close the descriptor; the process goes on."""
        if self._descriptor is not None:
            os.close(self._descriptor)


class Warmer:
    """Owns the warm process.  Called by the loop's thread alone.

    ``cold`` starts a supervisor the usual way.  ``counted`` is told ``warm`` or ``cold`` for every start, for the
    metrics.
    """

    def __init__(
        self, cold: Callable[[Path], Spawned], log_file: Path, counted: Callable[[str], None] = lambda _how: None
    ) -> None:
        """Start nothing yet."""
        self._cold = cold
        self._log_file = log_file
        self._counted = counted
        self.process: subprocess.Popen[bytes] | None = None
        self.socket: Path | None = None
        """Where the warm process listens, once it is ready."""
        self._next_start = 0.0
        self._pause = 1.0
        self._never: str | None = None

    def start(self) -> None:
        """Begin to get warm; runs start cold until it is."""
        try:
            self.tend()
        except OSError as error:  # a full disk, no process to be had: each run tries again, and starts cold
            log.warning("the warm process could not be started", error=str(error), log=str(self._log_file))

    def tend(self) -> None:
        """Start the warm process if there is none; after a failure not at once again, and not at all if it is unfit."""
        if self.process is not None and self.process.poll() is None:
            return
        if self.process is not None:
            self._note_end(self.process.returncode)
        if self._never is None and time.monotonic() >= self._next_start:
            self._start()

    def spawn(self, directory: Path) -> Spawned:
        """Start the supervisor of a prepared run: warm if that does the same as cold, and else cold."""
        try:
            self.tend()
            process = self._ask(directory)
        except (OSError, ValueError, KeyError) as error:
            why = self._never or f"{type(error).__name__}: {error}"
            log.info("run starts cold", directory=str(directory), why=why)
            self._counted("cold")
            return self._cold(directory)
        self._pause = 1.0
        self._counted("warm")
        return process

    def stop(self) -> None:
        """End the warm process.  Runs go on."""
        process, self.process = self.process, None
        if process is not None:
            assert process.stdin is not None  # noqa: S101 - it was opened below
            process.stdin.close()
            try:
                process.wait(ANSWER_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._remove_socket()

    def _start(self) -> None:
        # Short, because the path of a socket must be, and readable by nobody else.
        place = Path(tempfile.mkdtemp(prefix="autoglm-warm-"))
        self.socket = place / "socket"
        self._next_start = time.monotonic() + self._pause
        self._pause = min(_LONGEST_PAUSE_S, self._pause * 2)
        command = [sys.executable, "-m", zygote.__name__, str(self.socket), titles.ROOM]
        with open(self._log_file, "ab") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={**inherited.environment(), titles.PADDING: titles.ROOM},
                start_new_session=True,
            )

    def _note_end(self, code: int) -> None:
        self.process = None
        self._remove_socket()
        if code in (zygote.UNTESTED, zygote.UNFIT):
            self._never = f"warm starts are not possible here; see {self._log_file}"
        log.warning("the warm process has ended; runs start cold", code=code, log=str(self._log_file))

    def _remove_socket(self) -> None:
        if self.socket is not None:
            shutil.rmtree(self.socket.parent, ignore_errors=True)
            self.socket = None

    def _ask(self, directory: Path) -> WarmProcess:
        """Raises OSError if there is no warm process yet. Raises ValueError if it says that cold is right."""
        if self.socket is None:
            raise OSError("there is no warm process")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_S)
            connection.connect(str(self.socket))
            request = {"directory": str(directory), "environment": inherited.environment()}
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer, descriptors, _flags, _address = socket.recv_fds(connection, 65536, 1)
        said = json.loads(answer)
        if "cold" in said:
            self.stop()  # and a new one, made from what is there now, at the next call
            self._next_start = 0.0
            raise ValueError(said["cold"])
        return WarmProcess(int(said["pid"]), descriptors[0])
