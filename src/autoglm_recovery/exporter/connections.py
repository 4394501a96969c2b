# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exporter's connections: how many, how many of one address, how long each may take, and encrypted if it shall be.

Each connection has a thread, and the standard library's time-out restarts with each byte that arrives: a client that
sends a byte now and then would keep its thread for ever.
"""

from __future__ import annotations

import io
import socket
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client.exposition import ThreadingWSGIServer

from autoglm_recovery.addresses import network_of

MOST_CONNECTIONS = 64
MOST_FROM_ONE_ADDRESS = 16
REQUEST_WITHIN_S = 10.0


class ConnectionLimiter:
    """Counts the connections that are open, by the address that opened them."""

    def __init__(self, most: int = MOST_CONNECTIONS, most_from_one: int = MOST_FROM_ONE_ADDRESS) -> None:
        self._most = most
        self._most_from_one = most_from_one
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Count a connection, or return False where there are too many."""
        key = network_of(address)
        with self._lock:
            if sum(self._open.values()) >= self._most or self._open[key] >= self._most_from_one:
                return False
            self._open[key] += 1
            return True

    def leave(self, address: str) -> None:
        """Forget a connection that entered."""
        key = network_of(address)
        with self._lock:
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]


class BoundedServer(ThreadingWSGIServer):
    """A server with a thread for each connection, and a limit of connections."""

    daemon_threads = True
    # What a connection that comes now is encrypted with, if it is.
    context: Callable[[], ssl.SSLContext | None] = staticmethod(lambda: None)
    # The standard library's five are full at once, and a scrape then waits for its next SYN.
    request_queue_size = 128

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._admission = ConnectionLimiter()
        super().__init__(*args, **kwargs)

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002 - the base class's
        """Refuse connections above the limit in the accepting thread.  No answer is sent, because sending may block."""
        return self._admission.enter(client_address[0])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start the connection's thread; if that fails, count the connection as closed."""
        try:
            super().process_request(request, client_address)
        except Exception:
            self._admission.leave(client_address[0])
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and count the connection as closed in any case."""
        try:
            secured = self._secure(request)
            if secured is not None:
                super().process_request_thread(secured, client_address)
        finally:
            self._admission.leave(client_address[0])

    def _secure(self, request: socket.socket) -> socket.socket | None:
        """Return the connection as it is read, or None where its other side does not speak TLS with us.

        In the thread of the connection: the accepting one waits for nobody.
        """
        context = self.context()
        if context is None:
            return request
        request.settimeout(REQUEST_WITHIN_S)  # of the handshake as a whole
        try:
            return context.wrap_socket(request, server_side=True)
        except OSError:
            request.close()
            return None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Do not log clients that went away or were too slow: any client could fill the journal with them."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class BoundedHandler(WSGIRequestHandler):
    """Reads one request, the whole of it within REQUEST_WITHIN_S."""

    # Applies to each write: since Python 3.5 to sendall() as a whole.
    timeout = REQUEST_WITHIN_S

    def setup(self) -> None:
        """Read through the deadline."""
        super().setup()
        self.rfile = io.BufferedReader(_DeadlineReader(self.connection, time.monotonic() + REQUEST_WITHIN_S))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        """Log nothing: a scrape every second is no news."""


class _DeadlineReader(io.RawIOBase):
    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request did not arrive in time")
        allowed = self._connection.gettimeout()
        self._connection.settimeout(left)
        try:
            return self._connection.recv_into(buffer)
        finally:
            self._connection.settimeout(allowed)
