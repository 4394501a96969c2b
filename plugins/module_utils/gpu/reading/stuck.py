# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that the driver does not give back: those of ours that were abandoned, and everybody else's.

No file is kept of the abandoned.  A child names itself and its threads by what they read (child.py); one that was
killed and is still there has SIGKILL pending, which no living process has for longer than a moment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...host.processes import living_thread
from .child import PROCESS_NAME

_NAME = re.compile(re.escape(PROCESS_NAME) + r"(?::(\d+))?\Z")
_SIGKILL_BIT = 1 << 8
_DRIVER = re.compile(r"\bnv|nvidia|os_acquire|rm_|uvm_")
_MAX_TEXT = 4096
_MAX_THREADS = 512


@dataclass(frozen=True)
class Abandoned:
    """A child of some earlier session that is still in the driver. gpu: index, or None where it was at no GPU yet."""

    pid: int
    gpu: int | None
    threads: tuple[dict[str, Any], ...]


def abandoned(proc: Path = Path("/proc")) -> list[Abandoned]:
    """Every child, of whichever session on this host, that was killed and is not gone."""
    return [found for pid in _read_pids(proc) for found in [_is_abandoned(proc, pid)] if found is not None]


def _is_abandoned(proc: Path, pid: int) -> Abandoned | None:
    if not _NAME.match(_read(proc / str(pid) / "comm").strip()) or not _kill_pending(proc, pid):
        return None
    threads = describe(proc, pid, stuck_only=True)
    if not threads:
        return None  # it is dead, and waits for nothing but to be reaped
    places = [match.group(1) for thread in threads for match in [_NAME.match(thread["comm"])] if match]
    at_gpu = [int(place) for place in places if place is not None]
    return Abandoned(pid, at_gpu[0] if at_gpu else None, tuple(threads))


def _kill_pending(proc: Path, pid: int) -> bool:
    roots = [proc / str(pid), *(proc / str(pid) / "task").glob("*")]
    statuses = "\n".join(_read(root / "status") for root in roots)
    masks = re.findall(r"^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)$", statuses, re.MULTILINE)
    return any(int(mask, 16) & _SIGKILL_BIT for mask in masks)


def describe(proc: Path, pid: int, stuck_only: bool = False) -> list[dict[str, Any]]:
    """The threads of a process: C({pid, tid, comm, state, wchan, syscall, stack}); null where it may not be read."""
    found = []
    try:
        tids = sorted(int(entry.name) for entry in (proc / str(pid) / "task").iterdir() if entry.name.isdigit())
    except OSError:
        return []
    for tid in tids[:_MAX_THREADS]:
        root = proc / str(pid) / "task" / str(tid)
        state = _read_state(root)
        if state is None or (stuck_only and state != "D"):
            continue
        texts = {name: _read(root / name).strip() or None for name in ("wchan", "syscall", "stack")}
        found.append({"pid": pid, "tid": tid, "comm": _read(root / "comm").strip(), "state": state, **texts})
    return found


def in_the_driver(proc: Path = Path("/proc")) -> list[dict[str, Any]]:
    """Threads of any process in uninterruptible sleep that the kernel shows inside of the NVIDIA driver, or that hold
    one of its devices: one of them may hold the lock that all others wait for."""
    found = []
    for pid in _read_pids(proc):
        for thread in describe(proc, pid, stuck_only=True):
            seen = f"{thread['wchan'] or ''} {thread['stack'] or ''}"
            if _DRIVER.search(seen) or _holds_device(proc, pid):
                found.append(thread)
    return found


def _holds_device(proc: Path, pid: int) -> bool:
    try:
        entries = list(((living_thread(proc / str(pid)) or proc / str(pid)) / "fd").iterdir())
    except OSError:
        return False
    for entry in entries:
        try:
            if str(entry.readlink()).startswith("/dev/nvidia"):
                return True
        except OSError:
            continue
    return False


def _read_pids(proc: Path) -> list[int]:
    try:
        return sorted(int(entry.name) for entry in proc.iterdir() if entry.name.isdigit())
    except OSError:
        return []


def _read_state(root: Path) -> str | None:
    words = _read(root / "stat").rpartition(")")[2].split()
    return words[0] if words else None


def _read(path: Path) -> str:
    """A small file; empty where there is none or it may not be read."""
    try:
        with path.open("rb") as file:
            return file.read(_MAX_TEXT).decode("utf-8", "replace")
    except OSError:
        return ""
