# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Senders that are slow, many, or speak no HTTP."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import ExitStack, suppress

import pytest

from autoglm_recovery.receiver.intake.payload import parse_webhook
from autoglm_recovery.receiver.web import connection, intake, listening
from tests.support.servers.waiting import until

from .serving import ACCESS, SENDER, serving
from .test_access import WEBHOOK

BODY = json.dumps(WEBHOOK).encode()
HEAD = (
    b"POST /api/v1/alerts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n" % (SENDER.encode(), len(BODY))
)


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    """Return a server that waits for a fraction of a second."""
    with pytest.MonkeyPatch.context() as patch, serving(tmp_path_factory.mktemp("impatient")) as running:
        patch.setattr(connection, "HEADERS_WITHIN_S", 0.3)
        patch.setattr(connection, "BODY_WITHIN_S", 0.3)
        yield running


def connect(server):
    """Return a connection with a time limit."""
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def answer_of(sock):
    """Read one answer and return its first line."""
    read = b""
    while b"\r\n\r\n" not in read:
        read += _more(sock)
    head, _, body = read.partition(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    while len(body) < length:
        body += _more(sock)
    return head.partition(b"\r\n")[0].decode()


def _more(sock):
    piece = sock.recv(65536)
    assert piece, "the connection ended before the answer did"
    return piece


def rest(sock):
    """Read until the other end closes or resets the connection."""
    pieces = []
    with suppress(ConnectionError):
        while piece := sock.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize("sent", [b"", b"POST /api", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", HEAD, HEAD + BODY[:-1]])
def test_a_request_that_does_not_arrive_in_time_loses_its_connection(impatient, sent):
    with connect(impatient) as sock:
        sock.sendall(sent)
        assert rest(sock) == b""
    assert impatient.ask("GET", "/healthz").status_code == 200


def test_a_trickle_buys_no_time(impatient):
    with connect(impatient) as sock, suppress(ConnectionError):
        sock.sendall(b"GET / HTTP/1.1\r\n")
        sock.settimeout(0.05)
        for n in range(1000):
            sock.sendall(b"X-%d: x\r\n" % n)
            with suppress(TimeoutError):
                assert sock.recv(1) == b""
                return
        pytest.fail("fifty seconds and still connected")


def test_the_second_request_of_a_connection_has_its_deadline_too(impatient):
    with connect(impatient) as sock:
        sock.sendall(HEAD + BODY)
        assert "200" in answer_of(sock)
        sock.sendall(HEAD + BODY[:10])
        assert rest(sock) == b""


def test_a_body_that_was_refused_before_its_end_does_not_keep_the_connection(impatient):
    with connect(impatient) as sock:
        sock.sendall(HEAD.replace(b"application/json", b"text/plain"))
        assert "415" in answer_of(sock)
        assert rest(sock) == b""


def test_a_request_that_arrives_slowly_but_in_time_is_served(tmp_path):
    with serving(tmp_path) as server, connect(server) as sock:
        for byte in HEAD + BODY:
            sock.sendall(bytes((byte,)))
        assert "200" in answer_of(sock)


def test_more_connections_than_one_address_may_have_are_told_to_come_later(tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "MOST_FROM_ONE_ADDRESS", 4)
    with serving(tmp_path) as server, ExitStack() as stack:
        server.client.close()
        # Those of the test before are counted too, until the server has noticed their end.
        until("the connection to end", lambda: connection.Connection.from_address.total() == 0)
        held = [stack.enter_context(connect(server)) for _ in range(4)]
        for sock in held:
            sock.sendall(HEAD + BODY)
            assert "200" in answer_of(sock)
        extra = stack.enter_context(connect(server))
        head, _, body = rest(extra).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 5" in head
        assert f"content-length: {len(body)}".encode() in head
        assert json.loads(body)["status"] == 503
        held[0].close()
        again = stack.enter_context(_connected_again(server))
        again.sendall(HEAD + BODY)
        assert "200" in answer_of(again)
    assert connection.Connection.from_address.total() == 0


def _connected_again(server):
    """Connect once the server has noticed that another connection is gone."""
    for _ in range(200):
        sock = connect(server)
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        if "200" in answer_of(sock):
            return sock
        sock.close()
    raise AssertionError("no connection became free")


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /" + b"x" * 100_000,
        b"GET / HTTP/1.1\r\n" + b"X-Long: " + b"y" * 100_000,
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"\r\n" * 100 + b"\x00",
    ],
)
def test_what_is_no_http_is_refused_and_harms_nobody(impatient, sent):
    with connect(impatient) as sock:
        with suppress(ConnectionError):
            sock.sendall(sent)
        answer = rest(sock)
        assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5")), answer
        assert not answer.startswith(b"HTTP/1.1 500")
    assert impatient.ask("GET", "/healthz").status_code == 200


def test_an_upgrade_is_not_taken(impatient):
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "x", "Sec-WebSocket-Version": "13"}
    assert impatient.ask("GET", "/healthz", headers=headers).status_code == 200


def test_a_flood_that_never_asks_anything_keeps_nobody_out(tmp_path, monkeypatch):
    """With TLS a connection is known to the server only after its handshake, which may never begin."""
    monkeypatch.setattr(listening, "MOST_ACCEPTED_FROM_ONE_ADDRESS", 20)
    with serving(tmp_path) as server, ExitStack() as stack:
        until("the connection to end", lambda: connection.Connection.from_address.total() == 0)
        flood = [stack.enter_context(connect(server)) for _ in range(100)]
        gone = [sock for sock in flood[20:] if rest(sock) == b""]
        assert len(gone) == 80
        flood[0].close()
        # From another address, as Alertmanager's would be.
        other = stack.enter_context(
            socket.create_connection(("127.0.0.1", server.port), timeout=20, source_address=("127.0.0.2", 0))
        )
        other.sendall(HEAD + BODY)
        assert "200" in answer_of(other)


def test_a_large_payload_holds_up_no_other_sender(tmp_path, monkeypatch):
    """It is read in a thread; what is small is answered meanwhile."""
    began, go_on = threading.Event(), threading.Event()

    def slow(body):
        if len(body) > intake.READ_AT_ONCE:
            began.set()
            assert go_on.wait(60)
        return parse_webhook(body)

    monkeypatch.setattr(intake, "parse_webhook", slow)
    large = json.dumps({**WEBHOOK, "receiver": "x" * 200_000}).encode()
    with serving(tmp_path) as server, connect(server) as first, connect(server) as second:
        first.sendall(HEAD.replace(b"Length: %d" % len(BODY), b"Length: %d" % len(large)) + large)
        assert began.wait(60)
        second.sendall(HEAD + BODY)
        assert "200" in answer_of(second)
        go_on.set()
        assert "200" in answer_of(first)


@pytest.mark.parametrize("size", [100, 200_000])
def test_a_sender_whose_payloads_never_end_keeps_none_of_another_out(tmp_path, monkeypatch, size):
    """They have their places from the first byte on, and a sender has his share of these."""
    for name in ("MOST_SMALL", "MOST_SMALL_OF_ONE_SENDER"):
        monkeypatch.setattr(intake, name, getattr(intake, name.replace("SMALL", "LARGE")))
    large = json.dumps({**WEBHOOK, "receiver": "x" * size}).encode()
    head = HEAD.replace(b"Length: %d" % len(BODY), b"Length: %d" % len(large))
    access = f"{ACCESS}other sender {SENDER}-other\n"
    with serving(tmp_path, access) as server, ExitStack() as stack:
        flood = [stack.enter_context(connect(server)) for _ in range(2 * intake.MOST_LARGE)]
        for sock in flood:
            sock.sendall(head + large[:-1])
        # As soon as these have been seen; where they would take all places, the other one would be told to come later.
        assert server.ask("GET", "/healthz").status_code == 200
        other = stack.enter_context(connect(server))
        other.sendall(head.replace(SENDER.encode(), f"{SENDER}-other".encode()) + large)
        assert "200" in answer_of(other)


def test_thousands_of_digits_are_no_incident(tmp_path):
    with serving(tmp_path) as server:
        for path in ("/api/v1/incidents/", "/incidents/", "/runs/"):
            assert server.ask("GET", f"{path}{'9' * 5000}").status_code in (401, 404)
