# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restoring the newest checkpoint that verifies: the old state stays in place until the new one is complete."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import secrets
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..host import flock, paths
from ..host.walking import walk
from . import proving
from .copying import for_each, sync_directory
from .formats import prove
from .local_store import sync_tree, write_file
from .manifest import Manifest, ManifestEntry
from .problems import CheckpointError, Damaged
from .saving import check_room
from .store import Store
from .tree import Tree, read_tree

_STAGE = ".autoglm-restore-"
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@dataclass(frozen=True)
class RestoredCheckpoint:
    """The restored checkpoint. skipped: id -> reason, for each newer one that was passed over."""

    manifest: Manifest
    changed: bool
    skipped: dict[str, str]
    removed: list[str]
    seconds: float


@dataclass(frozen=True)
class RestoreTarget:
    """Where a checkpoint is restored to. merge: put files into a directory with others, such as an engine's slots.

    dest: during a restore, a path through the descriptor of the parent directory, so that the owner of that directory
    cannot redirect root.  shown: the path for messages.
    """

    dest: Path
    merge: bool = False
    min_free: int = 0
    check_only: bool = False
    skipped: dict[str, str] = field(default_factory=dict)
    shown: str = ""


def restore(
    store: Store, series: str, target: RestoreTarget, key: str | None, identity: str | None = None
) -> RestoredCheckpoint:
    """Restore the newest checkpoint that verifies, or the named one. Raises CheckpointError and Damaged."""
    began = time.monotonic()
    _check_dest(target)
    try:
        with _with_open_directory(target) as held:
            return _restore_newest(store, series, held, key, identity, began)
    except paths.UnsafePath as error:
        raise CheckpointError(f"{error.filename}: {error.strerror}") from error


@contextlib.contextmanager
def _with_open_directory(target: RestoreTarget) -> Iterator[RestoreTarget]:
    """The target with a path through an open descriptor, which renames and links cannot redirect."""
    if target.merge:
        with paths.held(str(target.dest)) as dest:
            yield replace(target, dest=dest, shown=str(target.dest))
        return
    with paths.held(str(target.dest.parent)) as around:
        yield replace(target, dest=around / target.dest.name, shown=str(target.dest))


def _restore_newest(
    store: Store, series: str, target: RestoreTarget, key: str | None, identity: str | None, began: float
) -> RestoredCheckpoint:
    removed = [] if target.check_only else _remove_leftovers(target)
    for each in store.ids(series) if identity is None else [identity]:
        try:
            with store.hold(series, each):
                found, changed = _restore_one(store, series, each, target, key)
        except Damaged as error:
            target.skipped[each] = str(error)
            continue
        return RestoredCheckpoint(found, changed, target.skipped, removed, round(time.monotonic() - began, 3))
    raise CheckpointError(f"{store.url}: {series} has no checkpoint that verifies" + _list_reasons(target.skipped))


def _restore_one(
    store: Store, series: str, identity: str, target: RestoreTarget, key: str | None
) -> tuple[Manifest, bool]:
    found = proving.read(store, series, identity, key)
    _check_kind(target, found)
    if _is_restored(target, found):
        return found, False
    if target.check_only:
        proving.check(store, series, identity, key)
        return found, True
    check_room(_free_bytes(_stage_parent(target)), found.bytes, target.min_free, os.path.dirname(target.shown))
    with _stage_directory(target) as stage:
        files = stage / "files"
        files.mkdir(mode=0o750)

        def fetch(name: str) -> ManifestEntry:
            path = files / name
            path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            with store.open(series, identity, name) as source:
                try:
                    return write_file(path, source, 0o640)
                except OSError as error:
                    raise CheckpointError(f"{target.shown}: {name} cannot be written: {error.strerror}") from error

        proving.same(for_each(list(found.files), fetch), found)
        only = next(iter(found.files))
        prove(read_tree(files / only if found.layout == "file" else files), found.format)
        try:
            _copy_owner(files, target)
            sync_tree(files)
            _put_in_place(files, found, target)
        except OSError as error:
            raise CheckpointError(f"{target.shown}: cannot be replaced: {error.strerror}") from error
    return found, True


def _check_dest(target: RestoreTarget) -> None:
    dest = target.dest
    if not dest.is_absolute() or ".." in dest.parts or len(dest.parts) < 3:
        raise ValueError(f"dest {str(dest)!r} must be an absolute path below a directory of its own")
    if dest.is_symlink():
        raise CheckpointError(f"{dest} is a link; give the path that it leads to")
    if not dest.parent.is_dir():
        raise CheckpointError(f"{dest.parent} is not there, and nobody else may say whose it should be")
    if target.merge and not dest.is_dir():
        raise CheckpointError(f"{dest} is not there; it is the directory into which the engine's files go")


def _check_kind(target: RestoreTarget, found: Manifest) -> None:
    try:
        is_directory = stat.S_ISDIR(os.lstat(target.dest).st_mode)
    except FileNotFoundError:
        return
    if is_directory != (found.layout == "directory") and not target.merge:
        raise CheckpointError(
            f"{target.shown} is a {'directory' if is_directory else 'file'}, the checkpoint a {found.layout}"
        )


def _is_restored(target: RestoreTarget, found: Manifest) -> bool:
    try:
        if not target.merge:
            return target.dest.exists() and proving.holds(read_tree(target.dest), found)
        sizes = {name: os.lstat(target.dest / name).st_size for name in found.files}
        return proving.holds(Tree(target.dest, sizes, False), found)
    except (Damaged, OSError):
        return False


def _stage_parent(target: RestoreTarget) -> Path:
    """The directory for stages, on the file system of the target."""
    return target.dest if target.merge else target.dest.parent


def _stage_parent_shown(target: RestoreTarget) -> str:
    """The path of the stages' directory for messages."""
    return target.shown if target.merge else os.path.dirname(target.shown)


def _stage_prefix(target: RestoreTarget) -> str:
    return f"{_STAGE}{os.path.basename(target.shown)}-"


@contextlib.contextmanager
def _stage_directory(target: RestoreTarget) -> Iterator[Path]:
    """A temporary directory, removed at the end with whatever it holds then."""
    name = f"{_stage_prefix(target)}{secrets.token_hex(6)}"
    place = lock = -1
    try:
        place = paths.open_directory(str(_stage_parent(target)))
        lock = flock.make_directory(place, name, os.path.join(_stage_parent_shown(target), name))
        # By its descriptor: the owner of the parent directory may rename it, and put a link in its place.
        yield Path(f"/proc/self/fd/{lock}")
    except OSError as error:
        raise CheckpointError(f"{target.shown}: no stage can be made beside it: {error.strerror}") from error
    finally:
        if lock >= 0:
            with contextlib.suppress(OSError):
                paths.remove_open(lock, place, name)
            os.close(lock)
        if place >= 0:
            os.close(place)


def _remove_leftovers(target: RestoreTarget) -> list[str]:
    """Remove the stages of killed restores. A running restore holds a lock on its stage."""
    removed = []
    place = paths.open_directory(str(_stage_parent(target)))
    try:
        for name in sorted(name for name in os.listdir(place) if name.startswith(_stage_prefix(target))):
            with contextlib.ExitStack() as opened, contextlib.suppress(OSError):
                stage = flock.try_directory(place, name)
                if stage is not None:
                    opened.callback(os.close, stage)
                    paths.remove_open(stage, place, name)
                    removed.append(os.path.join(_stage_parent_shown(target), name))
    finally:
        os.close(place)
    return removed


def _copy_owner(files: Path, target: RestoreTarget) -> None:
    """Give the new files the owner of the replaced state, or of the parent directory where there was none."""
    there = target.dest.exists() and not target.merge
    owner = os.lstat(target.dest) if there else os.stat(_stage_parent(target))
    if (owner.st_uid, owner.st_gid) == (os.geteuid(), os.getegid()):
        return
    for directory, _names, inside in walk(files):
        for path in (directory, *(os.path.join(directory, name) for name in inside)):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _put_in_place(files: Path, found: Manifest, target: RestoreTarget) -> None:
    dest = target.dest
    if target.merge:
        for name in found.files:
            _put_file(files, dest, name)
        sync_tree(dest)
        return
    if found.layout == "file":
        os.replace(files / next(iter(found.files)), dest)
    elif dest.exists():
        _exchange_directories(files, dest)
    else:
        os.rename(files, dest)
    sync_directory(dest.parent)


def _put_file(files: Path, dest: Path, name: str) -> None:
    """Put one file below a directory that another user may own: no directory on the path may be a link."""
    *folders, last = name.split("/")
    directory = os.open(dest, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in folders:
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder, 0o750, dir_fd=directory)
            below = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
            os.close(directory)
            directory = below
        os.rename(files / name, last, dst_dir_fd=directory)
    finally:
        os.close(directory)


def _exchange_directories(new: Path, dest: Path) -> None:
    """Exchange two directories."""
    libc = ctypes.CDLL(None, use_errno=True)
    renameat2 = getattr(libc, "renameat2", None)
    if renameat2 is not None:
        done = renameat2(_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(dest), _RENAME_EXCHANGE)
        if done == 0:
            return
        code = ctypes.get_errno()
        if code not in (errno.EINVAL, errno.ENOSYS):
            raise OSError(code, os.strerror(code), str(dest))
    # The file system cannot exchange: a kill between the two renames leaves the old state complete beside its place.
    previous = dest.with_name(f"{dest.name}.previous-{secrets.token_hex(4)}")
    os.rename(dest, previous)
    try:
        os.rename(new, dest)
    except OSError:
        os.rename(previous, dest)
        raise
    with contextlib.suppress(OSError):
        _remove_tree(previous)


def _remove_tree(path: Path) -> None:
    around = paths.open_directory(str(path.parent))
    try:
        paths.remove_below(around, path.name)
    finally:
        os.close(around)


def _free_bytes(directory: Path) -> int:
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def _list_reasons(skipped: dict[str, str]) -> str:
    return "".join(f"; {identity}: {reason}" for identity, reason in skipped.items())[:1500]
