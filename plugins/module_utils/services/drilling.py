# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults for a drill: a service is really broken, as its class of failure breaks it, and can be let go again.

- C(crash): its main process is killed, by nobody's order.
- C(unresponsive): its main process is stopped by a signal; it is there, and answers nothing.
- C(deadlock): the process of the engine behind an API that lives on is stopped; requests wait, and none moves.
"""

from __future__ import annotations

import signal
from pathlib import Path

from ..host.processes import read_file
from . import process
from .protocol import STOPPED_STATES, ServiceError, Status

CRASH, UNRESPONSIVE, DEADLOCK = "crash", "unresponsive", "deadlock"
FAULTS = (CRASH, UNRESPONSIVE, DEADLOCK)
# What vLLM calls the process of its engine since its V1: vllm/v1/engine/core.py sets the title VLLM::EngineCore.
_ENGINE_PROCESS = "EngineCore"


def victim(status: Status, fault: str, proc: Path = Path("/proc")) -> int:
    """The process to which a fault is done. Raises ServiceError where the service has none, or is broken already."""
    pid = _main_pid(status)
    return _engine_process(pid, proc) if fault == DEADLOCK else pid


def inject(status: Status, fault: str, proc: Path = Path("/proc")) -> int:
    """Break a running service; return the process that it was done to. Raises ServiceError."""
    pid = victim(status, fault, proc)
    _signal(pid, signal.SIGKILL if fault == CRASH else signal.SIGSTOP)
    return pid


def held_back(status: Status, proc: Path = Path("/proc")) -> list[int]:
    """Every process of the service that a signal has stopped. Raises ServiceError."""
    if not status.readable:
        raise ServiceError(f"the state of {status.label} cannot be read: {status.reason}")
    family = [] if status.main_pid is None else [status.main_pid, *descendants(status.main_pid, proc)]
    return [pid for pid in family if process.state_of(proc, pid) in STOPPED_STATES]


def let_go(status: Status, proc: Path = Path("/proc")) -> list[int]:
    """Let every process of the service go on that a signal has stopped; return them. Raises ServiceError."""
    held = held_back(status, proc)
    for pid in held:
        _signal(pid, signal.SIGCONT)
    return held


def descendants(pid: int, proc: Path = Path("/proc")) -> list[int]:
    """All processes below one, parents first; those that end meanwhile are left out."""
    children: dict[int, list[int]] = {}
    for folder in sorted(proc.glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            fields = read_file(folder / "stat").rpartition(")")[2].split()
        except OSError:
            continue
        if len(fields) > 1 and fields[1].isdigit():
            children.setdefault(int(fields[1]), []).append(int(folder.name))
    found, waiting = [], list(children.get(pid, ()))
    while waiting:
        one = waiting.pop(0)
        found.append(one)
        waiting += children.get(one, ())
    return found


def _main_pid(status: Status) -> int:
    if not status.readable:
        raise ServiceError(f"the state of {status.label} cannot be read: {status.reason}")
    if status.main_pid is None or status.process_gone:
        raise ServiceError(f"{status.label} has no process to break: {status.detail}")
    if status.process_state in STOPPED_STATES:
        raise ServiceError(f"{status.label} is stopped by a signal already")
    return status.main_pid


def _engine_process(main: int, proc: Path) -> int:
    named = [pid for pid in descendants(main, proc) if _ENGINE_PROCESS in _title(proc / str(pid))]
    if len(named) != 1:
        raise ServiceError(
            f"process {main} has {len(named) or 'no'} processes of an engine behind its API; only a service with one"
            " can be deadlocked from outside"
        )
    return named[0]


def _title(folder: Path) -> str:
    try:
        return read_file(folder / "cmdline").replace("\0", " ")
    except OSError:
        return ""


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        with process.held(pid) as descriptor:
            process.send(descriptor, number)
    except OSError as error:
        raise ServiceError(f"process {pid} cannot be sent {number.name}: {error.strerror}") from None
