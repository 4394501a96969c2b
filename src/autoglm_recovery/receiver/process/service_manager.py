# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a service manager is told, by the protocol of sd_notify(3): ready, alive, reading again, stopping.

Without one (no ``NOTIFY_SOCKET``) nothing is told.  Ours, because it is one datagram: what there is on PyPI is left
alone since 2017, or binds libsystemd and has to be compiled.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field

import structlog

log = structlog.get_logger()

# Of the time after which the manager takes the receiver for hung: so much may pass between two signs of life, and so
# much passes before another one is worth a datagram.
_AT_MOST, _AT_LEAST = 1 / 2, 1 / 4


@dataclass
class ServiceManager:
    """Where to tell it; ``hung_after_s`` is WatchdogSec= of the unit."""

    address: str | None = None
    hung_after_s: float | None = None
    monotonic: Callable[[], float] = time.monotonic
    _told_at: float = field(default=float("-inf"), init=False)

    @classmethod
    def of(cls, environment: MutableMapping[str, str], pid: int) -> ServiceManager:
        """Take it out of the environment, so that nothing that is started here speaks in our name."""
        address = environment.pop("NOTIFY_SOCKET", "")
        whose, micros = environment.pop("WATCHDOG_PID", str(pid)), environment.pop("WATCHDOG_USEC", "")
        meant = whose == str(pid) and micros.isascii() and micros.isdigit() and int(micros) > 0
        return cls(address if address[:1] in ("/", "@") else None, int(micros) / 1e6 if meant else None)

    @property
    def longest_silence_s(self) -> float:
        """Return after how long whoever acts has to give a sign of life at the latest."""
        return float("inf") if self.hung_after_s is None else self.hung_after_s * _AT_MOST

    def ready(self) -> None:
        """Tell that requests are answered, again after a ``reading``."""
        self._notify_manager("READY=1")

    def reading(self) -> None:
        """Tell that policy and inventory are being read again."""
        self._notify_manager("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """Tell that this is the end."""
        self._notify_manager("STOPPING=1")

    def alive(self) -> None:
        """Give a sign of life: called by the thread that acts, and by no other, when it has done a step."""
        now = self.monotonic()
        if self.hung_after_s is not None and now - self._told_at >= self.hung_after_s * _AT_LEAST:
            self._told_at = now
            self._notify_manager("WATCHDOG=1")

    def _notify_manager(self, *lines: str) -> None:
        if self.address is None:
            return
        # An abstract name, which has no file, is written with @ in front.
        address = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(5.0)
                sender.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            log.warning("the service manager cannot be told", what=lines[0], error=str(error))
