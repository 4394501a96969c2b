# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The protocol of every kind of service: a systemd unit, a container, or a process with a PID file.

A state that could not be read is C(unknown) with a reason, never stopped: the caller would start a second process
beside the first, or take a running service for dead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from ..host.piece import cut
from .ownership import Ownership

# running: there is a main process.  starting: the process, or the attempt to start one, is under way.  paused: frozen
# by the container runtime.  failed: no process, and the end was not a clean one.  absent: there is no such service.
# unknown goes with readable False, and only with that.
RUNNING, STARTING, STOPPING, PAUSED = "running", "starting", "stopping", "paused"
STOPPED, FAILED, ABSENT, UNKNOWN = "stopped", "failed", "absent", "unknown"
# Letters of /proc/PID/stat: stopped by a signal, or by a tracer.
STOPPED_STATES = ("T", "t")
WITHOUT_PROCESS = (STOPPED, FAILED, ABSENT)
# The limit of a log in bytes, for lines of any length.
LONGEST_LOG = 4 * 1024 * 1024


class ServiceError(Exception):
    """A change of the service failed. The text says what happened, and what would help."""


@dataclass(frozen=True)
class ProcessEnd:
    """How the last main process ended, as far as the kind of service tells.

    text: for people.  clean: it ended by its own choice or by an order; None where that is not told.  exit_code and
    signal: one of them, if known.  out_of_memory: what the orchestrator itself says of it.

    The rest lets a line of the kernel's log be recognised as this process's, see health/oom.py.  pid: the number that
    it had.  since and at: seconds of the monotonic clock, of its start and its end.  unit: systemd's name of it, which
    its control group has.  groups: what its container's control group may be called, as no other one is.  programs:
    names under which the kernel may mention it.
    """

    text: str = ""
    clean: bool | None = None
    exit_code: int | None = None
    signal: int | None = None
    out_of_memory: str = ""
    pid: int | None = None
    since: float | None = None
    at: float | None = None
    unit: str = ""
    groups: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()

    @property
    def by_sigkill(self) -> bool:
        """Signal 9, or the 137 by which a wrapper or a container reports the same."""
        return self.signal == 9 or self.exit_code == 137


@dataclass(frozen=True)
class Status:
    """One look at a service. C(readable) False: nothing below it is known, and C(reason) says why.

    detail: the state in the words of the service's own orchestrator.  cgroup: the path of the main process's control
    group as /proc/PID/cgroup tells it.  process_state: the letter of /proc/PID/stat (T: stopped by a signal).
    since: ISO 8601, UTC.  restarts_itself: who starts it again by itself, and when; empty for nobody.
    may_return: having no process now is no sign that it stays so, because the orchestrator does not tell one that it is
    about to start again from one that was stopped.
    oom: was the end the OOM killer's work; None where that could not be told, or was not looked for.
    oom_kills: how many processes the kernel has killed in the control group of the running service.
    """

    kind: str
    name: str
    readable: bool = True
    reason: str = ""
    exists: bool = True
    state: str = UNKNOWN
    detail: str = ""
    main_pid: int | None = None
    process_state: str | None = None
    cgroup: str | None = None
    since: str | None = None
    running_seconds: float | None = None
    restarts_itself: str = ""
    may_return: bool = False
    end: ProcessEnd = field(default_factory=ProcessEnd)
    oom: bool | None = None
    oom_evidence: tuple[str, ...] = ()
    oom_kills: int | None = None
    remarks: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """For people: what it is, and its name."""
        return f"{_WORDS.get(self.kind, self.kind)} {self.name}"

    @property
    def process_gone(self) -> bool:
        """Whether the status was read and there is no main process, or only its zombie."""
        if not self.readable:
            return False
        if self.main_pid is not None:
            return self.process_state in ("Z", "X")
        # In an active unit without a main process, systemd does not know that process (Type=forking).
        return self.state != RUNNING


@dataclass(frozen=True)
class Logs:
    """The end of a service's log, as it was written; the caller must redact it."""

    text: str
    source: str


def last(content: bytes) -> str:
    """The end of a log as a text that is not too long, from the beginning of a line where there is one in it."""
    return cut(content, LONGEST_LOG, keep_tail=True).decode("utf-8", "replace")


class Service(Protocol):
    """One service of this host. Every command has a deadline."""

    kind: str
    name: str

    def status(self) -> Status:
        """The service's present status. Does not raise."""

    def start(self) -> None:
        """Begin to start the service, without waiting until it runs. Raises ServiceError."""

    def ask_to_stop(self, status: Status) -> str:
        """Begin to stop the service as it is configured. Returns the name of the signal. Raises ServiceError."""

    def kill(self, status: Status) -> None:
        """End all processes of the service by SIGKILL. Raises ServiceError."""

    def finish(self, status: Status) -> None:
        """End the processes that the ended main process has left, where the orchestrator does not. Raises ServiceError.

        status: from before the end of the main process.
        """

    def logs(self, lines: int) -> Logs:
        """The last lines of the service's log. Raises Unread."""

    def describe(self) -> Logs:
        """The orchestrator's full description of the service, for a person. Raises Unread."""

    def ownership(self) -> Ownership:
        """The proof by which a process belongs to the service. Raises Unread."""

    def forget_failures(self) -> None:
        """Reset the orchestrator's count of failed starts, which could forbid the next start. Does not raise."""


_WORDS = {"systemd": "unit", "podman": "podman container", "docker": "Docker container", "pid_file": "PID file"}
