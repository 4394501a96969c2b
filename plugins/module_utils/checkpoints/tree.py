# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of one checkpoint on a local disk: regular files only, without following links."""

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

# Size, modification time, change time and inode: any write to a file changes its change time.
Signature = tuple[int, int, int, int]


@dataclass(frozen=True)
class Tree:
    """A directory, or one file. C(files) maps each name, relative and with slashes, to its size in bytes."""

    root: Path
    files: dict[str, int]
    is_file: bool

    def open(self, name: str) -> BinaryIO:
        """Open one of the files for reading. Raises Damaged where it is gone, or no regular file any more."""
        return open_regular(self.path(name))

    def path(self, name: str) -> Path:
        """The path of a file."""
        return self.root if self.is_file else self.root / name

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(self.files.values())

    def directory(self) -> Path:
        """The directory that references between the files are relative to."""
        return self.root.parent if self.is_file else self.root


def read_tree(root: Path, only: frozenset[str] | None = None) -> Tree:
    """List a checkpoint. Raises Damaged for anything but regular files, and for names that are unsafe to store.

    only: the files that belong to the checkpoint, None for all; a missing one raises Damaged.
    """
    try:
        around = paths.open_directory(str(root.parent))
        try:
            about = os.stat(root.name, dir_fd=around, follow_symlinks=False)
            if stat.S_ISREG(about.st_mode):
                return Tree(root, {check_relative(root.name): about.st_size}, True)
            if not stat.S_ISDIR(about.st_mode):
                raise Damaged(f"{root} is neither a file nor a directory")
            files = _named_files(root, only) if only is not None else dict(_walk_files(around, root.name, ""))
        finally:
            os.close(around)
    except OSError as error:
        raise Damaged(f"{error.filename or root}: {error.strerror}") from error
    return Tree(root, dict(sorted(files.items())), False)


def signature(root: Path, only: frozenset[str] | None = None) -> dict[str, Signature]:
    """The signatures of the files, which any write would change. Empty where there are no files."""
    try:
        tree = read_tree(root, only)
        return {name: signature_of(os.lstat(tree.path(name))) for name in tree.files}
    except (Damaged, OSError):
        return {}


def signature_of(status: os.stat_result) -> Signature:
    """The signature of one file."""
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading. Raises Damaged for a pipe, a device, or a link of another user."""
    try:
        return os.fdopen(paths.open_file(str(path)), "rb")
    except OSError as error:
        raise Damaged(f"{path.name}: cannot be opened as a regular file: {error.strerror}") from error


def _named_files(root: Path, only: frozenset[str]) -> dict[str, int]:
    files = {}
    for name in only:
        with open_regular(root / check_relative(name)) as file:
            files[name] = os.fstat(file.fileno()).st_size
    return files


def _walk_files(around: int, folder: str, prefix: str) -> Iterator[tuple[str, int]]:
    """List files recursively. Each directory is opened relative to its parent, so that no link is followed."""
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=around)
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                name = check_relative(prefix + entry.name)
                if entry.is_dir(follow_symlinks=False):
                    yield from _walk_files(directory, entry.name, name + "/")
                elif entry.is_file(follow_symlinks=False):
                    yield name, entry.stat(follow_symlinks=False).st_size
                else:
                    raise Damaged(f"{name}: is a link, a device or a pipe; a checkpoint has regular files only")
    finally:
        os.close(directory)
