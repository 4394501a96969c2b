# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""End connections that do not answer.

libpq waits for an answer as long as the connection stands, and behind a balancer or a cut link it may stand for ever.
Shutting its socket down makes that wait an error, in whichever thread it is.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_LOOK_EVERY_S = 0.5


class Deadlines:
    """Open waits and when each must have ended.  The thread runs only while there are any."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[float, int]] = {}
        self._next = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    @contextmanager
    def on(self, descriptor: int, seconds: float) -> Iterator[None]:
        """Shut the socket down unless the block ends in time."""
        with self._changed:
            self._next += 1
            number = self._next
            self._open[number] = (time.monotonic() + seconds, descriptor)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="deadlines", daemon=True)
                self._thread.start()
            elif len(self._open) == 1:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._open.pop(number, None)

    def close(self) -> None:
        """Watch no more."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while not self._closed:
                # Asleep for good while nothing is open, so that an idle receiver costs nothing.
                self._changed.wait(_LOOK_EVERY_S if self._open else None)
                now = time.monotonic()
                for number, (until, descriptor) in list(self._open.items()):
                    if now >= until:
                        # Under the lock: the block cannot end and its descriptor cannot be another's meanwhile.
                        del self._open[number]
                        _shut_down(descriptor)


def _shut_down(descriptor: int) -> None:
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as copy:
        copy.shutdown(socket.SHUT_RDWR)
