# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The note on a host that a run of ours keeps a service out of traffic.

Whoever can make or remove it decides whether a service is brought back, so that it is kept only where nobody but root,
and whoever runs the tasks, can change its directory or put another one in its place.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from ..host import paths, whole_file

_LONGEST = 64 * 1024


def read(path: str) -> str | None:
    """What the note says, None where there is none.  Raises OSError, and Unsafe where others could have put it."""
    try:
        with _directory(path) as directory, os.fdopen(paths.open_at(directory, _name(path), path), "rb") as note:
            return note.read(_LONGEST).decode("utf-8", "replace")
    except FileNotFoundError:
        return None


def write(path: str, text: str) -> None:
    """Put a note there, for its owner alone, or leave the one that was there.  Raises OSError, and Unsafe."""
    with _directory(path, make=0o700) as directory:
        whole_file.put(directory, _name(path), path, text)
        os.fsync(directory)


def remove(path: str) -> None:
    """Take the note away, if there is one.  Raises OSError, and Unsafe where others could have put it."""
    with contextlib.suppress(FileNotFoundError), _directory(path) as directory:
        os.unlink(_name(path), dir_fd=directory)
        os.fsync(directory)


@contextlib.contextmanager
def _directory(path: str, make: int | None = None) -> Iterator[int]:
    descriptor = paths.open_directory(os.path.dirname(path), make=make, own=True)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _name(path: str) -> str:
    name = os.path.basename(path)
    if name in ("", ".", ".."):
        raise paths.UnsafePath(path, "names no file")
    return name
