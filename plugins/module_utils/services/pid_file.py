# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service that is a process with a PID file, started by a command of the inventory."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from ..host import clocks, paths
from ..host.processes import pids
from ..host.unread import Unread
from . import identity, process, protocol, spawn
from .identity import PidFile
from .ownership import Ownership
from .process import Process
from .protocol import LONGEST_LOG, Logs, ProcessEnd, ServiceError, Status, last

_MAX_BYTES = 4096
_DEATH_SECONDS = 10.0


class PidFileService:
    """timeout: seconds for each look at a file or process that could block."""

    kind = "pid_file"

    def __init__(self, path: str, command: spawn.SpawnCommand, timeout: float, proc: Path = Path("/proc")) -> None:
        if not os.path.isabs(path) or ".." in Path(path).parts:
            raise ValueError(f"{path!r} is not the absolute path of a PID file")
        self.name = path
        self._command, self._timeout, self._proc = command, timeout, proc

    def status(self) -> Status:
        try:
            file = self._read_file()
            if file is None:
                return self._stopped_status()
            found = process.read(self._proc, file.pid)
            judged = self._identify(file, found)
        except Unread as error:
            return self._unreadable_status(str(error))
        except OSError as error:
            return self._unreadable_status(f"{self.name}: {error.strerror}")
        return self._status_by_identity(file, found, judged)

    def start(self) -> None:
        with spawn.alone(os.path.dirname(self.name), self._timeout):
            status = self.status()
            if not status.readable:
                raise ServiceError(status.reason)
            if status.process_gone:
                spawn.start(self._command, self.name, self._timeout)

    def ask_to_stop(self, status: Status) -> str:
        self._send_signal(status, signal.SIGTERM)
        return "SIGTERM"

    def kill(self, status: Status) -> None:
        self._send_signal(status, signal.SIGKILL)

    def finish(self, status: Status) -> None:
        """End the processes that the main process of C(status) has left, and remove its PID file. Raises ServiceError.

        status: from when the main process was proven to be the service's. The number of a session is not reused while
        a process of it lives, so the processes in the session of an ended leader are its own.
        """
        leader = status.main_pid
        if leader is None:
            return
        for pid in self._left_by(leader):
            self._end_process(pid, leader)
        self._remove_file(leader)

    def logs(self, lines: int) -> Logs:
        path = self._command.log_file
        if path is None:
            raise Unread("no log_file is declared for the service")
        try:
            with os.fdopen(paths.open_file(path), "rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(max(0, size - LONGEST_LOG - 1))
                text = last(file.read(LONGEST_LOG + 1))
        except OSError as error:
            raise Unread(f"{path}: {error.strerror}") from error
        return Logs("".join(text.splitlines(keepends=True)[-lines:]), path)

    def describe(self) -> Logs:
        file = self._read_file()
        if file is None:
            return Logs(f"{self.name}: there is no such file\n", self.name)
        found = process.read(self._proc, file.pid)
        judged = self._identify(file, found)
        text = (
            f"process: {file.pid}\nwritten at: {clocks.iso(file.written_at)}\nowner: {file.owner}\n"
            f"identity: {judged.verdict} {judged.reason}\n"
        )
        began = "" if found is None else f"began at: {clocks.iso(found.began_at)} ({found.name})\n"
        return Logs(text + began, self.name)

    def ownership(self) -> Ownership:
        file = self._read_file()
        return Ownership(mark="" if file is None else file.mark)

    def forget_failures(self) -> None:
        """Do nothing: failed starts are not counted."""

    def _read_file(self) -> PidFile | None:
        """The contents of the PID file, None where there is none. Raises Unread."""
        try:
            descriptor = paths.open_file(self.name)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unread(f"{self.name}: {error.strerror}") from error
        try:
            about = os.fstat(descriptor)
            if about.st_mode & stat.S_IWOTH:
                raise Unread(f"{self.name} may be written by anybody, who could so have us end any process")
            pid = identity.parse_pid(os.read(descriptor, _MAX_BYTES).decode("ascii", "replace"))
        except ValueError as error:
            raise Unread(f"{self.name}: {error}") from error
        except OSError as error:
            raise Unread(f"{self.name}: {error.strerror}") from error
        finally:
            os.close(descriptor)
        return PidFile(self.name, pid, about.st_mtime, about.st_uid)

    def _remove_file(self, leader: int) -> None:
        """Remove the PID file if it is still the leader's, relative to the directory that it was read in."""
        try:
            directory = paths.open_directory(os.path.dirname(self.name))
        except OSError:
            return
        try:
            name = os.path.basename(self.name)
            before = os.stat(name, dir_fd=directory, follow_symlinks=False)
            file = self._read_file()
            after = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if file is not None and file.pid == leader and os.path.samestat(before, after):
                os.unlink(name, dir_fd=directory)
        except FileNotFoundError:
            return
        finally:
            os.close(directory)

    def _identify(self, file: PidFile, found: Process | None) -> identity.Identity:
        program = None
        if found is not None and identity.needs_program(file, found):
            with contextlib.suppress(Unread):
                program = process.program(self._proc, file.pid, self._timeout)
        return identity.identify(file, found, program, self._command.argv)

    def _send_signal(self, status: Status, number: signal.Signals) -> None:
        if status.main_pid is None:
            return
        try:
            with process.held(status.main_pid) as descriptor:
                # The descriptor is opened before the check, so that the number cannot go to another process in between.
                again = self.status()
                if again.main_pid != status.main_pid:
                    return
                process.send(descriptor, number)
        except ProcessLookupError:
            return
        except OSError as error:
            raise ServiceError(f"{number.name} to process {status.main_pid}: {error.strerror}") from error

    def _left_by(self, leader: int) -> Iterator[int]:
        mark = f"{self.name}:{leader}"
        others = [pid for pid in pids(self._proc) if pid not in (leader, os.getpid())]
        try:
            marked = process.marks(self._proc, others, self._timeout)
        except Unread:
            marked = {}
        for pid in others:
            if marked.get(pid) == mark or self._session_of(pid) == leader:
                yield pid

    def _session_of(self, pid: int) -> int | None:
        with contextlib.suppress(OSError, Unread):
            found = process.read(self._proc, pid)
            return found.session if found is not None and found.alive else None
        return None

    def _end_process(self, pid: int, leader: int) -> None:
        with contextlib.suppress(ProcessLookupError), process.held(pid) as descriptor:
            if pid not in set(self._left_by(leader)):
                return
            process.send(descriptor, signal.SIGKILL)
            if not process.wait_for_end(descriptor, _DEATH_SECONDS):
                raise ServiceError(
                    f"process {pid}, which {self.name} has left, did not die within {_DEATH_SECONDS:g} s"
                )

    def _status_by_identity(self, file: PidFile, found: Process | None, judged: identity.Identity) -> Status:
        if judged.verdict == identity.DOUBTFUL:
            return self._unreadable_status(judged.reason)
        if found is None or judged.verdict != identity.OURS:
            return self._gone_status(file, judged.reason)
        if not found.alive:
            return self._gone_status(
                file, f"process {found.pid} ({found.name}) has ended, and its parent has not taken note"
            )
        return self._running_status(found)

    def _unreadable_status(self, reason: str) -> Status:
        return Status(self.kind, self.name, readable=False, reason=reason)

    def _stopped_status(self) -> Status:
        end = ProcessEnd(text="there is no PID file: it was not started, or stopped by somebody's order", clean=True)
        return Status(self.kind, self.name, state=protocol.STOPPED, detail="no PID file", end=end)

    def _gone_status(self, file: PidFile, reason: str) -> Status:
        argv = self._command.argv
        end = ProcessEnd(
            text=f"{reason}; a PID file does not tell how it ended",
            pid=file.pid,
            since=clocks.to_monotonic(file.written_at),
            programs=tuple(dict.fromkeys(os.path.basename(word)[:15] for word in argv if word.startswith("/"))),
        )
        return Status(self.kind, self.name, state=protocol.FAILED, detail=reason, end=end)

    def _running_status(self, found: Process) -> Status:
        return Status(
            self.kind,
            self.name,
            state=protocol.RUNNING,
            detail=f"process {found.pid} ({found.name}) runs",
            main_pid=found.pid,
            process_state=found.state,
            cgroup=process.cgroup_of(self._proc, found.pid),
            since=clocks.iso(found.began_at),
            running_seconds=time.clock_gettime(time.CLOCK_BOOTTIME) - found.began,
        )
