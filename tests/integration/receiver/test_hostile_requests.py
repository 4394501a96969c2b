# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests that nobody means well with, before anybody has shown who he is: refused in words, without a traceback."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from .running import DEADLINE_S, Receiver, serving

TOKEN = "correct-horse-battery-staple"
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
LOGIN = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
POST = b"POST /api/v1/alerts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
SIGNED = POST + b"Authorization: Bearer " + TOKEN.encode() + b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
HOSTILE: dict[str, tuple[bytes, str]] = {
    "pipelined": ((GET + b"\r\n") * 100, "200"),
    "websocket": (GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n", "200"),
    "h2c": (GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n\r\n", "200"),
    "preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"),
    "both lengths": (SIGNED + b"Content-Length: 5\r\n" + CHUNKED + b"0\r\n\r\n" + GET + b"\r\n", "400"),
    "both lengths, unsigned": (POST + b"Content-Length: 5\r\n" + CHUNKED + b"0\r\n\r\n" + GET + b"\r\n", "400"),
    "two lengths": (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", "400"),
    "length with a sign": (POST + b"Content-Length: +5\r\n\r\nabcde", "400"),
    "length of 5000 digits": (POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", "400"),
    "length of 20 digits": (SIGNED + b"Content-Length: " + b"9" * 20 + b"\r\n\r\n", "413"),
    "space before a colon": (POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "400"),
    "coding that is none": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "501"),
    "two codings": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501"),
    "expects to go on": (POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", "401"),
    "chunk without a size": (POST + CHUNKED + b"ZZ\r\n", "400"),
    "chunk without a size, signed": (SIGNED + CHUNKED + b"2\r\n{}\r\nZZ\r\n", "400"),
    "10,000 headers": (GET + b"a: b\r\n" * 10_000 + b"\r\n", "431"),
    "101 headers": (GET + b"a: b\r\n" * 100 + b"\r\n", "431"),
    "a header of 40 KB": (GET + b"a: " + b"b" * 40_000 + b"\r\n\r\n", "431"),
    "a path of 40 KB": (b"GET /" + b"b" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", "431"),
    "40 KB behind a request": (GET + b"\r\n" + GET + b"a: " + b"b" * 40_000 + b"\r\n\r\n", "431"),
    "trailers without end": (SIGNED + CHUNKED + b"2\r\n{}\r\n0\r\n" + b"A: b\r\n" * 30_000, "431"),
    "percent-encoded NUL": (b"GET /%00%ff/%2e%2e/%2e%2e/etc/passwd?%00=%ff HTTP/1.1\r\nHost: localhost\r\n\r\n", "404"),
    "percent-encoded surrogate": (b"GET /incidents/%ed%a0%80 HTTP/1.1\r\nHost: localhost\r\n\r\n", "404"),
    "NUL in a path": (b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n", "400"),
    "5000 digits": (b"GET /api/v1/incidents/" + b"9" * 5000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", "404"),
    "a host that is none": (b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "303"),
    "an origin that is none": (LOGIN + b"Origin: http://[::1\r\nContent-Length: 0\r\n\r\n", "403"),
    "a form that is none": (LOGIN + b"Content-Length: 4\r\n\r\n%ff=", "400"),
    "a cookie that is none": (b'GET / HTTP/1.1\r\nHost: x\r\nCookie: autoglm_session=\xff"\\;=;;=\r\n\r\n', "303"),
    "a token that is none": (POST + b"Authorization: Bearer \xff\xfe\r\nContent-Length: 0\r\n\r\n", "401"),
    "brackets without end": (SIGNED + b"Content-Length: 60000\r\n\r\n" + b"[" * 60_000, "400"),
    "line breaks": (b"\r\n" * 50_000, "400"),
    "a word behind a request": (GET + b"\r\n\x00word", "400"),
}


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """Return a receiver that lets in whoever has the token."""
    policy = "recovery: {autonomy: watch}"
    with serving(tmp_path_factory.mktemp("hostile"), tokens=(TOKEN,), policy=policy) as running:
        yield running


def answers(receiver: Receiver, sent: bytes, *, leaves_at_once: bool) -> bytes:
    """Send something, and say that nothing follows: at once, or when an answer comes.  Return all that is answered."""
    with socket.create_connection(("127.0.0.1", receiver.port), DEADLINE_S) as sock:
        got = b""
        # Where it is refused before its end, what is left of it is answered with a reset; then nothing is connected.
        with suppress(OSError):
            sock.sendall(sent)
            got += b"" if leaves_at_once else sock.recv(65536)
            sock.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            while piece := sock.recv(65536):
                got += piece
        return got


def no_traceback(receiver: Receiver) -> bool:
    """Tell whether the log has none, and is not filled by strangers."""
    log = (receiver.directory / "log").read_text()
    return "Traceback" not in log and len(log) < 100_000


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_answered_in_words_and_leaves_no_traceback(receiver: Receiver, name: str) -> None:
    sent, status = HOSTILE[name]
    # A reset that comes before the client has read takes the answer with it: whoever wants it asks again.
    got = next(filter(None, (answers(receiver, sent, leaves_at_once=False) for _ in range(50))), b"")
    assert f"HTTP/1.1 {status} ".encode() in got
    assert b"Traceback" not in got
    assert b"HTTP/1.1 200 " not in got or status == "200" or sent.startswith(GET + b"\r\n")
    gone = answers(receiver, sent, leaves_at_once=True)
    assert b"Traceback" not in gone
    assert receiver.ready()
    assert no_traceback(receiver)


def test_what_breaks_off_after_its_refusal_leaves_no_traceback(receiver: Receiver) -> None:
    """The answer has been given when the body turns out to be none: another cannot be begun."""
    with socket.create_connection(("127.0.0.1", receiver.port), DEADLINE_S) as sock, suppress(ConnectionError):
        sock.sendall(POST + CHUNKED)
        assert sock.recv(65536).startswith(b"HTTP/1.1 401 ")
        sock.sendall(b"ZZ\r\n")
        while sock.recv(65536):
            pass
    assert receiver.ready()
    assert no_traceback(receiver)


def test_the_same_again_does_not_fill_the_log(receiver: Receiver) -> None:
    before = (receiver.directory / "log").stat().st_size
    for _ in range(200):
        answers(receiver, HOSTILE["both lengths, unsigned"][0], leaves_at_once=False)
        answers(receiver, HOSTILE["websocket"][0], leaves_at_once=False)
    assert (receiver.directory / "log").stat().st_size - before < 2000
