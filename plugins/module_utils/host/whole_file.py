# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that others read: a reader finds the old content or the new one, never a part, also after a power cut.

The content is written beside the file, under a name that nobody can guess, and renamed over it.  An unfinished file is
removed when writing it fails; only a killed process leaves one.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from . import paths

_PASS = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True)
class NewFile:
    """A new file that has no name of its own yet.  Unless it takes its place it is removed."""

    file: BinaryIO
    directory: int
    unfinished: str
    name: str

    def sync(self) -> None:
        """Have all that was written on the disk."""
        self.file.flush()
        os.fsync(self.file.fileno())

    def fill(self, content: str | bytes) -> None:
        """Make this all of its content, and have it take its place."""
        self.file.write(content.encode() if isinstance(content, str) else content)
        self.sync()
        self.take_place()

    def take_place(self) -> None:
        os.rename(self.unfinished, self.name, src_dir_fd=self.directory, dst_dir_fd=self.directory)


@contextlib.contextmanager
def draft(
    directory: int, name: str, shown: str, mode: int | None = 0o600, unfinished: str | None = None
) -> Iterator[NewFile]:
    """Make a new file beside a name in an open directory.  Raises OSError, with C(shown) as its file's name.

    C(mode): whatever the umask is; None for what the umask leaves.  C(unfinished): its name until it takes its place.
    """
    unfinished = unfinished or f".{name}.{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    made = False
    try:
        # Nobody else may read what is to be private while its mode is set.
        descriptor = paths.open_at(directory, unfinished, shown, flags, 0o666 if mode is None else mode)
        made = True
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None:
                os.fchmod(descriptor, mode)
            yield NewFile(file, directory, unfinished, name)
    except OSError as error:
        error.filename, error.filename2 = shown, None
        raise
    finally:
        # What has taken its place has this name no more.
        if made:
            with contextlib.suppress(OSError):
                os.unlink(unfinished, dir_fd=directory)


@contextlib.contextmanager
def beside(path: str | os.PathLike[str], mode: int | None = None) -> Iterator[NewFile]:
    """As draft(), below a directory that nobody else can change or exchange.  Raises OSError."""
    where, name = os.path.split(os.fspath(path))
    directory = os.open(where or ".", _PASS)
    try:
        with draft(directory, name, os.fspath(path), mode) as new:
            yield new
    finally:
        os.close(directory)


def write(path: str | os.PathLike[str], content: str | bytes, mode: int | None = None) -> None:
    """Put a file with this content below a directory that nobody else can change or exchange.  Raises OSError."""
    with beside(path, mode) as new:
        new.fill(content)


def put(directory: int, name: str, shown: str, content: str | bytes, mode: int | None = 0o600) -> None:
    """Put a file with this content below an open directory.  Raises OSError; the rest is as for draft()."""
    with draft(directory, name, shown, mode) as new:
        new.fill(content)
