# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a flock, always with a time limit.

Any user who can open a file or directory, even read-only, can hold its lock for ever (C(flock(2))). Our lock files may
be readable by others, and a holder of ours may be stopped; so each wait ends, and the error names the holder.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from . import paths
from .plain import quoted

# A directory of root's, and not /run/lock, where any user could create a lock first and hold it.
DIRECTORY = "/run/autoglm/locks"
# No holder of ours needs longer: none copies or removes data of unbounded size while it holds such a lock.
SECONDS = 30.0

_POLL_SECONDS = 0.05
_LONGEST_TABLE = 1 << 20
_MOST_NAMED = 3
# Attempts of some microseconds each; no other process interferes this often by chance.
_TRIES = 100


class LockTimeout(OSError):
    """Another process held a lock until the time limit."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(errno.EAGAIN, why, path)


def take(descriptor: int, how: int, path: str, seconds: float | None = None) -> None:
    """Wait for the lock of an open file. Raises OSError, and LockTimeout at the time limit.

    C(how): LOCK_SH or LOCK_EX. C(path): for messages. C(seconds): SECONDS if left out.
    """
    seconds = SECONDS if seconds is None else seconds
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise LockTimeout(path, f"it has been locked for {seconds:g} s by {holders(descriptor)}") from None
            time.sleep(_POLL_SECONDS)
        else:
            return


@contextlib.contextmanager
def alone(directory: str, name: str, seconds: float | None = None) -> Iterator[None]:
    """Hold the lock of a name in a directory that only root and this user may change; it is created if missing.

    Raises OSError, and LockTimeout.
    """
    place = paths.open_directory(directory, make=0o755, own=True)
    try:
        handle = paths.open_at(place, name, os.path.join(directory, name), os.O_RDWR | os.O_CREAT)
    finally:
        os.close(place)
    try:
        take(handle, fcntl.LOCK_EX, os.path.join(directory, name), seconds)
        yield
    finally:
        os.close(handle)


def make_directory(directory: int, name: str, shown: str) -> int:
    """As paths.make_directory, but locked, so that try_directory() can recognise one that a killed process left.

    Between creation and lock another process may take it for such a leftover and remove it; it is then created again.
    """
    for _try in range(_TRIES):
        try:
            descriptor = paths.make_directory(directory, name, shown)
        except FileNotFoundError:
            continue
        try:
            take(descriptor, fcntl.LOCK_EX, shown)
            if paths.is_at(descriptor, directory, name):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise paths.UnsafePath(shown, "was removed by somebody else again and again while it was made")


def try_directory(directory: int, name: str) -> int | None:
    """Open and lock a directory in an open one. None if it is locked already, or no directory. Raises OSError."""
    try:
        descriptor = paths.open_below(directory, name)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if paths.is_at(descriptor, directory, name):
            return descriptor
    except BlockingIOError:
        pass
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def holders(descriptor: int, proc: Path = Path("/proc")) -> str:
    """The holders of an open file's lock, for people. C(proc): the directory with C(proc_locks(5))."""
    about = os.fstat(descriptor)
    device = (os.major(about.st_dev), os.minor(about.st_dev))
    try:
        with (proc / "locks").open(encoding="ascii", errors="replace") as file:
            table = file.read(_LONGEST_TABLE)
    except OSError:
        table = ""
    numbers = _holders(table, device, about.st_ino)
    named = [_process_name(proc, number) for number in numbers[:_MOST_NAMED]]
    more = [f"{len(numbers) - _MOST_NAMED} more"] if len(numbers) > _MOST_NAMED else []
    return ", ".join(named + more) or "a process that the kernel does not name"


def _holders(table: str, device: tuple[int, int], inode: int) -> list[int]:
    """The processes that hold a flock: C(1: FLOCK ADVISORY WRITE 42 fe:00:2146466 0 EOF). Waiters have an arrow."""
    found = []
    for words in map(str.split, table.splitlines()):
        if len(words) < 6 or words[1] != "FLOCK":
            continue
        try:
            major, minor, number = words[5].split(":")
            same = ((int(major, 16), int(minor, 16)), int(number)) == (device, inode)
            if same and int(words[4]) > 0:  # otherwise a process of another PID namespace
                found.append(int(words[4]))
        except ValueError:
            continue
    return list(dict.fromkeys(found))


def _process_name(proc: Path, number: int) -> str:
    try:
        # A process chooses this name itself.
        with (proc / str(number) / "comm").open(encoding="utf-8", errors="replace") as file:
            name = file.read(64).rstrip("\n")
        user = (proc / str(number)).stat().st_uid
    except OSError:
        return f"process {number}"
    return f"process {number} ({quoted(name)} of user {user})"
