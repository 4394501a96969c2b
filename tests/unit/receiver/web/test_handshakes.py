# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A failing client fills no log: each kind of failure is told once a minute for each address."""

from __future__ import annotations

import logging

from structlog.testing import capture_logs

from autoglm_recovery.receiver.process.seldom import MOST_REMEMBERED, TELL_EVERY_S, tell_seldom
from autoglm_recovery.receiver.web.handshakes import HandshakeLog


def test_the_same_again_is_counted_and_told_later() -> None:
    clock = 0.0
    teller = HandshakeLog(lambda: clock)
    with capture_logs() as logged:
        for clock in range(10):  # noqa: B007 - the teller looks at it
            teller.failed("192.0.2.1", "HTTP_REQUEST")
        clock = 10
        teller.failed("192.0.2.1", "NO_SHARED_CIPHER")
        teller.failed("192.0.2.2", "HTTP_REQUEST")
        clock = TELL_EVERY_S
        teller.failed("192.0.2.1", "HTTP_REQUEST")
    assert [(line["address"], line["reason"], line["more_since_last_told"]) for line in logged] == [
        ("192.0.2.1", "HTTP_REQUEST", 0),
        ("192.0.2.1", "NO_SHARED_CIPHER", 0),
        ("192.0.2.2", "HTTP_REQUEST", 0),
        ("192.0.2.1", "HTTP_REQUEST", 9),
    ]


def test_what_is_remembered_and_what_is_told_is_bounded_whoever_comes() -> None:
    clock = 0.0
    teller = HandshakeLog(lambda: clock)
    with capture_logs() as logged:
        for number in range(3 * MOST_REMEMBERED):
            teller.failed(f"198.51.{number // 256}.{number % 256}", "HTTP_REQUEST")
        # A host of IPv6 has as many addresses as it likes.
        for number in range(3 * MOST_REMEMBERED):
            teller.failed(f"2001:db8::{number:x}", "HTTP_REQUEST")
    assert len(logged) == len(teller._seldom._told) == MOST_REMEMBERED
    clock = TELL_EVERY_S
    with capture_logs() as logged:
        teller.failed("2001:db8::1", "HTTP_REQUEST")
    assert len(logged) == 1


def test_a_library_says_each_thing_once_whatever_connection_it_was_about(caplog) -> None:
    tell_seldom("of.a.library", "of.a.library")
    library = logging.getLogger("of.a.library")
    for number in range(5):
        library.error("socket.accept() out of system resource\nsocket: <%s>", number, exc_info=OSError(number))
        library.error("something else")
    assert [record.msg.partition("\n")[0] for record in caplog.records] == [
        "socket.accept() out of system resource",
        "something else",
    ]
