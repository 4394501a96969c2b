# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes by /proc: each function gets the tree that it reads, so that tests can use trees of their own."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Callable

from .piece import Piece
from .redaction import redact_argv, redact_environment
from .unread import Unread

_MAX_FILE = 1024 * 1024
# The limit for all command lines of a host together; a process may set its own to any length.
_MAX_LINES = 8 * 1024 * 1024
_MAX_DESCRIPTORS = 2000
_MAX_THREADS = 2000

# Reading these files does not need the lock of the memory map, so it works for a process that hangs with it held.
_SAFE_FILES = ("stat", "status", "cgroup", "limits", "io", "wchan", "oom_score", "oom_score_adj", "sched")
_THREAD_FILES = ("comm", "wchan", "syscall", "stack")
# Lines of a thread's status: pending and blocked signals, and context switches, which show whether it runs.
_THREAD_STATUS = ("SigPnd", "ShdPnd", "SigBlk", "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches")


def read_file(path: Path) -> str:
    """A small file as text. Raises OSError."""
    return _read_bytes(path).decode("utf-8", "replace")


def _read_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_FILE)


def section(title: str, read: Callable[[], str]) -> str:
    """A titled section of a longer text, with the error as its text where it cannot be read."""
    try:
        body = read()
    except OSError as error:
        body = f"(unreadable: {error.strerror or error})"
    return f"## {title}\n{body}" + ("" if body.endswith("\n") else "\n") + "\n"


def pids(proc: Path) -> list[int]:
    """Every process, in order."""
    return sorted(int(entry.name) for entry in proc.iterdir() if entry.name.isdigit())


def living_thread(root: Path) -> Path | None:
    """Where a process that lives is looked at: C(/proc/PID), or a thread below it; None where all of it has ended.

    The kernel shows a process whose first thread has ended as a zombie without open files, while its other threads may
    run on and hold what they hold.  Raises OSError where the process cannot be read, which may mean that it is gone.
    """
    if not _has_ended(root):
        return root
    for thread in sorted((root / "task").iterdir()):
        try:
            if not _has_ended(thread):
                return thread
        except OSError:
            continue  # it has ended meanwhile
    return None


def _has_ended(thread: Path) -> bool:
    return read_file(thread / "stat").rpartition(")")[2].split()[:1] in (["Z"], ["X"], ["x"])


def about(proc: Path, pid: int) -> Piece:
    """State, limits, control groups and open files of one process."""
    root = _existing_directory(proc, pid)
    text = "".join(section(name, lambda name=name: read_file(root / name)) for name in _SAFE_FILES)  # type: ignore[misc]
    text += section("fd", lambda: _open_files(root / "fd"))
    return Piece(text, str(root))


def threads(proc: Path, pid: int) -> Piece:
    """Every thread with its state, and where it waits in the kernel, if readable."""
    root = _existing_directory(proc, pid)
    ids = sorted((int(entry.name) for entry in (root / "task").iterdir()), key=lambda tid: (tid != pid, tid))
    remarks = (f"{len(ids)} threads, the first {_MAX_THREADS} are shown",) if len(ids) > _MAX_THREADS else ()
    return Piece(
        "".join(_thread_state(root / "task" / str(tid)) for tid in ids[:_MAX_THREADS]), str(root / "task"), remarks
    )


def memory_map(proc: Path, pid: int, known_secrets: Iterable[str] = ()) -> Piece:
    """The files that need the lock of the memory map: command line, environment (redacted), a summary of the map."""
    root = _existing_directory(proc, pid)
    known = tuple(known_secrets)
    text = section("cmdline", lambda: " ".join(command_line(root, known)) or "(empty)")
    text += section("environ", lambda: redact_environment(_read_bytes(root / "environ"), known))
    text += section("smaps_rollup", lambda: read_file(root / "smaps_rollup"))
    return Piece(text, str(root))


def overview(proc: Path) -> Piece:
    """One line for each process of the host, without command lines, whose reading may hang."""
    head = f"{'PID':>8} {'PPID':>8} S {'THREADS':>7} {'RSS_KIB':>10} {'UID':>6} COMMAND\n"
    return Piece(head + "".join(_overview_line(proc / str(pid)) for pid in pids(proc)), str(proc))


def command_lines(proc: Path, known_secrets: Iterable[str] = ()) -> Piece:
    """The command line of each process, redacted."""
    known = tuple(known_secrets)
    lines, left = [], _MAX_LINES
    for pid in pids(proc):
        try:
            argv = command_line(proc / str(pid), known)
        except OSError:
            continue  # it ended in the meantime
        if argv:
            lines.append(f"{pid:>8} {' '.join(argv)}\n")
            left -= len(lines[-1])
        if left < 0:
            remark = f"they are longer than {_MAX_LINES} bytes: those of processes after {pid} are left out"
            return Piece("".join(lines), f"{proc}/*/cmdline", (remark,))
    return Piece("".join(lines), f"{proc}/*/cmdline")


def command_line(root: Path, known_secrets: Iterable[str] = ()) -> list[str]:
    """The redacted arguments of one process. Raises OSError."""
    raw = read_file(root / "cmdline")
    return redact_argv(raw.rstrip("\0").split("\0"), known_secrets) if raw else []


def _existing_directory(proc: Path, pid: int) -> Path:
    root = proc / str(pid)
    if not root.is_dir():
        raise Unread(f"process {pid} is gone")
    return root


def _thread_state(root: Path) -> str:
    try:
        state = read_file(root / "stat").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return f"# thread {root.name}: gone\n\n"
    lines = [f"# thread {root.name} state {state}\n"]
    for name in _THREAD_FILES:
        try:
            body = read_file(root / name).rstrip("\n")
        except OSError as error:
            body = f"(unreadable: {error.strerror or error})"
        lines.append(f"{name}: {body}\n" if "\n" not in body else f"{name}:\n{body}\n")
    lines.append(_thread_status(root))
    return "".join(lines) + "\n"


def _thread_status(root: Path) -> str:
    try:
        pairs = [line.split(":", 1) for line in read_file(root / "status").splitlines() if ":" in line]
    except OSError as error:
        return f"status: (unreadable: {error.strerror or error})\n"
    told = {key: value.strip() for key, value in pairs}
    return "status: " + " ".join(f"{key}={told[key]}" for key in _THREAD_STATUS if key in told) + "\n"


def _open_files(directory: Path) -> str:
    names = sorted((name for name in os.listdir(directory) if name.isdigit()), key=int)
    lines = []
    for name in names[:_MAX_DESCRIPTORS]:
        try:
            lines.append(f"{name} -> {os.readlink(directory / name)}\n")
        except OSError:
            continue  # closed in the meantime
    return "".join(lines) + (f"({len(names)} in all)\n" if len(names) > _MAX_DESCRIPTORS else "")


def _overview_line(root: Path) -> str:
    try:
        status = dict(line.split(":", 1) for line in read_file(root / "status").splitlines() if ":" in line)
    except OSError:
        return ""  # it ended in the meantime
    value = {key: text.split() or ["-"] for key, text in status.items()}

    def of(key: str) -> str:
        return value.get(key, ["-"])[0]

    numbers = f"{root.name:>8} {of('PPid'):>8} {of('State')} {of('Threads'):>7} {of('VmRSS'):>10} {of('Uid'):>6}"
    return f"{numbers} {of('Name')}\n"
