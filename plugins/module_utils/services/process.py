# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One process: its identity, its start, and a descriptor that never means another process of the same number."""

from __future__ import annotations

import contextlib
import json
import os
import select as polling
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..host.numbers import whole_number
from ..host.piece import Part, Piece, collect
from ..host.processes import living_thread, read_file
from ..host.unread import Unread
from .ownership import MARK, own_group

_TICKS = os.sysconf("SC_CLK_TCK")
_MONITOR = "conmon"
_MAX_ENVIRON = 4 * 1024 * 1024


@dataclass(frozen=True)
class Process:
    """What /proc tells of one process without waiting for its memory map, which may be locked for as long as a driver
    hangs. state: a letter (T: stopped by a signal, Z: a zombie); of a process whose first thread has ended, that of one
    that goes on.  began: seconds of the boot-time clock.
    uid: the real user's."""

    pid: int
    state: str
    name: str
    session: int
    began: float
    uid: int

    @property
    def alive(self) -> bool:
        return self.state not in ("Z", "X", "x")

    @property
    def began_at(self) -> float:
        """Seconds since the epoch, by the clock as it is set now."""
        return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - self.began)


def read(proc: Path, pid: int) -> Process | None:
    """One process, or None where there is none of this number.

    Raises OSError where it may not be read, and Unread where the text is not in the kernel's format.
    """
    root = proc / str(pid)
    try:
        text, uid, living = read_file(root / "stat"), _read_uid(root), living_thread(root)
        state = state_in(read_file(living / "stat")) if living is not None else state_in(text)
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name is in parentheses and may hold any character; proc(5) counts the fields from 1.
    head, _parenthesis, rest = text.rpartition(")")
    fields = rest.split()
    session, began = (whole_number(fields[at]) if len(fields) > at else None for at in (3, 19))
    if uid is None or session is None or began is None:
        raise Unread(f"{root} does not tell of a process as the kernel does")
    return Process(pid=pid, state=state, name=head.partition("(")[2], session=session, began=began / _TICKS, uid=uid)


@dataclass(frozen=True)
class Program:
    """The program of a process. mark: the value of MARK in its environment.  Fields are empty where unreadable."""

    argv: tuple[str, ...] = ()
    exe: str = ""
    mark: str = ""


def program(proc: Path, pid: int, seconds: float) -> Program:
    """The program of a process, read in a child that is left behind if it hangs. Raises Unread."""
    part = Part(f"process {pid}", lambda: Piece(json.dumps(_read_program(proc / str(pid))), ""), seconds=seconds)
    told = json.loads(collect(part, part.limit).content)
    return Program(tuple(told["argv"]), told["exe"], told["mark"])


def marks(proc: Path, pids: Iterable[int], seconds: float) -> dict[int, str]:
    """The marks of all processes that have one, read in the same way. Raises Unread."""

    def find() -> Piece:
        found = {pid: _read_mark(proc / str(pid)) for pid in pids}
        return Piece(json.dumps({pid: mark for pid, mark in found.items() if mark}), "")

    part = Part("marks", find, seconds=seconds)
    return {int(pid): mark for pid, mark in json.loads(collect(part, part.limit).content).items()}


def state_of(proc: Path, pid: int) -> str | None:
    """The letter of a process's state, None when it is gone or cannot be read."""
    try:
        return state_in(read_file((living_thread(proc / str(pid)) or proc / str(pid)) / "stat")) or None
    except OSError:
        return None


def behind_monitor(proc: Path, pid: int) -> int:
    """The first process of a container, where this one is the monitor that podman has put before it; else this one.

    A unit that runs a container has conmon as its main process (podman-run(1), --sdnotify), which lives on while the
    engine behind it is stopped by a signal.
    """
    root = proc / str(pid)
    try:
        name = read_file(root / "comm").strip()
        children = read_file(root / "task" / str(pid) / "children").split() if name == _MONITOR else []
    except OSError:
        return pid
    return (whole_number(children[0]) or pid) if len(children) == 1 else pid


def state_in(stat: str) -> str:
    """The letter of the state in C(/proc/PID/stat), empty where there is none."""
    return "".join(stat.rpartition(")")[2].split()[:1])


def cgroup_of(proc: Path, pid: int) -> str | None:
    """The path of a process's control group, None when it is gone or cannot be read."""
    try:
        return own_group(read_file(proc / str(pid) / "cgroup"))
    except OSError:
        return None


@contextlib.contextmanager
def held(pid: int) -> Iterator[int]:
    """A descriptor that means this process for as long as it is open. Raises ProcessLookupError, OSError."""
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def send(descriptor: int, number: signal.Signals) -> None:
    """Send a signal through a descriptor; a process that has ended meanwhile is no error."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(descriptor, number)


def wait_for_end(descriptor: int, seconds: float) -> bool:
    """Wait until the process of a descriptor has ended; False if it still exists after that many seconds."""
    waiter = polling.poll()
    waiter.register(descriptor, polling.POLLIN)
    deadline = time.monotonic() + seconds
    while True:
        remaining = deadline - time.monotonic()
        if waiter.poll(max(0.0, remaining) * 1000):
            return True
        if remaining <= 0:
            return False


def await_end_of(pid: int, seconds: float) -> bool:
    """As wait_for_end(), by number, for callers to whom it does not matter if the number has been reused."""
    try:
        with held(pid) as descriptor:
            return wait_for_end(descriptor, seconds)
    except ProcessLookupError:
        return True


def _read_program(root: Path) -> dict[str, Any]:
    return {"argv": _read_argv(root), "exe": _read_exe(root), "mark": _read_mark(root)}


def _read_uid(root: Path) -> int | None:
    words = next((line.split() for line in read_file(root / "status").splitlines() if line.startswith("Uid:")), [])
    return whole_number(words[1]) if len(words) > 1 else None


def _read_mark(root: Path) -> str:
    prefix = f"{MARK}=".encode()
    try:
        with (root / "environ").open("rb") as file:
            entries = file.read(_MAX_ENVIRON).split(b"\0")
    except OSError:
        return ""
    return next((entry[len(prefix) :].decode("utf-8", "replace") for entry in entries if entry.startswith(prefix)), "")


def _read_argv(root: Path) -> tuple[str, ...]:
    try:
        raw = read_file(root / "cmdline")
    except OSError:
        return ()
    return tuple(raw.rstrip("\0").split("\0")) if raw else ()


def _read_exe(root: Path) -> str:
    try:
        return os.readlink(root / "exe")
    except OSError:
        return ""
