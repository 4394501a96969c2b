# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How root safely opens files below directories that other users may change.

A path is walked component by component from the root, each opened relative to the one before (C(openat(2))), so that a
user who renames a directory meanwhile cannot redirect the walk. A link is followed only where root alone could have
created it: C(/var/run) is one, a link in a service's own directory is not. The opened file is checked by its
descriptor.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MOST_LINKS = 40
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
# O_PATH: looking at a component needs no permission on it and opens no device.
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# For the directories on the way, search permission is enough.
_PASS = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# The directory that paths of held() begin with; it contains this process' own descriptors.
_HELD = re.compile(r"/proc/self/fd/[0-9]+(?=/|\Z)")
# Virtual file systems, whose files are generated while they are read.
_MADE_UP = ("/proc", "/sys")


class UnsafePath(OSError):
    """A path that another user than root could redirect, or that leads to no plain file or directory."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(errno.EPERM, why, path)


def open_directory(path: str, follow: bool = True, make: int | None = None, own: bool = False) -> int:
    """The descriptor of a directory. Raises OSError, and UnsafePath for a link that others could have created.

    C(follow): whether root's own links are followed.  C(make): create missing directories, with this mode.
    C(own): require that only root and this user can change or replace the directory.
    """
    if not os.path.isabs(path):
        raise UnsafePath(path, "is not an absolute path")
    begins = _HELD.match(path)
    waiting, links = [part for part in path[begins.end() if begins else 0 :].split("/") if part], 0
    descriptor = os.open(begins[0], _PASS & ~os.O_NOFOLLOW) if begins else os.open("/", _PASS)
    try:
        while waiting:
            if own:
                _check_own(descriptor, path, last=False)
            name = waiting.pop(0)
            if make is not None:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, make, dir_fd=descriptor)
            target = None if name == "." else _read_link(descriptor, name, path)
            if target is not None:
                links += 1
                _check_links(path, name, links, follow)
                waiting = [part for part in target.split("/") if part] + waiting
            if target is None or target.startswith("/"):
                below = os.open(name if target is None else "/", _PASS, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = below
        if own:
            _check_own(descriptor, path, last=True)
        return os.open(".", _DIRECTORY, dir_fd=descriptor)
    finally:
        os.close(descriptor)


def make_directory(directory: int, name: str, shown: str) -> int:
    """Create a private directory in an open one, and open it. C(shown): its path for messages.

    Raises OSError, and UnsafePath where the new directory was replaced before it was opened.
    """
    os.mkdir(name, 0o700, dir_fd=directory)
    descriptor = os.open(name, _DIRECTORY, dir_fd=directory)
    try:
        _check_made(descriptor, shown)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_made(descriptor: int, shown: str) -> None:
    about = os.fstat(descriptor)
    if about.st_mode & 0o777 != 0o700 or os.listdir(descriptor) or about.st_uid != _owner_of_new(descriptor, about):
        raise UnsafePath(shown, "was replaced by something else while it was made")


def _owner_of_new(directory: int, about: os.stat_result) -> int:
    """The owner of files that we create in a directory: a file server may map root to another user (root_squash)."""
    if about.st_uid == os.geteuid():
        return about.st_uid
    os.mkdir(".made", 0o700, dir_fd=directory)
    try:
        return os.stat(".made", dir_fd=directory, follow_symlinks=False).st_uid
    finally:
        os.rmdir(".made", dir_fd=directory)


def may_change(directory: int) -> bool:
    """Whether this user may create and remove names in an open directory. On a read-only file system nobody may."""
    return os.access(".", os.W_OK | os.X_OK, dir_fd=directory, effective_ids=True)


def is_at(descriptor: int, directory: int, name: str) -> bool:
    """Whether a descriptor is the file of this name in an open directory."""
    try:
        there = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))


def check_own(path: str, make: int | None = None) -> None:
    """Check that only root and this user can change or replace a directory, so that its path is safe to use.

    Raises OSError, and UnsafePath where another user can.
    """
    os.close(open_directory(path, make=make, own=True))


def _check_own(directory: int, path: str, last: bool) -> None:
    about = os.fstat(directory)
    # In a directory like /tmp every user may create names, but only their owner may remove them.
    shared = about.st_mode & _OTHERS_WRITE and (last or not about.st_mode & stat.S_ISVTX)
    if about.st_uid not in (0, os.geteuid()) or shared:
        which = "it" if last else "each directory on the way"
        raise UnsafePath(
            path, f"{which} must belong to root and be writable for nobody else; look who made or opened it"
        )


def _check_links(path: str, name: str, links: int, follow: bool) -> None:
    if not follow:
        raise UnsafePath(path, f"leads through the link {name}")
    if links > _MOST_LINKS:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def _read_link(directory: int, name: str, path: str) -> str | None:
    """The target of a link, None if a component is no link. Raises UnsafePath for a link that is not root's."""
    looked = os.open(name, _LOOK, dir_fd=directory)
    try:
        about, around = os.fstat(looked), os.fstat(directory)
        if not stat.S_ISLNK(about.st_mode):
            return None
        ours = (0, os.geteuid())
        if about.st_uid not in ours or around.st_uid not in ours or around.st_mode & _OTHERS_WRITE:
            raise UnsafePath(path, f"leads through the link {name}, which others than root may have put there")
        return os.readlink("", dir_fd=looked)
    finally:
        os.close(looked)


def real(path: str) -> str:
    """A path with all links resolved. Raises OSError, and UnsafePath for a link that is not root's."""
    for _link_by_link in range(_MOST_LINKS):
        directory, name = open_directory(os.path.dirname(path)), os.path.basename(path)
        try:
            target = _read_link(directory, name, path)
            around = os.readlink(f"/proc/self/fd/{directory}")
        finally:
            os.close(directory)
        path = os.path.join(around, name if target is None else target)
        if target is None:
            return path
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def open_socket(path: str) -> int:
    """The descriptor of a UNIX socket, to connect to by /proc/self/fd. Raises OSError, and UnsafePath for no socket."""
    path = real(path)
    directory = open_directory(os.path.dirname(path))
    try:
        descriptor = os.open(os.path.basename(path), _LOOK, dir_fd=directory)
    finally:
        os.close(directory)
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnsafePath(path, "is no socket")
    return descriptor


def open_file(path: str, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
    """The descriptor of a plain file, opened without blocking. Raises OSError, and UnsafePath for anything else.

    A file with several hard links is refused where its owner is not the directory's: it may be another user's file.
    """
    directory = open_directory(os.path.dirname(path))
    try:
        return open_at(directory, os.path.basename(path), path, flags, mode)
    finally:
        os.close(directory)


def open_at(directory: int, name: str, shown: str, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
    """As open_file, of a name in an open directory. C(shown): the path for messages."""
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        descriptor = os.open(name, flags, mode, dir_fd=directory)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UnsafePath(shown, "is a link, and no plain file") from error
        raise
    try:
        _check_file(descriptor, directory, shown)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_file(descriptor: int, directory: int, shown: str) -> None:
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode):
        raise UnsafePath(shown, "is not a plain file")
    if about.st_dev in _virtual_devices():
        raise UnsafePath(shown, "is no file on a disk, but the kernel's own")
    if about.st_nlink > 1 and about.st_uid != os.fstat(directory).st_uid:
        raise UnsafePath(shown, "has another name elsewhere, and belongs to another user than its directory")


def _virtual_devices() -> set[int]:
    found = set()
    for place in _MADE_UP:
        try:
            found.add(os.stat(place).st_dev)
        except OSError:
            continue
    return found


@contextmanager
def held(path: str) -> Iterator[Path]:
    """A path that always means this directory, even if it is renamed or replaced meanwhile. Raises OSError.

    The path leads through a descriptor, for programs and functions that need a path.
    """
    descriptor = open_directory(path)
    try:
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def open_below(directory: int, name: str) -> int:
    """The descriptor of a directory in an open one; no link is followed. Raises OSError."""
    return os.open(name, _DIRECTORY, dir_fd=directory)


def remove_open(descriptor: int, directory: int, name: str) -> None:
    """Empty an open directory, even if it was renamed, and then remove the name if that is empty. Raises OSError."""
    for each in os.listdir(descriptor):
        remove_below(descriptor, each)
    os.rmdir(name, dir_fd=directory)


def remove_below(directory: int, name: str) -> None:
    """Remove a file or tree by its name in an open directory, without following links. Raises OSError."""
    if not stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=directory)
        return
    for _root, folders, files, inside in walk(directory, name, topdown=False):
        for each in files:
            os.unlink(each, dir_fd=inside)
        for each in folders:
            _remove_folder(each, inside)
    os.rmdir(name, dir_fd=directory)


def walk(directory: int, name: str, topdown: bool = True) -> Iterator[tuple[str, list[str], list[str], int]]:
    """Walk a directory in an open one as os.fwalk does, without following links.

    Raises OSError, also for directories that are nested too deeply: each level needs a descriptor, and up to Python
    3.11 a stack frame.
    """
    try:
        yield from os.fwalk(name, topdown, _raise_if_out_of_descriptors, follow_symlinks=False, dir_fd=directory)
    except RecursionError:
        raise OSError(errno.ELOOP, "directories are nested too deeply to be gone through", name) from None


def _raise_if_out_of_descriptors(error: OSError) -> None:
    """Raise where descriptors run out; a directory that is gone or unreadable is skipped instead."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        raise error


def _remove_folder(name: str, inside: int) -> None:
    try:
        os.rmdir(name, dir_fd=inside)
    except NotADirectoryError:
        # A link to a directory, which fwalk lists among the directories, or a directory replaced by a link.
        os.unlink(name, dir_fd=inside)
