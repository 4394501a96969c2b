# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service that is a container, by the command line of podman or Docker, which is the same for these commands."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..host import clocks
from ..host.command import CommandResult, Runner, run
from ..host.unread import Unread
from . import inspection, protocol
from .ownership import Ownership
from .process import cgroup_of, state_of
from .protocol import Logs, ServiceError, Status, last

RUNTIMES = ("docker", "podman")


class Container:
    """A container of this host that exists already, running or not. timeout: seconds for each command."""

    def __init__(
        self, name: str, runtime: str, timeout: float, run_command: Runner = run, proc: Path = Path("/proc")
    ) -> None:
        if runtime not in RUNTIMES:
            raise ValueError(f"{runtime!r} is not a container runtime; known are {', '.join(RUNTIMES)}")
        self.kind = runtime
        self.name = inspection.container_name(name)
        self._timeout, self._run, self._proc = timeout, run_command, proc

    def status(self) -> Status:
        try:
            found = self._inspect()
        except Unread as error:
            return Status(self.kind, self.name, readable=False, reason=str(error))
        if found is None:
            reason = f"{self.kind} knows no container {self.name}"
            return Status(self.kind, self.name, exists=False, state=protocol.ABSENT, detail="absent", reason=reason)
        state = inspection.state(found)
        if state == protocol.UNKNOWN:
            reason = f"{self.kind} tells a state that is not known here: {inspection.detail(found)}"
            return Status(self.kind, self.name, readable=False, reason=reason)
        if state in (protocol.RUNNING, protocol.PAUSED) and inspection.main_pid(found) is None:
            reason = f"{self.kind} says that {self.name} is {inspection.detail(found)}, and tells no process"
            return Status(self.kind, self.name, readable=False, reason=reason)
        return self._status_from(found)

    def start(self) -> None:
        found = self._inspect_existing()
        self._refuse_managed(found)
        paused = inspection.state(found) == protocol.PAUSED
        self._run_runtime("unpause" if paused else "start")

    def ask_to_stop(self, status: Status) -> str:
        # Not "stop", which would wait and then kill by itself. Both runtimes treat a signal that was sent through them
        # as an order, after which the restart policy does not start the container again.
        found = self._inspect_existing()
        self._refuse_managed(found)
        if status.main_pid is None:
            self.kill(status)  # between two starts the container has no process to signal
            return ""
        if status.state == protocol.PAUSED:
            self._run_runtime("unpause")  # a frozen container handles no signal
        name = inspection.stop_signal(found)
        try:
            self._run_runtime("kill", "--signal", name)
        except ServiceError:
            if self.status().main_pid == status.main_pid:  # else it has ended meanwhile
                raise
        return name

    def kill(self, status: Status) -> None:  # noqa: ARG002
        # Unlike "kill", "stop" also ends starts that a restart policy has under way.
        self._run_runtime("stop", "-t", "0")  # the long option's name differs in newer Dockers

    def finish(self, status: Status) -> None:
        """Do nothing: the kernel ends all processes of a container with its first one."""

    def logs(self, lines: int) -> Logs:
        argv = [self.kind, "logs", "--timestamps", "--tail", str(lines), self.name]
        outcome = self._run(argv, self._timeout)
        if outcome.complaint() and not (outcome.cut and outcome.rc == 0):
            raise Unread(f"{self.kind} logs: {outcome.complaint()}")
        # The container's two streams arrive on ours; the time before each line restores their order.
        both = (last(outcome.stdout) + last(outcome.stderr)).splitlines()
        if not both:
            raise Unread(f"{self.name} has logged nothing, or its log driver does not give it back")
        ordered = sorted(both, key=lambda line: line.partition(" ")[0])[-lines:]
        return Logs("".join(f"{line}\n" for line in ordered), " ".join(argv))

    def describe(self) -> Logs:
        outcome = self._run(self._inspection, self._timeout)
        if outcome.complaint():
            raise Unread(self._inspect_problem(outcome))
        return Logs(outcome.stdout.decode("utf-8", "replace"), " ".join(self._inspection))

    def ownership(self) -> Ownership:
        found = self._inspect()
        return Ownership(container_id="" if found is None else inspection.container_id(found))

    def forget_failures(self) -> None:
        """Do nothing: neither runtime refuses a start because of earlier failures."""

    @property
    def _inspection(self) -> list[str]:
        return [self.kind, "container", "inspect", self.name]

    def _inspect(self) -> dict[str, Any] | None:
        """The container, None where there is none of this name. Raises Unread."""
        outcome = self._run(self._inspection, self._timeout)
        if outcome.rc not in (0, None) and b"no such container" in outcome.stderr.lower():
            return None
        if outcome.complaint():
            raise Unread(self._inspect_problem(outcome))
        return inspection.parse(outcome.stdout.decode("utf-8", "replace"))

    def _inspect_existing(self) -> dict[str, Any]:
        try:
            found = self._inspect()
        except Unread as error:
            raise ServiceError(str(error)) from error
        if found is None:
            raise ServiceError(f"{self.kind} knows no container {self.name}")
        return found

    def _refuse_managed(self, found: Mapping[str, Any]) -> None:
        manager = inspection.manager(found)
        if manager:
            raise ServiceError(
                f"container {self.name} is managed by {manager}, which would act against us; "
                "declare that in place of the container"
            )

    def _run_runtime(self, *words: str) -> None:
        outcome = self._run([self.kind, *words, self.name], self._timeout)
        if outcome.complaint():
            raise ServiceError(f"{self.kind} {words[0]} {self.name}: {outcome.complaint()}")

    def _inspect_problem(self, outcome: CommandResult) -> str:
        return f"{self.kind} container inspect {self.name}: {outcome.complaint()}"

    def _status_from(self, found: Mapping[str, Any]) -> Status:
        pid = inspection.main_pid(found)
        began = None if pid is None else inspection.started_at(found)
        manager = inspection.manager(found)
        return Status(
            self.kind,
            self.name,
            state=inspection.state(found),
            detail=inspection.detail(found),
            main_pid=pid,
            process_state=None if pid is None else state_of(self._proc, pid),
            cgroup=None if pid is None else cgroup_of(self._proc, pid),
            since=None if began is None else clocks.iso(began),
            running_seconds=None if began is None else time.time() - began,
            restarts_itself=manager or inspection.restart_policy(found),
            # Docker tells "restarting". podman tells "exited" between the end and the next start.
            may_return=self.kind == "podman" and bool(inspection.restart_policy(found)),
            end=protocol.ProcessEnd() if pid is not None else inspection.last_end(found),
        )
