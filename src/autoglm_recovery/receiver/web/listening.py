# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections are counted when they are accepted, before a handshake that may never come.

asyncio gives a connection to its protocol after the TLS handshake.  Until then it holds a descriptor and a minute of
patience for whoever only opens it.

No address has more than its share, and where many addresses have taken all that there is, each that comes gets in: the
oldest connection of whoever has the most makes room for it, last of all one in which somebody is known.
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog

from autoglm_recovery.addresses import network_of
from autoglm_recovery.receiver.process.seldom import OncePerMinute

MOST_ACCEPTED = 1024
MOST_ACCEPTED_FROM_ONE_ADDRESS = 320
HANDSHAKE_WITHIN_S = 10.0
# For runs, the database, notices and what else the receiver opens.
RESERVED_DESCRIPTORS = 512
# What was told to end holds its descriptor until the event loop comes round.
MOST_ENDING = 64
_ENDS_WITHIN_S = 5.0
# So many are turned away before the event loop does something else.
_MOST_TURNED_AWAY_AT_ONCE = 256

log = structlog.get_logger()


class CountingListener(socket.socket):
    """A listening socket that turns away who has too many connections, and ends those that do not get on."""

    def __init__(self, family: int, kind: int, protocol: int) -> None:
        super().__init__(family, kind, protocol)
        limit = make_room()
        self._most = most_accepted(limit)
        self._most_from_one = min(MOST_ACCEPTED_FROM_ONE_ADDRESS, max(1, self._most // 3))
        self._accepted = _OpenConnections()
        self._seldom = OncePerMinute()
        # Given up to accept, and end, what there is no other descriptor for: else it waits, and asyncio with it.
        self._spare: int | None = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        if self._most < MOST_ACCEPTED:
            log.warning("the limit of open files allows fewer connections", limit=limit, connections=self._most)

    def close(self) -> None:
        """Close it, and what it keeps."""
        self._give_up_spare()
        super().close()

    def accept(self) -> tuple[_AcceptedSocket, Any]:
        """Accept the next that may come in.

        Raises BlockingIOError where there is none for now.
        """
        for _ in range(_MOST_TURNED_AWAY_AT_ONCE):
            if self._accepted.ending() >= MOST_ENDING:
                break
            descriptor, address = self._accept_any()
            accepted = _AcceptedSocket(self.family, self.type, self.proto, descriptor)
            key = network_of(str(address[0])) if isinstance(address, tuple) else ""
            if self._accepted.of(key) >= self._most_from_one:
                accepted.close()
                self._log_seldom("an address has too many connections, one was turned away", key)
                continue
            if self._accepted.total >= self._most:
                self._log_seldom("too many connections are open, the oldest of whoever has the most was ended", key)
                self._accepted.end_one()
            self._accepted.add(accepted, key)
            accepted.setblocking(False)
            with suppress(RuntimeError):  # outside of a loop there is nobody to end it, nor anything that waits
                asyncio.get_running_loop().call_later(HANDSHAKE_WITHIN_S, accepted.end_unless_established)
            return accepted, address
        raise BlockingIOError(errno.EAGAIN, "others first")

    def _accept_any(self) -> tuple[int, Any]:
        try:
            accepted: tuple[int, Any] = self._accept()  # type: ignore[attr-defined]
        except OSError as error:
            if error.errno != errno.EMFILE or self._spare is None:
                raise
            self._log_seldom("no descriptor is left, a connection was turned away", "")
            self._turn_away_by_spare()
            raise BlockingIOError(errno.EAGAIN, "no descriptor is left") from error
        if self._spare is None:
            self._take_spare()
        return accepted

    def _turn_away_by_spare(self) -> None:
        """Accept one in place of the spare descriptor, and end it: what nobody accepts makes the event loop spin."""
        self._give_up_spare()
        with suppress(OSError):
            descriptor, _ = self._accept()  # type: ignore[attr-defined]
            os.close(descriptor)
        self._take_spare()

    def _give_up_spare(self) -> None:
        spare, self._spare = self._spare, None
        if spare is not None:
            os.close(spare)

    def _take_spare(self) -> None:
        with suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def _log_seldom(self, what: str, key: str) -> None:
        """Tell it, but not each time: a log that grows with each attempt is what an attacker would want."""
        if (unsaid := self._seldom.unsaid((what, key))) is not None:
            log.warning(what, address=key, more_since_last_told=unsaid)


class _OpenConnections:
    """What is open, by address and the oldest first, and how much of what was told to end is still there."""

    def __init__(self) -> None:
        self._open: dict[str, dict[_AcceptedSocket, None]] = {}
        self._ending: dict[_AcceptedSocket, float] = {}
        self.total = 0

    def of(self, key: str) -> int:
        """Return how many are open from an address."""
        return len(self._open.get(key, ()))

    def add(self, accepted: _AcceptedSocket, key: str) -> None:
        """Count one until it is closed."""
        accepted.among, accepted.key = self, key
        self._open.setdefault(key, {})[accepted] = None
        self.total += 1

    def ending(self) -> int:
        """Return how many were told to end and have not.  One that takes long must not keep others waiting for ever."""
        now = time.monotonic()
        return sum(now - since < _ENDS_WITHIN_S for since in self._ending.values())

    def end_one(self) -> None:
        """End the oldest of whoever has the most; one in which somebody is known only if there is no other."""
        by_size = sorted(self._open.values(), key=len, reverse=True)
        strangers = (each for mine in by_size for each in mine if not each.known)
        victim = next(strangers, None) or next(iter(by_size[0]))
        self._take_out(victim)
        self._ending[victim] = time.monotonic()
        victim.end()

    def closed(self, accepted: _AcceptedSocket) -> None:
        """Count one no more."""
        if self._ending.pop(accepted, None) is None:
            self._take_out(accepted)

    def _take_out(self, accepted: _AcceptedSocket) -> None:
        mine = self._open[accepted.key]
        del mine[accepted]
        if not mine:
            del self._open[accepted.key]
        self.total -= 1


class _AcceptedSocket(socket.socket):
    """A connection that is counted until it is closed."""

    among: _OpenConnections | None = None
    key = ""
    _transport: asyncio.BaseTransport | None = None
    _is_known: Callable[[], bool] | None = None

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    @property
    def known(self) -> bool:
        """Tell whether somebody who may come in has asked something."""
        return self._is_known is not None and self._is_known()

    def established(self, transport: asyncio.BaseTransport, is_known: Callable[[], bool]) -> None:
        """Note that its protocol has begun: from now on that keeps the deadlines."""
        self._transport, self._is_known = transport, is_known

    def end_unless_established(self) -> None:
        """End what has not come through its handshake."""
        if self._transport is None:
            self.end()

    def end(self) -> None:
        """End it whatever is on its way; the loop then sees it end."""
        if isinstance(self._transport, asyncio.WriteTransport):
            self._transport.abort()
        if self.fileno() >= 0:
            with suppress(OSError):
                self.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it, and count it no more."""
        among, self.among = self.among, None
        if among is not None:
            among.closed(self)
        self._transport = self._is_known = None
        super().close()


def note_established(transport: asyncio.BaseTransport, is_known: Callable[[], bool]) -> None:
    """Note of a transport that its protocol has begun, and how it tells whether somebody known has asked there."""
    accepted = getattr(transport.get_extra_info("socket"), "_sock", None)
    if isinstance(accepted, _AcceptedSocket):
        accepted.established(transport, is_known)


def make_room() -> int:
    """Raise the limit of open descriptors to what may be accepted and a reserve, as far as allowed; return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MOST_ACCEPTED + RESERVED_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else soft


def most_accepted(limit: int) -> int:
    """Return how many connections there may be under a limit of descriptors: beside the reserve, or a quarter of it."""
    reserve = min(RESERVED_DESCRIPTORS + MOST_ENDING, limit - limit // 4)
    return max(1, min(MOST_ACCEPTED, limit - reserve))
