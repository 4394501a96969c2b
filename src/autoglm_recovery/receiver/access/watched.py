# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A value that is read from files, and read again when they change."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import structlog

T = TypeVar("T")

LOOK_EVERY_S = 1.0

log = structlog.get_logger()


class WatchedFiles(Generic[T]):
    """What ``read`` made of the files.  Where a change of them is bad, the old value stays in force."""

    def __init__(self, what: str, files: Sequence[Path], read: Callable[[], T]) -> None:
        """Read for the first time; whatever ``read`` raises is the caller's."""
        self._what = what
        self._files = tuple(files)
        self._read = read
        self._lock = threading.Lock()
        self._seen = self._stamps()
        self._value = read()
        self._look_at = time.monotonic() + LOOK_EVERY_S

    @property
    def now(self) -> T:
        """Return the value in force; the files are looked at once a second at most."""
        if time.monotonic() >= self._look_at:
            self.look()
        return self._value

    def look(self) -> None:
        """Look at the files, and read them again if they have changed."""
        with self._lock:
            self._look_at = time.monotonic() + LOOK_EVERY_S
            stamps = self._stamps()
            if stamps == self._seen:
                return
            self._seen = stamps
            try:
                self._value = self._read()
            except (OSError, ValueError) as error:
                # The sentence is for a person; where in our code it was raised is not.
                log.error("kept the old one", what=self._what, wrong=str(error))  # noqa: TRY400
                return
            log.info("read again", what=self._what)

    def _stamps(self) -> tuple[object, ...]:
        return tuple(_stamp(path) for path in self._files)


def _stamp(path: Path) -> object:
    try:
        found = os.stat(path)
    except OSError as error:
        return error.errno
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
