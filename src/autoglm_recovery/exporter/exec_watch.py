# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that begin in a service and are not among those that may: the watch for intruders.

Only a service that declares its programs is watched.  The kernel tells of each execve; which program it was is read
from ``/proc/PID/exe`` after it has begun.  What was gone by then is counted as unseen, never as well.
"""

from __future__ import annotations

import os
import re
import stat
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import structlog

from autoglm_recovery.exporter.exec_connector import Executed, Forked
from autoglm_recovery.exporter.faults import CountedFault
from autoglm_recovery.exporter.services import NodeService, Services

# systemd (254 and later) begins each unit's program through this one.
_EXECUTOR = "/usr/lib/systemd/systemd-executor"
_WAIT = 1.0
_TRY_AGAIN = 5.0
_REMEMBERED = 65536
_ANCESTORS = 8
_LOGGED = 256
_UNCLEAN = re.compile(r"[^A-Za-z0-9_./+:@() -]")
_LONGEST = 200

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
class ExecutedProgram:
    """A program as the kernel runs it.  ``path``: in its own mounts, such as "/memfd:x (deleted)".

    ``mounts``: its mount namespace.  ``regular``: it is a file that still has a name.
    """

    path: str
    file: tuple[int, int]
    mounts: int
    regular: bool = True


@dataclass
class AllowList:
    """Decides.  ``own_mounts``: the mount namespace of the machine.

    In a container a declared program stays the file that it was at the first look; the machine's own may be upgraded.
    """

    own_mounts: int | None
    executor: tuple[int, int] | None = None
    _pinned: OrderedDict[tuple[str, int, str], tuple[int, int]] = field(default_factory=OrderedDict)

    def why_not(self, service: NodeService, program: ExecutedProgram) -> str:
        """Return why a program may not run in a service; empty where it may."""
        if program.path == _EXECUTOR and self.executor is not None and program.file == self.executor:
            return ""
        if program.path not in service.programs:
            return "is not among its programs"
        if not program.regular:
            return "has no name in the file system any more"
        if program.mounts == self.own_mounts:
            return ""
        key = (service.name, program.mounts, program.path)
        pinned = self._pinned.setdefault(key, program.file)
        if len(self._pinned) > _REMEMBERED:
            self._pinned.popitem(last=False)
        return "" if pinned == program.file else "is not the file that it was when the container began"


def clean(path: str) -> str:
    """Return a path that an intruder has chosen, fit for people's eyes."""
    return _UNCLEAN.sub("?", path)[:_LONGEST]


@dataclass
class ExecWatch:
    """Follows a source until it is stopped, in a thread of its own."""

    source: ExecSource
    services: Services
    tell: Callable[[CountedFault], None]
    proc: Path = Path("/proc")
    unexpected: Counter[str] = field(default_factory=Counter)
    unseen: Counter[str] = field(default_factory=Counter)
    allow: AllowList = field(init=False)
    _parents: OrderedDict[int, int] = field(default_factory=OrderedDict)
    _members: OrderedDict[int, NodeService] = field(default_factory=OrderedDict)
    _read_at: OrderedDict[int, tuple[float, NodeService]] = field(default_factory=OrderedDict)
    _logged: set[tuple[str, str]] = field(default_factory=set)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.watched = tuple(service for service in self.services.all if service.programs)
        self.allow = AllowList(_inode(self.proc / "1/ns/mnt") or _inode(Path("/proc/self/ns/mnt")), _file(_EXECUTOR))

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
                self.source.open()
                while not self._stopping.is_set():
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
        before = self._read_at.pop(event.pid, None)
        if before is not None and event.at < before[0]:
            # What was read of the execve before was this one's program already.
            self.unseen[before[1].name] += 1
        found = self._membership(event.pid)
        service = None if found is None else self.services.of_membership(found)
        if service is None and self._program(event.pid) is None:
            service = self._service_of_gone(event.pid)  # control groups of version 1 let go of what has ended
        if service is None or not service.programs:
            self._members.pop(event.pid, None)
            return
        _remember(self._members, event.pid, service)
        program = self._program(event.pid)
        _remember(self._read_at, event.pid, (time.monotonic(), service))
        if program is None:
            self.unseen[service.name] += 1
            self._log_once("a program of a service ended before it was seen", service, "", event.pid)
            return
        why = self.allow.why_not(service, program)
        if why:
            self._report(service, program, why, event.pid)

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
        by = self._program(parent) if parent is not None else None
        log.warning(
            text,
            service=service.name,
            program=name,
            pid=pid,
            why=why,
            parent=parent,
            parent_program=None if by is None else clean(by.path),
        )

    def _service_of_gone(self, pid: int) -> NodeService | None:
        """Return the service of a process that is gone, by what is known of it and its forefathers."""
        for _ in range(_ANCESTORS):
            if pid in self._members:
                return self._members[pid]
            text = self._membership(pid)
            service = None if text is None else self.services.of_membership(text)
            if service is not None:
                _remember(self._members, pid, service)  # it may be gone itself at the next question
                return service
            if pid not in self._parents:
                return None
            pid = self._parents[pid]
        return None

    def _membership(self, pid: int) -> str | None:
        try:
            return (self.proc / str(pid) / "cgroup").read_text("utf-8", "replace") or None
        except OSError:
            return None

    def _program(self, pid: int) -> ExecutedProgram | None:
        folder = self.proc / str(pid)
        try:
            path, seen = os.readlink(folder / "exe"), os.stat(folder / "exe")
            mounts = os.stat(folder / "ns/mnt").st_ino
        except OSError:
            return None
        return ExecutedProgram(
            path, (seen.st_dev, seen.st_ino), mounts, stat.S_ISREG(seen.st_mode) and seen.st_nlink > 0
        )


def _remember(memory: OrderedDict, key: int, value: object) -> None:  # type: ignore[type-arg]
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > _REMEMBERED:
        memory.popitem(last=False)


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _file(path: str) -> tuple[int, int] | None:
    try:
        seen = os.stat(path)
    except OSError:
        return None
    return seen.st_dev, seen.st_ino
