# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file that records which run holds this host, and the file that running tasks lock.

Both are in a directory that only root, or the user who runs the tasks, may write to. The record is read and written
under a flock, which ends with the process; holding.py decides what the record means.
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

# Not kept over a reboot, which ends every run on this host.
DIRECTORY = "/run/autoglm/locks"
_RECORD, _GUARD, _AT_WORK = "host", "host.guard", "at_work"
_LONGEST = 16384


class HostHeld(Exception):
    """Another run holds the host. holder: that run, None where no run does and the caller has lost the host."""

    def __init__(self, reason: str, holder: Holder | None) -> None:
        super().__init__(reason)
        self.holder = holder


def in_words(held: HostHeld) -> str:
    """Who is at work here, since when, and how the host becomes free."""
    if held.holder is None:
        return f"{held}."
    since, left = clocks.in_words(held.holder.since), max(0.0, held.holder.until - now())
    return (
        f"{held} (as {held.holder.host}, since {since}). It gives it back at its end; if it was killed, in "
        f"{left:.0f} s at most. No option passes this. Wait for it, or end that run."
    )


class HostLockUnusable(Exception):
    """The lock cannot be read or written, so it is unknown which run holds the host."""


def now() -> float:
    """Seconds since this host booted, which setting the clock does not change."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot() -> str:
    """The id of this boot. Raises HostLockUnusable."""
    named = clocks.boot_id()
    if named is None:
        raise HostLockUnusable("the kernel of this host does not say which boot this is, and so how old a lock is")
    return named


def take(asking: Holder, ended: str | None = None, directory: str = DIRECTORY, dry: bool = False) -> Holder | None:
    """Take the host, or go on holding it. Returns the run that held it before. dry: change nothing.

    Raises HostHeld or HostLockUnusable.
    """
    with _locked_directory(directory, dry) as place:
        held = _read_record(place)
        reason = why_not(held, asking, HostNow(now(), boot(), _any_task_at_work(place)), ended)
        if reason is not None:
            raise HostHeld(reason, held)
        if not dry:
            # A run that holds the host already keeps its time of beginning.
            same = held is not None and held.run == asking.run
            _write_record(place, {**asdict(asking), "since": held.since if held and same else asking.since})
        return held


def keep(asking: Holder, directory: str = DIRECTORY) -> None:
    """Renew the lease. Raises HostHeld where this run has lost the host, or HostLockUnusable."""
    with _locked_directory(directory, dry=False) as place:
        held = _read_record(place)
        reason = why_lost(held, asking)
        if reason is not None or held is None:
            raise HostHeld(reason or "", held)
        _write_record(place, {**asdict(asking), "since": held.since})


def release(run: str, directory: str = DIRECTORY) -> bool:
    """Release the host. Returns whether this run held it. Raises HostLockUnusable."""
    with _locked_directory(directory, dry=False) as place:
        held = _read_record(place)
        if held is None or held.run != run:
            return False
        os.unlink(_RECORD, dir_fd=place)
        return True


def in_use(directory: str = DIRECTORY) -> bool:
    """Whether a run holds this host. Creates no file and waits for no lock. Raises OSError or HostLockUnusable."""
    try:
        place = paths.open_directory(directory, own=True)
    except FileNotFoundError:
        return False
    try:
        held = _read_record(place)
    finally:
        os.close(place)
    return held is not None and held.boot == boot() and now() < held.until


def at_work(directory: str = DIRECTORY) -> None:
    """Mark this process, until it ends, as one that changes something on the host.

    Errors are ignored: where the directory is unusable, taking the host fails anyway.
    """
    with contextlib.suppress(OSError, HostLockUnusable), _opened_directory(directory) as place:
        # Never closed here: the kernel does so when the process ends. Child processes do not inherit it.
        fcntl.flock(_open_lock_file(place, _AT_WORK), fcntl.LOCK_SH | fcntl.LOCK_NB)


@contextlib.contextmanager
def _locked_directory(directory: str, dry: bool) -> Iterator[int]:
    """Open the directory and lock the record."""
    try:
        if dry and not os.path.isdir(directory):
            yield -1
            return
        with _opened_directory(directory) as place:
            guard = _open_lock_file(place, _GUARD)
            try:
                flock.take(guard, fcntl.LOCK_EX, os.path.join(directory, _GUARD))
                yield place
            finally:
                os.close(guard)
    except OSError as error:
        raise HostLockUnusable(f"the lock of this host in {directory} cannot be used: {error.strerror}") from error


@contextlib.contextmanager
def _opened_directory(path: str) -> Iterator[int]:
    place = paths.open_directory(path, make=0o755, own=True)
    try:
        yield place
    finally:
        os.close(place)


def _open_lock_file(place: int, name: str) -> int:
    """Open a lock file. Only its owner may read it, because any reader of a file could hold its flock for ever."""
    handle = paths.open_at(place, name, name, os.O_RDWR | os.O_CREAT)
    try:
        if os.fstat(handle).st_mode & 0o077:  # made by an earlier release
            os.fchmod(handle, 0o600)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _any_task_at_work(place: int) -> bool:
    if place < 0:
        return False
    handle = _open_lock_file(place, _AT_WORK)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _read_record(place: int) -> Holder | None:
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
        return _check_types(Holder(**{field.name: value[field.name] for field in fields(Holder)}))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise HostLockUnusable(
            "the lock of this host cannot be read; look who is at work here, then remove it"
        ) from error


def _check_types(holder: Holder) -> Holder:
    """The holder. Raises TypeError for a record with other types than _write_record() writes."""
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


def _write_record(place: int, record: dict[str, Any]) -> None:
    whole_file.put(place, _RECORD, _RECORD, json.dumps(record), 0o644)
