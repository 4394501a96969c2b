# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An HTTP server whose every answer a function of the test makes.  It plays nobody: whoever uses it says whom it plays.

Connections are kept open and answered one request after the other, as servers in Go, Python and Java do; they end with
the server, as those of a process do.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Asked:
    """One request.  ``path`` is without the query."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Message
    body: bytes

    def json(self) -> Any:
        """Return the body as the document that it is.

        Raises ValueError if it is none.
        """
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """One answer.  ``headers`` go before those that the server gives by itself, and take their place."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class HttpAnswers(ThreadingHTTPServer):
    """``asked``: every request, kept before it is answered.  ``answer`` may be changed at any time."""

    daemon_threads = True

    def __init__(
        self,
        answer: Callable[[Asked], Reply],
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Begin to listen; ``answering_http`` serves as well."""
        super().__init__((host, port), _Handler)
        self.answer = answer
        self.asked: list[Asked] = []
        self.changed = threading.Condition()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server_port}"
        self._open: set[socket.socket] = set()
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)

    def wait(self, number: int) -> None:
        """Return when so many requests have come; fail after three minutes."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.asked) >= number, 180), self.asked

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection, and remember it."""
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection that has ended."""
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that have gone, which some tests are about."""

    def hang_up(self) -> None:
        """End the connections that are open."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body go out in two writes; Nagle would hold the second one back for 40 ms.
    disable_nagle_algorithm = True
    server: HttpAnswers

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = Asked(self.command, url.path, parse_qs(url.query), self.headers, body)
        with self.server.changed:
            self.server.asked.append(asked)
            self.server.changed.notify_all()
        self._send(self.server.answer(asked))

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - http.server's names

    def _send(self, reply: Reply) -> None:
        own = {"Date": self.date_time_string(), "Content-Length": str(len(reply.body))}
        with contextlib.suppress(OSError):  # the client has gone
            self.send_response_only(reply.status)
            for name, value in {**own, **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@contextlib.contextmanager
def answering_http(
    answer: Callable[[Asked], Reply], host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[HttpAnswers]:
    """Serve until the end of the block."""
    server = HttpAnswers(answer, host, port, tls)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        server.hang_up()
        thread.join()
