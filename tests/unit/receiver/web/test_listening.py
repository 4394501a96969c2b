# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is let in where many come: by address, with room made by whoever has the most, and with descriptors to spare."""

from __future__ import annotations

import gc
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
from structlog.testing import capture_logs

from autoglm_recovery.receiver.web import listening
from autoglm_recovery.receiver.web.listening import MOST_ACCEPTED, CountingListener, most_accepted

LOOPBACK = "127.0.0.1"


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[CountingListener]:
    """Return one for six connections, of which two may come from one address."""
    monkeypatch.setattr(listening, "MOST_ACCEPTED", 6)
    monkeypatch.setattr(listening, "MOST_ACCEPTED_FROM_ONE_ADDRESS", 2)
    with CountingListener(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as made:
        made.bind((LOOPBACK, 0))
        made.listen(64)
        made.setblocking(False)
        yield made


@pytest.fixture
def clients() -> Iterator[ExitStack]:
    """Return what closes the other ends."""
    with ExitStack() as stack:
        yield stack


def come(clients: ExitStack, listener: CountingListener, last: int) -> socket.socket:
    """Connect from an address of this machine."""
    address = (f"127.0.0.{last}", 0)
    return clients.enter_context(socket.create_connection(listener.getsockname(), 60, source_address=address))


def ended(sock: socket.socket) -> bool:
    """Tell whether the other end has ended a connection."""
    sock.settimeout(60)
    try:
        return sock.recv(1) == b""
    except ConnectionError:
        return True


def goes_on(sock: socket.socket) -> bool:
    """Tell whether a connection is still there."""
    sock.setblocking(False)
    try:
        return sock.recv(1) != b""
    except BlockingIOError:
        return True


def test_who_has_too_many_is_turned_away_and_others_come_in_behind(listener, clients):
    flood = [come(clients, listener, 2) for _ in range(20)]
    other = come(clients, listener, 3)
    with capture_logs() as logged:
        accepted = [clients.enter_context(listener.accept()[0]) for _ in range(3)]
    assert accepted[2].getpeername() == other.getsockname()
    assert all(map(ended, flood[2:]))
    assert [(line["address"], line["more_since_last_told"]) for line in logged] == [("127.0.0.2", 0)]


def test_where_all_is_taken_the_oldest_of_whoever_has_the_most_makes_room(listener, clients):
    came = [come(clients, listener, last) for last in (2, 2, 3, 3, 4, 5)]
    accepted = [clients.enter_context(listener.accept()[0]) for _ in came]
    new = come(clients, listener, 6)
    taken = clients.enter_context(listener.accept()[0])
    assert taken.getpeername() == new.getsockname()
    assert ended(came[0])
    assert all(map(goes_on, came[1:]))
    accepted[0].close()
    come(clients, listener, 7)
    clients.enter_context(listener.accept()[0])
    assert ended(came[2])


def test_a_connection_in_which_somebody_is_known_is_the_last_to_make_room(listener, clients):
    came = [come(clients, listener, last) for last in (2, 2, 3, 4, 5, 6)]
    accepted = [clients.enter_context(listener.accept()[0]) for _ in came]
    for one in accepted[:2]:
        one._is_known = lambda: True
    come(clients, listener, 7)
    clients.enter_context(listener.accept()[0])
    assert ended(came[2])
    assert all(map(goes_on, came[:2]))
    for one in accepted:
        one._is_known = lambda: True


def test_no_more_are_accepted_while_many_are_ending(listener, clients, monkeypatch):
    monkeypatch.setattr(listening, "MOST_ENDING", 1)
    came = [come(clients, listener, last) for last in (2, 2, 3, 3, 4, 5, 6, 7)]
    accepted = [clients.enter_context(listener.accept()[0]) for _ in came[:7]]
    with pytest.raises(BlockingIOError):
        listener.accept()
    accepted[0].close()
    assert listener.accept()[0].getpeername() == came[7].getsockname()


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Take all that this process may have."""
    gc.collect()  # what tests before have left would give descriptors back in between
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, before[1]))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        for one in taken:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_what_there_is_no_descriptor_for_is_ended_and_told_once(listener, clients):
    """asyncio would stop listening for a second, and log 2,048 tracebacks."""
    flood = [come(clients, listener, 2) for _ in range(5)]
    with capture_logs() as logged, no_descriptor_left():
        for _ in flood:
            with pytest.raises(BlockingIOError):
                listener.accept()
    assert all(map(ended, flood))
    assert [line["event"] for line in logged] == ["no descriptor is left, a connection was turned away"]
    new = come(clients, listener, 2)
    assert clients.enter_context(listener.accept()[0]).getpeername() == new.getsockname()


@pytest.mark.parametrize("limit", [16, 64, 256, 1024, 2560, 1 << 20])
def test_connections_leave_most_of_few_descriptors_to_runs(limit):
    most = most_accepted(limit)
    assert 1 <= most <= MOST_ACCEPTED
    assert limit - most >= min(listening.RESERVED_DESCRIPTORS, limit * 3 // 4)
