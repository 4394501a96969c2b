# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that begin in a service and are not among those that may: the watch for intruders.

Only a service that declares its programs is watched.  The kernel tells of each execve; which program it was is read
from ``/proc/PID/exe`` after it has begun.  What was gone by then, or could not be told, is counted as unseen, never as
well: by the program that began it, for a declared one begins short-lived helpers and an intruder begins what he likes.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import structlog

from autoglm_recovery.exporter.exec_connector import Executed, Forked
from autoglm_recovery.exporter.exec_programs import (
    AllowList,
    ExecutedProgram,
    Machine,
    UnknownProgramError,
    clean,
    read_program,
)
from autoglm_recovery.exporter.faults import CountedFault
from autoglm_recovery.exporter.services import NodeService, Services

_WAIT = 1.0
_TRY_AGAIN = 5.0
_REMEMBERED = 65536
_ANCESTORS = 8
_INIT = 1
_LOGGED = 256
# Who began what was not seen.
DECLARED, OTHER = BEGUN_BY = ("declared", "other")
# A look at a program hangs where its file system does, and an intruder may bring one that does.
_HANGS = 60.0

log = structlog.get_logger()


class ExecSource(Protocol):
    """What tells of executed programs.  ``heard``: it is certain that it tells.  ``lost``: events that it could not."""

    heard: bool
    lost: int

    def open(self) -> None: ...

    def close(self) -> None: ...

    def wait(self, seconds: float) -> None: ...

    def read(self) -> Iterator[Forked | Executed]: ...


@dataclass(frozen=True)
class Member:
    """What is known of a process of a watched service.  ``declared``: it ran a program that may run there."""

    service: NodeService
    declared: bool


@dataclass
class ExecWatch:
    """Follows a source until it is stopped, in a thread of its own."""

    source: ExecSource
    services: Services
    tell: Callable[[CountedFault], None]
    proc: Path = Path("/proc")
    unexpected: Counter[str] = field(default_factory=Counter)
    unseen: Counter[tuple[str, str]] = field(default_factory=Counter)
    clock: Callable[[], float] = time.monotonic
    _parents: OrderedDict[int, int] = field(default_factory=OrderedDict)
    _members: OrderedDict[int, Member] = field(default_factory=OrderedDict)
    _read_at: OrderedDict[int, tuple[float, Member]] = field(default_factory=OrderedDict)
    _logged: set[tuple[str, str]] = field(default_factory=set)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _turned_at: float = 0.0

    def __post_init__(self) -> None:
        self.watched = tuple(service for service in self.services.all if service.programs)
        machine = Machine(self.proc)
        self._machine = machine
        self.allow = AllowList(machine_file=machine.file, has_content=machine.has_content)

    @property
    def up(self) -> bool:
        """Whether the kernel tells, and somebody listens."""
        return self.source.heard and self.clock() - self._turned_at < _HANGS

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self.run, name="execs", daemon=True).start()

    def stop(self) -> None:
        """Stop watching."""
        self._stopping.set()

    def run(self) -> None:
        """Watch until told to stop; where nothing can be heard, try again."""
        said = ""
        while not self._stopping.is_set():
            try:
                self.allow.own_mounts = self._machine.mounts()
                self.source.open()
                while not self._stopping.is_set():
                    self._turned_at = self.clock()
                    for event in self.source.read():
                        self.take(event)
                    self.source.wait(_WAIT)
            except Exception as error:  # noqa: BLE001 - a watch that ended would look like one that sees nothing
                if str(error) != said:
                    log.warning("nobody watches what services execute", error=str(error))
                    said = str(error)
                self.source.close()
                self._stopping.wait(_TRY_AGAIN)
        self.source.close()

    def take(self, event: Forked | Executed) -> None:
        """Take an event, in the order in which they come."""
        if isinstance(event, Forked):
            self._take_fork(event)
        else:
            self._take_exec(event)

    def _take_fork(self, event: Forked) -> None:
        """Remember whose child it is: it may be gone before anybody asks.  Its number may have been another's."""
        self._read_at.pop(event.child, None)
        self._members.pop(event.child, None)
        _remember(self._parents, event.child, event.parent)
        member = self._members.get(event.parent)
        if member is not None:
            _remember(self._members, event.child, member)

    def _take_exec(self, event: Executed) -> None:
        program = read_program(self.proc, event.pid)  # first of all: it may end at any moment
        now = self.clock()
        before = self._read_at.pop(event.pid, None)
        if before is not None and event.at < before[0]:
            # What was read of the execve before was this one's program already.
            self._count_unseen(before[1])
        service = self._service_of(event.pid, program)
        if service is None or not service.programs:
            self._members.pop(event.pid, None)
            return
        begun_by = self._begun_by(event.pid, service)
        declared = self._judge(service, program, event.pid, begun_by)
        _remember(self._members, event.pid, Member(service, declared))
        _remember(self._read_at, event.pid, (now, begun_by))

    def _judge(self, service: NodeService, program: ExecutedProgram | None, pid: int, begun_by: Member) -> bool:
        """Count it, where it is not one that may run, and tell whether it is."""
        if program is None:
            self._count_unseen(begun_by)
            self._log_once("a program of a service ended before it was seen", service, "", pid)
            return False
        try:
            why = self.allow.why_not(service, program)
        except UnknownProgramError as error:
            self._count_unseen(begun_by)
            self._log_once(
                "nobody can tell whether a program may run in a service", service, clean(program.path), pid, str(error)
            )
            return False
        if why:
            self._report(service, program, why, pid)
        return not why

    def _report(self, service: NodeService, program: ExecutedProgram, why: str, pid: int) -> None:
        self.unexpected[service.name] += 1
        name = clean(program.path)
        labels = {
            "kind": "unexpected_exec",
            "failure_class": "intrusion",
            "service": service.name,
            "pool": service.pool,
        }
        labels = {key: value for key, value in labels.items() if value}
        self.tell(CountedFault(labels, time.time(), f"{name}, process {pid}, {why}."))
        self._log_once("a program that may not run there ran in a service", service, name, pid, why)

    def _log_once(self, text: str, service: NodeService, name: str, pid: int, why: str = "") -> None:
        """Log each program once: a storm of them must not fill the log."""
        if (service.name, name) in self._logged or len(self._logged) >= _LOGGED:
            return
        self._logged.add((service.name, name))
        parent = self._parents.get(pid)
        by = read_program(self.proc, parent) if parent is not None else None
        log.warning(
            text,
            service=service.name,
            program=name,
            pid=pid,
            why=why,
            parent=parent,
            parent_program=None if by is None else clean(by.path),
        )

    def _count_unseen(self, begun_by: Member) -> None:
        self.unseen[begun_by.service.name, DECLARED if begun_by.declared else OTHER] += 1

    def _begun_by(self, pid: int, service: NodeService) -> Member:
        """Return what the process ran before: its own program, or the one that it was forked from."""
        if pid not in self._members and self._parents.get(pid) == _INIT:
            return Member(service, True)  # systemd begins what the unit says
        known = self._members.get(pid) or self._forefather(self._parents.get(pid))
        return known if known is not None and known.service == service else Member(service, False)

    def _look_at_member(self, pid: int) -> Member | None:
        """Return what can be read of a process that began before the watch; it may be gone at the next question."""
        text = self._membership(pid)
        service = None if text is None else self.services.of_membership(text)
        if service is None or not service.programs:
            return None
        program, declared = read_program(self.proc, pid), False
        if program is not None:
            with contextlib.suppress(UnknownProgramError):
                declared = not self.allow.why_not(service, program)
        member = Member(service, declared)
        _remember(self._members, pid, member)
        return member

    def _service_of(self, pid: int, program: ExecutedProgram | None) -> NodeService | None:
        text = self._membership(pid)
        service = None if text is None else self.services.of_membership(text)
        if service is None and (program is None or read_program(self.proc, pid) is None):
            # Control groups of version 1 let go of what has ended.
            member = self._forefather(pid)
            return None if member is None else member.service
        return service

    def _forefather(self, pid: int | None) -> Member | None:
        """Return what is known of a process that may be gone, or of the nearest of those that it was forked from."""
        for _ in range(_ANCESTORS):
            if pid is None:
                return None
            member = self._members.get(pid) or self._look_at_member(pid)
            if member is not None:
                return member
            pid = self._parents.get(pid)
        return None

    def _membership(self, pid: int) -> str | None:
        try:
            return (self.proc / str(pid) / "cgroup").read_text("utf-8", "replace") or None
        except OSError:
            return None


def _remember(memory: OrderedDict, key: int, value: object) -> None:  # type: ignore[type-arg]
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > _REMEMBERED:
        memory.popitem(last=False)
