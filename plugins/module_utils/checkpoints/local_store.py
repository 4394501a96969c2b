# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checkpoints in a directory: DIRECTORY/SERIES/ID/{manifest.json,files/...}.

A draft is a directory whose name begins with C(.draft-), locked for as long as its saver lives; one that nobody has
locked was left by a saver that was killed.  The commit is a rename.  What is removed is renamed first, so that it is a
checkpoint or none at every moment.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from . import manifest, names
from .copying import copy, sync_directory
from .manifest import Entry
from .problems import CheckpointError, Damaged
from .tree import open_regular, read_tree

_DRAFT = ".draft-"
_FILES = "files"
_LOCK = ".lock"


class LocalDraft:
    """One draft, which its lock shows to be alive."""

    def __init__(self, directory: Path, final: Path, lock: int) -> None:
        self.id = final.name
        self._directory, self._final, self._lock = directory, final, lock
        (directory / _FILES).mkdir(mode=0o700)

    def add(self, name: str, source: BinaryIO) -> Entry:
        path = self._directory / _FILES / names.check_relative(name)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return write_file(path, source)
        except OSError as error:
            raise CheckpointError(f"{self._final}: {name} could not be written: {error.strerror}") from error

    def written(self) -> Path:
        return self._directory / _FILES

    def commit(self, content: bytes) -> None:
        try:
            path = self._directory / manifest.FILE
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            sync_tree(self._directory)
            os.rename(self._directory, self._final)
            sync_directory(self._final.parent)
        except OSError as error:
            raise CheckpointError(f"{self._final}: could not be finished: {error.strerror}") from error
        finally:
            self._unlock()

    def abandon(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)
        self._unlock()

    def _unlock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


class LocalStore:
    """A directory of this machine, or one that is mounted on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = str(root)

    def draft(self, series: str, identity: str) -> LocalDraft:
        place = self._series(series)
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked(place):
                directory = place / f"{_DRAFT}{identity}"
                directory.mkdir(mode=0o700)
                lock = _lock_directory(directory, fcntl.LOCK_EX)
            return LocalDraft(directory, place / identity, lock)
        except OSError as error:
            raise CheckpointError(f"{place}: no checkpoint can be written here: {error.strerror}") from error

    def ids(self, series: str) -> list[str]:
        place = self._series(series)
        try:
            found = [
                entry.name
                for entry in os.scandir(place)
                if names.is_id(entry.name) and entry.is_dir(follow_symlinks=False)
            ]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CheckpointError(f"{place}: cannot be read: {error.strerror}") from error
        return sorted((name for name in found if (place / name / manifest.FILE).exists()), reverse=True)

    @contextlib.contextmanager
    def hold(self, series: str, identity: str) -> Iterator[None]:
        path = self._checkpoint(series, identity)
        try:
            lock = _lock_directory(path, fcntl.LOCK_SH)
        except OSError as error:
            raise Damaged(f"it is gone: {error.strerror}") from error
        try:
            if not _is_at(lock, path):
                raise Damaged("it was removed just now")
            yield
        finally:
            os.close(lock)

    def manifest(self, series: str, identity: str) -> bytes:
        with open_regular(self._checkpoint(series, identity) / manifest.FILE) as file:
            content = file.read(manifest.MAX_BYTES + 1)
        if len(content) > manifest.MAX_BYTES:
            raise Damaged("the manifest is larger than any can be")
        return content

    def sizes(self, series: str, identity: str) -> dict[str, int]:
        root = self._checkpoint(series, identity)
        unknown = {entry.name for entry in os.scandir(root)} - {_FILES, manifest.FILE}
        if unknown:
            raise Damaged(f"it holds {sorted(unknown)[0][:80]!r}, which no save has written")
        tree = read_tree(root / _FILES)
        if tree.is_file:
            raise Damaged("its directory of files is a file")
        return tree.files

    def open(self, series: str, identity: str, name: str) -> BinaryIO:
        return open_regular(self._checkpoint(series, identity) / _FILES / names.check_relative(name))

    def tree(self, series: str, identity: str) -> Path:
        return self._checkpoint(series, identity) / _FILES

    def location(self, series: str, identity: str) -> str:
        return str(self._checkpoint(series, identity))

    def remove(self, series: str, identity: str) -> str | None:
        path = self._checkpoint(series, identity)
        try:
            lock = _lock_directory(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return None
        except BlockingIOError:
            return "it is being read"
        except OSError as error:
            return error.strerror or str(error)
        gone = path.with_name(f"{_DRAFT}removed-{identity}")
        try:
            os.rename(path, gone)
            sync_directory(path.parent)
            shutil.rmtree(gone)
        except OSError as error:
            return error.strerror or str(error)
        finally:
            os.close(lock)
        return None

    def leftovers(self, series: str, remove: bool) -> list[str]:
        place = self._series(series)
        if not place.is_dir():
            return []
        found = []
        with self._locked(place):
            for path in sorted(place.glob(f"{_DRAFT}*")):
                if _is_alive(path):
                    continue
                found.append(str(path))
                if remove:
                    shutil.rmtree(path, ignore_errors=True)
        return found

    def room(self, series: str) -> int:
        place = self._series(series)
        there = next(parent for parent in (place, *place.parents) if parent.exists())
        status = os.statvfs(there)
        return status.f_bavail * status.f_frsize

    def _series(self, series: str) -> Path:
        return self.root / names.check_series(series)

    def _checkpoint(self, series: str, identity: str) -> Path:
        if not names.is_id(identity):
            raise ValueError(f"{identity[:80]!r} is no id of a checkpoint")
        return self._series(series) / identity

    @contextlib.contextmanager
    def _locked(self, place: Path) -> Iterator[None]:
        """Between the making of a draft's directory and its lock nobody may take it for a dead one."""
        descriptor = os.open(place / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def write_file(path: Path, source: BinaryIO, mode: int = 0o600) -> Entry:
    """Write a new file and make it durable. Raises OSError; an existing file is one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb", buffering=0) as sink:
        entry = copy(source, sink)
        os.fsync(descriptor)
    return entry


def sync_tree(root: Path) -> None:
    """Make all names below a directory durable, the innermost first."""
    for directory, _directories, _files in os.walk(root, topdown=False):
        sync_directory(directory)


def _lock_directory(path: Path, how: int) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, how)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        there = os.stat(path, follow_symlinks=False)
    except OSError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))


def _is_alive(path: Path) -> bool:
    try:
        os.close(_lock_directory(path, fcntl.LOCK_EX | fcntl.LOCK_NB))
    except OSError as error:
        return error.errno == errno.EWOULDBLOCK
    return False
