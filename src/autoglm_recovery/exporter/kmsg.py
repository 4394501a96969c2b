# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A reader of kernel records from ``/dev/kmsg``, or from a pipe or file with the same records.

A record is ``priority,sequence,microseconds,flags;text``.  The kernel numbers its records within one boot, so that a
restarted exporter goes on where it ended; records that the kernel has overwritten meanwhile are counted as lost.
"""

from __future__ import annotations

import errno
import os
import re
import select
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_RECORD = re.compile(rb"\d{1,10},(\d{1,19}),(\d{1,19}),[^;]{0,100};")
_LARGEST = 1 << 16
# A regular file cannot be waited for, so it is polled.
_FILE_PAUSE = 0.05


@dataclass(frozen=True)
class KernelRecord:
    """A kernel record.  ``sequence`` and ``at`` are null where the source does not number its lines."""

    text: str
    sequence: int | None
    at: float


@dataclass
class KernelLogReader:
    """Reads records as they come.  ``last``: the last sequence number that was read, to be kept over a restart.

    ``wall`` and ``since_boot``: functions that return the wall clock and the kernel's clock of its records, in seconds.
    """

    path: Path
    last: int | None = None
    lost: int = 0
    records: int = 0
    wall: Callable[[], float] = time.time
    since_boot: Callable[[], float] = time.monotonic
    _descriptor: int = -1
    _whole_records: bool = True
    _waits: bool = True
    _rest: bytes = field(default=b"")

    def open(self) -> None:
        """Open the source.  Raises OSError."""
        mode = os.stat(self.path).st_mode
        self._whole_records = stat.S_ISCHR(mode)
        self._waits = not stat.S_ISREG(mode)
        # A pipe that is also open for writing reaches no end of file when its writer ends.
        access = os.O_RDWR if stat.S_ISFIFO(mode) else os.O_RDONLY
        self._descriptor = os.open(self.path, access | os.O_NONBLOCK | os.O_CLOEXEC)

    def close(self) -> None:
        """Close the source."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def wait(self, seconds: float) -> None:
        """Wait until there may be something to read."""
        if not self._waits:
            time.sleep(min(seconds, _FILE_PAUSE))
            return
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        poll.poll(seconds * 1000)

    def read(self) -> Iterator[KernelRecord]:
        """Yield the new records that are available now.  Raises OSError."""
        since_epoch = self.wall() - self.since_boot()
        for line in self._lines():
            match = _RECORD.match(line)
            sequence = int(match[1]) if match else None
            if sequence is not None:
                if self.last is not None and sequence <= self.last:
                    continue
                if self.last is not None:
                    self.lost += sequence - self.last - 1
                self.last = sequence
            self.records += 1
            at = since_epoch + int(match[2]) / 1e6 if match else self.wall()
            # The kernel escapes what is not printable; ``\\n`` and more after the text are a dictionary for udev.
            text = line.split(b"\n", 1)[0].decode("utf-8", "replace")
            yield KernelRecord(text, sequence, min(at, self.wall()))

    def _lines(self) -> Iterator[bytes]:
        while True:
            try:
                chunk = os.read(self._descriptor, _LARGEST)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.EPIPE:
                    continue  # overwritten before it was read; the gap in the sequence tells how much
                raise
            if not chunk:
                return
            if self._whole_records:
                yield chunk
                continue
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            self._rest = self._rest[-_LARGEST:]
            yield from lines
