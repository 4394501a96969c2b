# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Notes on a host that outlive a run and a reboot: that a service is kept out of traffic, that the host is out of use.

A user who can create or remove a note decides what is brought back. So it is kept only in a directory that nobody but
root and the user who runs the tasks can change or replace.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from . import paths, whole_file

_LONGEST = 64 * 1024


def read(path: str) -> str | None:
    """The text of the note, None where there is none. Raises OSError, and UnsafePath where others could write it."""
    try:
        with (
            _opened_directory(path) as directory,
            os.fdopen(paths.open_at(directory, _file_name(path), path), "rb") as note,
        ):
            return note.read(_LONGEST).decode("utf-8", "replace")
    except FileNotFoundError:
        return None


def write(path: str, text: str) -> None:
    """Write or atomically replace the note. Raises OSError and UnsafePath.

    Its directory decides who reads it: made here for its owner alone, by the role gpu_exporter for the exporter too.
    """
    with _opened_directory(path, make=0o700) as directory:
        whole_file.put(directory, _file_name(path), path, text, 0o640)
        os.fsync(directory)


def remove(path: str) -> None:
    """Remove the note, if there is one. Raises OSError, and UnsafePath where others could write it."""
    with contextlib.suppress(FileNotFoundError), _opened_directory(path) as directory:
        os.unlink(_file_name(path), dir_fd=directory)
        os.fsync(directory)


@contextlib.contextmanager
def _opened_directory(path: str, make: int | None = None) -> Iterator[int]:
    descriptor = paths.open_directory(os.path.dirname(path), make=make, own=True)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _file_name(path: str) -> str:
    name = os.path.basename(path)
    if name in ("", ".", ".."):
        raise paths.UnsafePath(path, "names no file")
    return name
