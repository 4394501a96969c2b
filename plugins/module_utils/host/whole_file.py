# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Atomic writes: a reader finds the old content or the new one, never a part of it, even after a power cut.

The content is written beside the file under an unguessable name and renamed over it. An unfinished file is removed
when writing fails; only a killed process leaves one.
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
    """A new file under a temporary name. It is removed unless take_place() renames it."""

    file: BinaryIO
    directory: int
    unfinished: str
    name: str

    def sync(self) -> None:
        """Flush the content to the disk."""
        self.file.flush()
        os.fsync(self.file.fileno())

    def fill(self, content: str | bytes) -> None:
        """Write the whole content, and rename the file to its final name."""
        self.file.write(content.encode() if isinstance(content, str) else content)
        self.sync()
        self.take_place()

    def take_place(self) -> None:
        os.rename(self.unfinished, self.name, src_dir_fd=self.directory, dst_dir_fd=self.directory)


@contextlib.contextmanager
def draft(
    directory: int, name: str, shown: str, mode: int | None = 0o600, unfinished: str | None = None
) -> Iterator[NewFile]:
    """Create a new file beside a name in an open directory. Raises OSError, with C(shown) as its file's name.

    C(mode): independent of the umask; None for the umask's default.  C(unfinished): the temporary name.
    """
    unfinished = unfinished or f".{name}.{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    made = False
    try:
        # Created with the final mode, so that no other user can read a private file before fchmod().
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
        # A renamed file does not have this name any more.
        if made:
            with contextlib.suppress(OSError):
                os.unlink(unfinished, dir_fd=directory)


@contextlib.contextmanager
def beside(path: str | os.PathLike[str], mode: int | None = None) -> Iterator[NewFile]:
    """As draft(), in a directory that no other user can change or replace. Raises OSError."""
    where, name = os.path.split(os.fspath(path))
    directory = os.open(where or ".", _PASS)
    try:
        with draft(directory, name, os.fspath(path), mode) as new:
            yield new
    finally:
        os.close(directory)


def write(path: str | os.PathLike[str], content: str | bytes, mode: int | None = None) -> None:
    """Write a file atomically, in a directory that no other user can change or replace. Raises OSError."""
    with beside(path, mode) as new:
        new.fill(content)


def put(directory: int, name: str, shown: str, content: str | bytes, mode: int | None = 0o600) -> None:
    """Write a file atomically in an open directory. Raises OSError; the parameters are those of draft()."""
    with draft(directory, name, shown, mode) as new:
        new.fill(content)
