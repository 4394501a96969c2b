# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel's process connector tells: each fork and each execve of the host, as it happens.

The layout is that of linux/netlink.h, linux/connector.h and linux/cn_proc.h.  Linux before 6.6 asks for CAP_NET_ADMIN,
and takes the machine's own network, user and process namespaces.  Elsewhere the kernel says nothing, not even that it
will not, and Linux 6.18 did not deliver the acknowledgement either.  So only an event counts as being heard: where
there was none for a while, a thread of our own.

Linux before 6.6 counts listeners for the whole machine, and anybody who may can tell it that there is one less: then it
stops telling all of them (drivers/connector/cn_proc.c).
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_CONNECTOR = 11  # NETLINK_CONNECTOR
_SO_RCVBUFFORCE = 33
_GROUP = 1  # CN_IDX_PROC, and CN_VAL_PROC
_LISTEN, _IGNORE = 1, 2
_NLMSG_DONE = 3
_NETLINK = struct.Struct("=IHHII")
_MESSAGE = struct.Struct("=IIIIHH")
_EVENT = struct.Struct("=IIQ")
_TWO, _FOUR = struct.Struct("=II"), struct.Struct("=IIII")
_FORK, _EXEC = 1, 2
# The queue between the kernel and the thread that reads: what does not fit into it is lost, and counted.
_BUFFER = 8 << 20
_LARGEST = 4096
_AT_ONCE = 4096
_WRAP = 1 << 32
# Seconds without any event after which one is made, and after which the kernel no longer tells.
_SILENCE, _DEAF = 10.0, 30.0


@dataclass(frozen=True)
class Forked:
    """A process has begun another one; threads are left out."""

    parent: int
    child: int


@dataclass(frozen=True)
class Executed:
    """A process has begun another program.  ``at``: by the monotonic clock, in seconds."""

    pid: int
    at: float


@dataclass(frozen=True)
class Numbered:
    """An event with its number, by which each processor counts its own."""

    cpu: int
    sequence: int
    event: Forked | Executed | None


def parse(data: bytes) -> Numbered | None:
    """Return what one message says; None where it is none of the connector's."""
    if len(data) < _NETLINK.size + _MESSAGE.size + _EVENT.size + _TWO.size:
        return None
    group, value, sequence, _, _, _ = _MESSAGE.unpack_from(data, _NETLINK.size)
    if (group, value) != (_GROUP, _GROUP):
        return None
    place = _NETLINK.size + _MESSAGE.size
    what, cpu, since_boot = _EVENT.unpack_from(data, place)
    place += _EVENT.size
    _, process = _TWO.unpack_from(data, place)
    if what == 0:
        return None  # an answer to somebody's wish, which has no number
    if what == _EXEC:
        return Numbered(cpu, sequence, Executed(process, since_boot / 1e9))
    if what == _FORK and len(data) >= place + _FOUR.size:
        _, parent, child_thread, child = _FOUR.unpack_from(data, place)
        return Numbered(cpu, sequence, Forked(parent, child) if child_thread == child else None)
    return Numbered(cpu, sequence, None)


@dataclass
class ProcessConnector:
    """The connector as a source of events.  ``heard``: whether the kernel tells, which an event has proved lately."""

    heard: bool = False
    lost: int = 0
    clock: Callable[[], float] = time.monotonic
    _last: float = 0.0
    _socket: socket.socket | None = None
    _numbers: dict[int, int] = field(default_factory=dict)

    def open(self) -> None:
        """Ask the kernel to tell.  Raises OSError."""
        self.heard, self._numbers, self._last = False, {}, self.clock()
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, _CONNECTOR)
        self._socket.setblocking(False)
        self._socket.bind((0, _GROUP))
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        except OSError:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        _say(self._socket, _LISTEN)

    def close(self) -> None:
        """Ask it to tell no more; but where it did not tell, that could take a listener from somebody else."""
        heard, self.heard = self.heard, False
        if self._socket is None:
            return
        if heard:
            self.lost += 1  # at least, if it is opened again
            with contextlib.suppress(OSError):
                _say(self._socket, _IGNORE)
        self._socket.close()
        self._socket = None

    def wait(self, seconds: float) -> None:
        """Wait until there may be something to read.  Raises OSError where the kernel has stopped telling."""
        silent = self.clock() - self._last
        if silent > _DEAF:
            self.lost += self.heard  # at least: what happened until then nobody told
            self.heard = False
            raise OSError(errno.ETIMEDOUT, f"the kernel told of no process for {silent:.0f} seconds")
        if not self.heard or silent > _SILENCE:
            _make_event()
        if self._socket is not None:
            poll = select.poll()
            poll.register(self._socket.fileno(), select.POLLIN)
            poll.poll(seconds * 1000)

    def read(self) -> Iterator[Forked | Executed]:
        """Yield the events that are there now, some thousand at most.  Raises OSError."""
        for _ in range(_AT_ONCE):
            if self._socket is None:
                return
            try:
                data, (sender, _) = self._socket.recvfrom(_LARGEST)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.lost += 1  # at least; the gap in the numbers tells how many more
                continue
            told = parse(data) if sender == 0 else None  # 0 is the kernel
            if told is not None:
                self.heard, self._last = True, self.clock()
                self._count_gap(told)
                if told.event is not None:
                    yield told.event

    def _count_gap(self, told: Numbered) -> None:
        before = self._numbers.get(told.cpu)
        self._numbers[told.cpu] = told.sequence
        gap = 0 if before is None else (told.sequence - before - 1) % _WRAP
        self.lost += gap if gap < _WRAP // 2 else 0


def _say(connector: socket.socket, wish: int) -> None:
    message = _MESSAGE.pack(_GROUP, _GROUP, 0, 0, 4, 0) + struct.pack("=I", wish)
    connector.send(_NETLINK.pack(_NETLINK.size + len(message), _NLMSG_DONE, 0, 0, 0) + message)


def _make_event() -> None:
    """A thread that begins is a fork to the connector."""
    thread = threading.Thread(target=bool, name="probe", daemon=True)
    thread.start()
    thread.join()
