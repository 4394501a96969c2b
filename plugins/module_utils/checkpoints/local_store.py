# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checkpoints in a directory: DIRECTORY/SERIES/ID/{manifest.json,files/...}.

A draft is a directory whose name begins with C(.draft-), locked for as long as its saver lives; an unlocked one was
left by a saver that was killed. The commit is a rename. A removal begins with a rename too, so that a directory is a
complete checkpoint or none at every moment.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..host import flock, paths
from ..host.walking import walk
from . import manifest, names
from .copying import copy, sync_directory
from .manifest import ManifestEntry
from .problems import CheckpointError, Damaged
from .tree import open_regular, read_tree

_DRAFT = ".draft-"
_FILES = "files"


class LocalDraft:
    """One draft, whose lock shows that its saver lives.

    around, lock: descriptors of the directories of the series and of the draft, so that nobody can exchange them.
    """

    def __init__(self, around: int, lock: int, final: Path) -> None:
        self.id = final.name
        self._around, self._lock, self._final = around, lock, final
        self._name = f"{_DRAFT}{self.id}"
        self._inside = Path(f"/proc/self/fd/{lock}")
        os.mkdir(_FILES, 0o700, dir_fd=lock)

    def add(self, name: str, source: BinaryIO) -> ManifestEntry:
        path = self._inside / _FILES / names.check_relative(name)
        try:
            os.close(paths.open_directory(str(path.parent), make=0o700))
            return write_file(path, source)
        except OSError as error:
            raise CheckpointError(f"{self._final}: {name} could not be written: {error.strerror}") from error

    def written(self) -> Path:
        return self._inside / _FILES

    def commit(self, content: bytes) -> None:
        try:
            descriptor = paths.open_at(self._lock, manifest.FILE, manifest.FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            sync_tree(self._inside)
            os.rename(self._name, self.id, src_dir_fd=self._around, dst_dir_fd=self._around)
            if not paths.is_at(self._lock, self._around, self.id):
                raise CheckpointError(f"{self._final}: something else was put in its place while it was written")
            os.fsync(self._around)
        except OSError as error:
            raise CheckpointError(f"{self._final}: could not be finished: {error.strerror}") from error
        self._close_directories()

    def abandon(self) -> None:
        if self._lock < 0:
            return
        with contextlib.suppress(OSError):
            if paths.is_at(self._lock, self._around, self.id):  # renamed already
                os.rename(self.id, self._name, src_dir_fd=self._around, dst_dir_fd=self._around)
        with contextlib.suppress(OSError):
            paths.remove_open(self._lock, self._around, self._name)
        self._close_directories()

    def _close_directories(self) -> None:
        os.close(self._lock)
        os.close(self._around)
        self._lock = self._around = -1


class LocalStore:
    """A directory on this machine, local or mounted."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = str(root)

    def draft(self, series: str, identity: str) -> LocalDraft:
        place = self._series_path(series)
        with contextlib.ExitStack() as undo:
            try:
                around = paths.open_directory(str(place), make=0o700)
                undo.callback(os.close, around)
                name = f"{_DRAFT}{identity}"
                lock = flock.make_directory(around, name, str(place / name))
                undo.callback(os.close, lock)
                draft = LocalDraft(around, lock, place / identity)
            except OSError as error:
                raise CheckpointError(f"{place}: no checkpoint can be written here: {error.strerror}") from error
            undo.pop_all()
            return draft

    def ids(self, series: str) -> list[str]:
        place = self._series_path(series)
        try:
            with paths.held(str(place)) as around, os.scandir(around) as entries:
                found = [
                    entry.name
                    for entry in entries
                    if names.is_id(entry.name) and entry.is_dir(follow_symlinks=False)
                    if (around / entry.name / manifest.FILE).exists()
                ]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CheckpointError(f"{place}: cannot be read: {error.strerror}") from error
        return sorted(found, reverse=True)

    @contextlib.contextmanager
    def hold(self, series: str, identity: str) -> Iterator[None]:
        path = self._checkpoint_path(series, identity)
        with contextlib.ExitStack() as opened:
            try:
                around, lock = opened.enter_context(_open_series_and_checkpoint(path))
            except OSError as error:
                raise Damaged(f"it is gone: {error.strerror}") from error
            try:
                flock.take(lock, fcntl.LOCK_SH, str(path))
            except OSError as error:
                # Not Damaged: a restore must not fall back to an older checkpoint because this one is locked.
                if paths.is_at(lock, around, identity):
                    raise CheckpointError(f"{path}: cannot be kept from removal: {error.strerror}") from error
            if not paths.is_at(lock, around, identity):
                raise Damaged("it was removed just now")
            yield

    def manifest(self, series: str, identity: str) -> bytes:
        with open_regular(self._checkpoint_path(series, identity) / manifest.FILE) as file:
            content = file.read(manifest.MAX_BYTES + 1)
        if len(content) > manifest.MAX_BYTES:
            raise Damaged("the manifest is larger than any can be")
        return content

    def sizes(self, series: str, identity: str) -> dict[str, int]:
        root = self._checkpoint_path(series, identity)
        with paths.held(str(root)) as inside:
            unknown = set(os.listdir(inside)) - {_FILES, manifest.FILE}
        if unknown:
            raise Damaged(f"it holds {sorted(unknown)[0][:80]!r}, which no save has written")
        tree = read_tree(root / _FILES)
        if tree.is_file:
            raise Damaged("its directory of files is a file")
        return tree.files

    def open(self, series: str, identity: str, name: str) -> BinaryIO:
        return open_regular(self._checkpoint_path(series, identity) / _FILES / names.check_relative(name))

    def tree(self, series: str, identity: str) -> Path:
        return self._checkpoint_path(series, identity) / _FILES

    def location(self, series: str, identity: str) -> str:
        return str(self._checkpoint_path(series, identity))

    def remove(self, series: str, identity: str) -> str | None:
        path = self._checkpoint_path(series, identity)
        with contextlib.ExitStack() as opened:
            try:
                around, lock = opened.enter_context(_open_series_and_checkpoint(path))
                if not _try_lock(lock):
                    return f"it is being read by {flock.holders(lock)}"
                gone = f"{_DRAFT}removed-{identity}"
                os.rename(identity, gone, src_dir_fd=around, dst_dir_fd=around)
                if not paths.is_at(lock, around, gone):
                    return "something else was put in its place just now"
                os.fsync(around)
                paths.remove_open(lock, around, gone)
            except FileNotFoundError:
                return None
            except OSError as error:
                return error.strerror or str(error)
        return None

    def leftovers(self, series: str, remove: bool) -> list[str]:
        place = self._series_path(series)
        found = []
        try:
            around = paths.open_directory(str(place))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CheckpointError(f"{place}: cannot be read: {error.strerror}") from error
        try:
            for name in sorted(name for name in os.listdir(around) if name.startswith(_DRAFT)):
                dead = flock.try_directory(around, name)
                if dead is None:
                    continue
                found.append(str(place / name))
                with contextlib.ExitStack() as closing, contextlib.suppress(OSError):
                    closing.callback(os.close, dead)
                    if remove:
                        paths.remove_open(dead, around, name)
        finally:
            os.close(around)
        return found

    def room(self, series: str) -> int:
        place = self._series_path(series)
        there = next(parent for parent in (place, *place.parents) if parent.exists())
        try:
            status = os.statvfs(there)
        except OSError as error:
            raise CheckpointError(f"{there}: its free space cannot be read: {error.strerror}") from error
        return status.f_bavail * status.f_frsize

    def _series_path(self, series: str) -> Path:
        return self.root / names.check_series(series)

    def _checkpoint_path(self, series: str, identity: str) -> Path:
        if not names.is_id(identity):
            raise ValueError(f"{identity[:80]!r} is no id of a checkpoint")
        return self._series_path(series) / identity


@contextlib.contextmanager
def _open_series_and_checkpoint(path: Path) -> Iterator[tuple[int, int]]:
    """Open the directories of a checkpoint's series and of the checkpoint. Raises OSError."""
    around = paths.open_directory(str(path.parent))
    try:
        inside = paths.open_below(around, path.name)
        try:
            yield around, inside
        finally:
            os.close(inside)
    finally:
        os.close(around)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write_file(path: Path, source: BinaryIO, mode: int = 0o600) -> ManifestEntry:
    """Write a new file and make it durable. Raises OSError, also where the file exists."""
    descriptor = paths.open_file(str(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb", buffering=0) as sink:
        entry = copy(source, sink)
        os.fsync(descriptor)
    return entry


def sync_tree(root: Path) -> None:
    """Sync every directory of a tree, the innermost first."""
    for directory in reversed([directory for directory, _directories, _files in walk(root)]):
        sync_directory(directory)
