# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Emptying the cache directories that the inventory declares, and nothing outside of them."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

# Directories of two or more parts that hold a system or everybody's data; all shorter ones are refused anyway.
_TOO_GENERAL = frozenset(
    f"/{name}"
    for name in (
        *("dev/shm", "run/user", "run/lock", "srv/models"),
        *(f"usr/{name}" for name in ("bin", "sbin", "lib", "lib64", "libexec", "local", "share", "src", "include")),
        *(f"var/{name}" for name in ("cache", "lib", "log", "run", "tmp", "spool", "opt", "mail", "backups")),
    )
)


@dataclass
class Emptied:
    """removed: entries directly in the declared directories, with all that was in them. left: path and why."""

    removed: list[str] = field(default_factory=list)
    freed: int = 0
    left: list[str] = field(default_factory=list)


def refuse(path: str) -> str:
    """Why a declared path must not be emptied; an empty text when it may be. Looks at the text alone."""
    pure = PurePosixPath(path)
    if not pure.is_absolute() or path.startswith("//"):
        return f"{path!r} is not an absolute path"
    if ".." in pure.parts:
        return f"{path!r} holds '..'"
    if len(pure.parts) < 3 or str(pure) in _TOO_GENERAL:
        return f"{path!r} is too general to be the cache of one service"
    return ""


def empty(path: str, dry_run: bool) -> Emptied:
    """Remove what is in a directory, and keep the directory. Raises ValueError for a path that refuse() refuses."""
    reason = refuse(path)
    if reason:
        raise ValueError(reason)
    done = Emptied()
    directory = Path(path)
    if not directory.exists():
        return done
    if Path(os.path.realpath(directory)) != directory or not directory.is_dir():
        done.left.append(f"{path}: is not a plain directory, or leads through a link")
        return done
    for entry in sorted(directory.iterdir()):
        _remove(entry, directory.stat().st_dev, dry_run, done)
    return done


def _remove(entry: Path, device: int, dry_run: bool, done: Emptied) -> None:
    try:
        size, foreign = _measure(entry, device)
        if foreign:
            done.left.append(f"{entry}: another file system is mounted at {foreign}")
            return
        if not dry_run:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
    except OSError as error:
        done.left.append(f"{entry}: {error.strerror}")
        return
    done.removed.append(str(entry))
    done.freed += size


def _measure(entry: Path, device: int) -> tuple[int, str]:
    """Bytes below an entry, and the first path on another file system, if any. Links are not followed."""
    status = entry.lstat()
    if status.st_dev != device:
        return 0, str(entry)
    size = status.st_size
    if entry.is_symlink() or not entry.is_dir():
        return size, ""
    for folder, names, files in os.walk(entry):
        for name in (*names, *files):
            path = os.path.join(folder, name)
            found = os.lstat(path)
            if found.st_dev != device:
                return 0, path
            size += found.st_size
    return size, ""
