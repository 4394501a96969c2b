# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How root opens what lies below directories that others may change.

A path is walked component by component from the root, each opened below the one before (C(openat(2))), so that nobody
who renames a directory meanwhile leads the walk elsewhere.  A link is followed only where root alone could have put it:
C(/var/run) is one, a link in a service's own directory is not.  What is opened last is judged by its descriptor.
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
# O_PATH: to look at a component asks for no permission on it and opens no device.
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# On the way it is enough to be let through.
_PASS = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A directory of held(), and nobody else's: what lies there are this process' own descriptors.
_HELD = re.compile(r"/proc/self/fd/[0-9]+(?=/|\Z)")
# Files that are no files: what they hold is made up while they are read.
_MADE_UP = ("/proc", "/sys")


class UnsafePath(OSError):
    """A path leads where somebody without root's rights could lead it, or to what is no plain file or directory."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(errno.EPERM, why, path)


def open_directory(path: str, follow: bool = True, make: int | None = None, own: bool = False) -> int:
    """The descriptor of a directory. Raises OSError, and UnsafePath for a link that others could have put there.

    C(follow): whether root's own links are followed.  C(make): the mode of directories that are missing and are made.
    C(own): nobody but root and this user may be able to change the directory, or to put another one in its place.
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
            target = None if name == "." else _link(descriptor, name, path)
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
    """Make a directory for ourselves alone in an open one, and open it. C(shown): its path for messages.

    Raises OSError, and UnsafePath where another directory was put in its place before it was opened.
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
    if about.st_mode & 0o777 != 0o700 or os.listdir(descriptor) or about.st_uid != _makes_as(descriptor, about):
        raise UnsafePath(shown, "was replaced by something else while it was made")


def _makes_as(directory: int, about: os.stat_result) -> int:
    """Whose what we make in a directory is: a file server may give what root makes to somebody else (root_squash)."""
    if about.st_uid == os.geteuid():
        return about.st_uid
    os.mkdir(".made", 0o700, dir_fd=directory)
    try:
        return os.stat(".made", dir_fd=directory, follow_symlinks=False).st_uid
    finally:
        os.rmdir(".made", dir_fd=directory)


def may_change(directory: int) -> bool:
    """Whether this user may make and remove names in an open directory. On a read-only file system nobody may."""
    return os.access(".", os.W_OK | os.X_OK, dir_fd=directory, effective_ids=True)


def is_at(descriptor: int, directory: int, name: str) -> bool:
    """Whether what is open is what has a name in an open directory."""
    try:
        there = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))


def check_own(path: str, make: int | None = None) -> None:
    """See that what lies below a directory may be reached by its path.

    Raises OSError, and UnsafePath where others than root and this user can change it or put another in its place.
    """
    os.close(open_directory(path, make=make, own=True))


def _check_own(directory: int, path: str, last: bool) -> None:
    about = os.fstat(directory)
    # In a directory like /tmp everybody may make names, and nobody but their owner may take them away.
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


def _link(directory: int, name: str, path: str) -> str | None:
    """Where a component leads, None if it is no link. Raises UnsafePath for one that is not root's."""
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
            target = _link(directory, name, path)
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

    A file with several names is refused where its owner is not the directory's: one of them may be another's.
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
    if about.st_dev in _made_up_devices():
        raise UnsafePath(shown, "is no file on a disk, but the kernel's own")
    if about.st_nlink > 1 and about.st_uid != os.fstat(directory).st_uid:
        raise UnsafePath(shown, "has another name elsewhere, and belongs to another user than its directory")


def _made_up_devices() -> set[int]:
    found = set()
    for place in _MADE_UP:
        try:
            found.add(os.stat(place).st_dev)
        except OSError:
            continue
    return found


@contextmanager
def held(path: str) -> Iterator[Path]:
    """A path that stays this directory, whatever is put in its place meanwhile. Raises OSError.

    It leads through the descriptor, so that programs and functions that want a path can be given it.
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
    """Remove an open directory, whatever has its name by now, and then the name if nothing is in it. Raises OSError."""
    for each in os.listdir(descriptor):
        remove_below(descriptor, each)
    os.rmdir(name, dir_fd=directory)


def remove_below(directory: int, name: str) -> None:
    """Remove what has a name in an open directory, with all that is in it; no link is followed. Raises OSError."""
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
    """Go through a directory in an open one as os.fwalk does; no link is followed.

    Raises OSError, also where directories are nested too deeply for us: each level holds a descriptor, and up to Python
    3.11 a frame of the stack.
    """
    try:
        yield from os.fwalk(name, topdown, _raise_out_of_descriptors, follow_symlinks=False, dir_fd=directory)
    except RecursionError:
        raise OSError(errno.ELOOP, "directories are nested too deeply to be gone through", name) from None


def _raise_out_of_descriptors(error: OSError) -> None:
    """What is below is not passed over. A directory that has gone meanwhile, or may not be read, is."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        raise error


def _remove_folder(name: str, inside: int) -> None:
    try:
        os.rmdir(name, dir_fd=inside)
    except NotADirectoryError:
        # A link to a directory, which fwalk counts among the directories, or one that was swapped for one.
        os.unlink(name, dir_fd=inside)
