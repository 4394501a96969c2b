# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file that says who holds this host, and the one by which tasks at work are known.

Both are in a directory that only root, or whoever runs the tasks, may write in.  The record is read and written under a
flock, which ends with the process; what it says is for holding.py to judge.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any

from ..host import clocks, flock, paths, whole_file
from .holding import Holder, HostNow, why_lost, why_not

# Not kept over a reboot, which ends the connection of whoever was at work here.
DIRECTORY = "/run/autoglm/locks"
_RECORD, _GUARD, _AT_WORK = "host", "host.guard", "at_work"
_LONGEST = 16384


class HostHeld(Exception):
    """Another run holds the host. holder: which, None if nobody does and the caller has lost it."""

    def __init__(self, reason: str, holder: Holder | None) -> None:
        super().__init__(reason)
        self.holder = holder


class HostLockUnusable(Exception):
    """The lock cannot be read or kept, so that nobody knows who is at work here."""


def now() -> float:
    """Seconds since this host booted, which no clock of anybody's changes."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot() -> str:
    """Name this boot. Raises HostLockUnusable."""
    named = clocks.boot_id()
    if named is None:
        raise HostLockUnusable("the kernel of this host does not say which boot this is, and so how old a lock is")
    return named


def take(asking: Holder, ended: str | None = None, directory: str = DIRECTORY, dry: bool = False) -> Holder | None:
    """Take the host, or go on holding it; return who held it before. dry: only look.

    Raises HostHeld, or HostLockUnusable.
    """
    with _files(directory, dry) as place:
        held = _read(place)
        reason = why_not(held, asking, HostNow(now(), boot(), _tasks_at_work(place)), ended)
        if reason is not None:
            raise HostHeld(reason, held)
        if not dry:
            # Since when: a run that holds it already began then.
            same = held is not None and held.run == asking.run
            _write(place, {**asdict(asking), "since": held.since if held and same else asking.since})
        return held


def keep(asking: Holder, directory: str = DIRECTORY) -> None:
    """Hold the host for longer. Raises HostHeld where this run has lost it, or HostLockUnusable."""
    with _files(directory, dry=False) as place:
        held = _read(place)
        reason = why_lost(held, asking)
        if reason is not None or held is None:
            raise HostHeld(reason or "", held)
        _write(place, {**asdict(asking), "since": held.since})


def release(run: str, directory: str = DIRECTORY) -> bool:
    """Give the host back, and say whether this run had it. Raises HostLockUnusable."""
    with _files(directory, dry=False) as place:
        held = _read(place)
        if held is None or held.run != run:
            return False
        os.unlink(_RECORD, dir_fd=place)
        return True


def in_use(directory: str = DIRECTORY) -> bool:
    """Say whether a run holds this host, to whoever only looks: nothing is made, and nobody kept waiting.

    Raises OSError or HostLockUnusable.
    """
    try:
        place = paths.open_directory(directory, own=True)
    except FileNotFoundError:
        return False
    try:
        held = _read(place)
    finally:
        os.close(place)
    return held is not None and held.boot == boot() and now() < held.until


def at_work(directory: str = DIRECTORY) -> None:
    """Say that this process changes something on the host, until it ends.

    Where that cannot be said the process goes on: the lock itself is refused there.
    """
    with contextlib.suppress(OSError, HostLockUnusable), _directory(directory) as place:
        # Never closed: the kernel does when the process ends. What it starts does not inherit it.
        fcntl.flock(_open(place, _AT_WORK), fcntl.LOCK_SH | fcntl.LOCK_NB)


@contextlib.contextmanager
def _files(directory: str, dry: bool) -> Iterator[int]:
    """Open the directory and keep all others out of the record."""
    try:
        if dry and not os.path.isdir(directory):
            yield -1
            return
        with _directory(directory) as place:
            guard = _open(place, _GUARD)
            try:
                flock.take(guard, fcntl.LOCK_EX, os.path.join(directory, _GUARD))
                yield place
            finally:
                os.close(guard)
    except OSError as error:
        raise HostLockUnusable(f"the lock of this host in {directory} cannot be used: {error.strerror}") from error


@contextlib.contextmanager
def _directory(path: str) -> Iterator[int]:
    place = paths.open_directory(path, make=0o755, own=True)
    try:
        yield place
    finally:
        os.close(place)


def _open(place: int, name: str) -> int:
    """Open a file that is locked.  Whoever may read a file may hold its flock for ever, so that nobody else may."""
    handle = paths.open_at(place, name, name, os.O_RDWR | os.O_CREAT)
    try:
        if os.fstat(handle).st_mode & 0o077:  # made by an earlier release
            os.fchmod(handle, 0o600)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _tasks_at_work(place: int) -> bool:
    if place < 0:
        return False
    handle = _open(place, _AT_WORK)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _read(place: int) -> Holder | None:
    if place < 0:
        return None
    try:
        handle = paths.open_at(place, _RECORD, _RECORD)
    except FileNotFoundError:
        return None
    with os.fdopen(handle, "rb") as file:
        text = file.read(_LONGEST)
    try:
        value: dict[str, Any] = json.loads(text)
        return _checked(Holder(**{field.name: value[field.name] for field in fields(Holder)}))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise HostLockUnusable(
            "the lock of this host cannot be read; look who is at work here, then remove it"
        ) from error


def _checked(holder: Holder) -> Holder:
    """Raise TypeError for a record of other types than _write()'s: who holds the host is compared by them."""
    texts = (holder.run, holder.who, holder.host, holder.boot)
    numbers = (holder.since, holder.until)
    if (
        not all(isinstance(each, str) for each in texts)
        or not all(isinstance(each, (int, float)) and math.isfinite(each) for each in numbers)
        or not (holder.token is None or isinstance(holder.token, int))
        or not isinstance(holder.process, dict)
    ):
        raise TypeError("a field has another type than ours")
    return holder


def _write(place: int, record: dict[str, Any]) -> None:
    whole_file.put(place, _RECORD, _RECORD, json.dumps(record), 0o644)
