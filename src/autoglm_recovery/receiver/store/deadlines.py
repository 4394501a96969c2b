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

from autoglm_recovery.receiver.process.worker import UNTIL_WOKEN, Worker

_LOOK_EVERY_S = 0.5


class Deadlines:
    """Open waits and when each must have ended.  The thread begins with the first, and sleeps while there are none."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[float, int]] = {}
        self._next = 0
        self._lock = threading.Lock()
        self._started = False
        self.worker = Worker(
            "deadlines", self._close_overdue, first_pause_s=_LOOK_EVERY_S, longest_pause_s=_LOOK_EVERY_S, vital=True
        )

    @contextmanager
    def on(self, descriptor: int, seconds: float) -> Iterator[None]:
        """Shut the socket down unless the block ends in time."""
        with self._lock:
            self._next += 1
            number = self._next
            self._open[number] = (time.monotonic() + seconds, descriptor)
            if not self._started:
                self._started = True
                self.worker.start()
            elif len(self._open) == 1:
                self.worker.wake()
        try:
            yield
        finally:
            with self._lock:
                self._open.pop(number, None)

    def close(self) -> None:
        """Watch no more."""
        self.worker.stop()

    def _close_overdue(self) -> float:
        with self._lock:
            now = time.monotonic()
            for number, (until, descriptor) in list(self._open.items()):
                if now >= until:
                    # Under the lock: the block cannot end and its descriptor cannot be another's meanwhile.
                    del self._open[number]
                    _shut_down(descriptor)
            # Asleep for good while nothing is open, so that an idle receiver costs nothing.
            return _LOOK_EVERY_S if self._open else UNTIL_WOKEN


def _shut_down(descriptor: int) -> None:
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as copy:
        copy.shutdown(socket.SHUT_RDWR)
