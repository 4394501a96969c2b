# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of one checkpoint on a local disk: regular files only, never through a link."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..host import paths
from .names import check_relative
from .problems import Damaged

# Size, modification time, change time and inode: a file that was written to has another change time.
Signature = tuple[int, int, int, int]


@dataclass(frozen=True)
class Tree:
    """A directory, or one file. C(files) maps each name, relative and with slashes, to its size in bytes."""

    root: Path
    files: dict[str, int]
    is_file: bool

    def open(self, name: str) -> BinaryIO:
        """Open one of the files for reading. Raises Damaged when it is gone, or has become something else."""
        return open_regular(self.path(name))

    def path(self, name: str) -> Path:
        """Where a file is."""
        return self.root if self.is_file else self.root / name

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(self.files.values())

    def directory(self) -> Path:
        """Where other files that a file refers to would be."""
        return self.root.parent if self.is_file else self.root


def read_tree(root: Path, only: frozenset[str] | None = None) -> Tree:
    """List a checkpoint. Raises Damaged for what is no regular file, and for names that cannot be kept safely.

    only: the files that belong to it, when others are in the same directory. One that is not there is Damaged.
    """
    try:
        around = paths.open_directory(str(root.parent))
        try:
            about = os.stat(root.name, dir_fd=around, follow_symlinks=False)
            if stat.S_ISREG(about.st_mode):
                return Tree(root, {check_relative(root.name): about.st_size}, True)
            if not stat.S_ISDIR(about.st_mode):
                raise Damaged(f"{root} is neither a file nor a directory")
            files = _named(root, only) if only is not None else dict(_walk(around, root.name, ""))
        finally:
            os.close(around)
    except OSError as error:
        raise Damaged(f"{error.filename or root}: {error.strerror}") from error
    return Tree(root, dict(sorted(files.items())), False)


def signature(root: Path, only: frozenset[str] | None = None) -> dict[str, Signature]:
    """What would change if anybody wrote to these files. Empty when there is nothing."""
    try:
        tree = read_tree(root, only)
        return {name: signature_of(os.lstat(tree.path(name))) for name in tree.files}
    except (Damaged, OSError):
        return {}


def signature_of(status: os.stat_result) -> Signature:
    """The signature of one file."""
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading, and nothing else: a pipe, a device or a link of others' raises Damaged."""
    try:
        return os.fdopen(paths.open_file(str(path)), "rb")
    except OSError as error:
        raise Damaged(f"{path.name}: cannot be opened as a regular file: {error.strerror}") from error


def _named(root: Path, only: frozenset[str]) -> dict[str, int]:
    files = {}
    for name in only:
        with open_regular(root / check_relative(name)) as file:
            files[name] = os.fstat(file.fileno()).st_size
    return files


def _walk(around: int, folder: str, prefix: str) -> Iterator[tuple[str, int]]:
    """Each directory is opened in the one around it: whoever swaps one for a link leads nobody through it."""
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=around)
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                name = check_relative(prefix + entry.name)
                if entry.is_dir(follow_symlinks=False):
                    yield from _walk(directory, entry.name, name + "/")
                elif entry.is_file(follow_symlinks=False):
                    yield name, entry.stat(follow_symlinks=False).st_size
                else:
                    raise Damaged(f"{name}: is a link, a device or a pipe; a checkpoint has regular files only")
    finally:
        os.close(directory)
