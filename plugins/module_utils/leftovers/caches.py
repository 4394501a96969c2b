# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Emptying the cache directories that the inventory declares, and nothing outside of them."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from ..host import paths

# System and shared directories of two or more parts; all shorter paths are refused anyway.
_TOO_GENERAL = frozenset(
    f"/{name}"
    for name in (
        *("dev/shm", "run/user", "run/lock", "srv/models"),
        *(f"usr/{name}" for name in ("bin", "sbin", "lib", "lib64", "libexec", "local", "share", "src", "include")),
        *(f"var/{name}" for name in ("cache", "lib", "log", "run", "tmp", "spool", "opt", "mail", "backups")),
    )
)


@dataclass
class EmptiedCaches:
    """removed: entries directly in the declared directories, with their contents.  left: path and why it stayed."""

    removed: list[str] = field(default_factory=list)
    freed: int = 0
    left: list[str] = field(default_factory=list)


def refuse(path: str) -> str:
    """Why a declared path must not be emptied; an empty text if it may be. Checks the text alone."""
    pure = PurePosixPath(path)
    if not pure.is_absolute() or path.startswith("//"):
        return f"{path!r} is not an absolute path"
    if ".." in pure.parts:
        return f"{path!r} holds '..'"
    if len(pure.parts) < 3 or str(pure) in _TOO_GENERAL:
        return f"{path!r} is too general to be the cache of one service"
    return ""


def empty(path: str, dry_run: bool) -> EmptiedCaches:
    """Remove the contents of a directory but not the directory. Raises ValueError for a path that refuse() refuses.

    All removals are relative to the directory opened first, so that a directory put in its place is not touched.
    """
    reason = refuse(path)
    if reason:
        raise ValueError(reason)
    done = EmptiedCaches()
    try:
        directory = paths.open_directory(path, follow=False)
    except FileNotFoundError:
        return done
    except OSError as error:
        done.left.append(f"{path}: is not a plain directory, or leads through a link: {error.strerror}")
        return done
    try:
        device = os.fstat(directory).st_dev
        for name in sorted(os.listdir(directory)):
            _remove_entry(directory, name, os.path.join(path, name), device, dry_run, done)
    finally:
        os.close(directory)
    return done


def _remove_entry(directory: int, name: str, shown: str, device: int, dry_run: bool, done: EmptiedCaches) -> None:
    try:
        size, foreign = _measure_entry(directory, name, shown, device)
        if foreign:
            done.left.append(f"{shown}: another file system is mounted at {foreign}")
            return
        if not dry_run:
            paths.remove_below(directory, name)
    except OSError as error:
        done.left.append(f"{shown}: {error.strerror}")
        return
    done.removed.append(shown)
    done.freed += size


def _measure_entry(directory: int, name: str, shown: str, device: int) -> tuple[int, str]:
    """Bytes below a name, and the first path on another file system, if any. Links are not followed."""
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if status.st_dev != device:
        return 0, shown
    size = status.st_size
    if not stat.S_ISDIR(status.st_mode):
        return size, ""
    parent = os.path.dirname(shown)
    for folder, names, files, inside in paths.walk(directory, name):
        for each in (*names, *files):
            found = os.stat(each, dir_fd=inside, follow_symlinks=False)
            if found.st_dev != device:
                return 0, os.path.join(parent, folder, each)
            size += found.st_size
    return size, ""
