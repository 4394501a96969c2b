# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP transport of the engines: one callable that sends one request and returns its answer.

A request is never retried, redirected or sent through a proxy: each of those could return another machine's answer as
the server's. The deadline covers the whole exchange, name lookup and TLS included, so that a server which accepts and
never answers, or sends one byte a second, ends as C(timeout).
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Callable, TypeVar, cast
from urllib.parse import urlsplit

MAX_RESPONSE_BYTES = 4 * 1024 * 1024

# What can go wrong before there is an answer.  C(refused): nothing listens.  C(timeout): the deadline passed.
# C(reset): the connection ended without a whole answer.  C(unreachable): name or route.  C(tls): certificate or
# handshake.  C(too_large): more than the cap.  C(invalid): the URL or the answer is not HTTP.
ERROR_KINDS = ("refused", "timeout", "reset", "unreachable", "tls", "too_large", "invalid")


class TransportError(Exception):
    """A request got no answer. C(kind) is one of ERROR_KINDS; the text is for people and holds no credential."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


@dataclass(frozen=True)
class EngineRequest:
    """One request. C(timeout) is seconds for the whole exchange; C(max_bytes) caps the body of the answer."""

    method: str
    url: str
    timeout: float
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    max_bytes: int = MAX_RESPONSE_BYTES


@dataclass(frozen=True)
class Response:
    """One answer, whatever its status. C(seconds) is how long it took."""

    status: int
    body: bytes
    seconds: float


Transport = Callable[[EngineRequest], Response]
Answer = TypeVar("Answer")


def check_url(url: str) -> str:
    """The base URL without a trailing slash. Raises ValueError with a sentence for the operator."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"the URL must begin with http:// or https://, not {parts.scheme or 'nothing'!r}")
    if not parts.hostname:
        raise ValueError("the URL names no host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the URL must not hold a user or password; a secret has an option of its own")
    if parts.query or parts.fragment:
        raise ValueError("the URL must not hold a query or a fragment")
    if any(ord(char) < 33 or ord(char) == 127 for char in url):
        raise ValueError("the URL must not hold blanks or control characters")
    if parts.port == 0:  # reading .port also raises ValueError for an invalid port
        raise ValueError("the URL's port must not be 0")
    return url.rstrip("/")


class HttpTransport:
    """The standard library's HTTP under one deadline. An instance may be shared between threads."""

    def __init__(
        self,
        validate_certs: bool = True,
        ca_path: str | None = None,
        client_cert: str | None = None,
        client_key: str | None = None,
    ) -> None:
        self._validate_certs = validate_certs
        self._ca_path = ca_path
        self._client_cert = client_cert
        self._client_key = client_key

    def __call__(self, request: EngineRequest) -> Response:
        connection = self._new_connection(request)
        return within(request.timeout, lambda: _send_request(connection, request), lambda: _shut_down(connection))

    def _new_connection(self, request: EngineRequest) -> http.client.HTTPConnection:
        parts = urlsplit(request.url)
        host = parts.hostname or ""
        if parts.scheme != "https":
            return http.client.HTTPConnection(host, parts.port, timeout=request.timeout)
        return http.client.HTTPSConnection(host, parts.port, timeout=request.timeout, context=self._tls_context())

    def _tls_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self._ca_path)
        except OSError as error:
            raise TransportError("tls", f"the CA file {self._ca_path} cannot be used: {error}") from error
        if not self._validate_certs:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self._client_cert:
            try:
                # With a password that opens nothing: OpenSSL asks at the terminal for the one of a key that has one.
                context.load_cert_chain(self._client_cert, self._client_key, password="")
            except OSError as error:
                what = f"the client certificate {self._client_cert} or its key cannot be used: {error}"
                raise TransportError("tls", what) from error
        return context


def within(seconds: float, ask: Callable[[], Answer], cut: Callable[[], None] = lambda: None) -> Answer:
    """Call C(ask) in a thread, so that the deadline holds whatever C(ask) does. Its exceptions are raised here.

    cut: called after the deadline to wake the thread; one that cannot be woken ends with the process.
    Raises TransportError of kind C(timeout) where there is no answer in time.
    """
    told: list[tuple[Answer | None, Exception | None]] = []

    def run() -> None:
        try:
            told.append((ask(), None))
        except Exception as error:  # noqa: BLE001  pylint: disable=broad-except  # raised again in the caller's thread
            told.append((None, error))

    worker = threading.Thread(target=run, daemon=True)
    worker.start()
    worker.join(seconds)
    if not told:
        cut()
        raise TransportError("timeout", f"no complete answer within {seconds:g} s")
    answer, error = told[0]
    if error is not None:
        raise error
    return cast("Answer", answer)


def _send_request(connection: http.client.HTTPConnection, request: EngineRequest) -> Response:
    """Send the request and return the answer. Raises TransportError."""
    try:
        return _send_and_read(connection, request)
    except Exception as error:  # pylint: disable=broad-except  # whatever it is, there is no answer
        raise _transport_error(error, request) from error
    finally:
        connection.close()


def _send_and_read(connection: http.client.HTTPConnection, request: EngineRequest) -> Response:
    began = time.monotonic()
    parts = urlsplit(request.url)
    path = parts.path or "/"
    target = f"{path}?{parts.query}" if parts.query else path
    headers = {"Connection": "close", "Accept-Encoding": "identity", **request.headers}
    connection.request(request.method, target, body=request.body, headers=headers)
    answer = connection.getresponse()
    body = answer.read(request.max_bytes + 1)
    if len(body) > request.max_bytes:
        raise TransportError("too_large", f"the answer is larger than {request.max_bytes} bytes")
    if answer.length:  # read(n) does not complain about a body that ends too early
        raise TransportError("reset", "the connection ended in the middle of the answer")
    return Response(status=answer.status, body=body, seconds=time.monotonic() - began)


def _shut_down(connection: http.client.HTTPConnection) -> None:
    """Shut the socket down, which wakes a thread that waits in it. One in the resolver ends with the process."""
    waiting = connection.sock
    if waiting is None:
        return
    with contextlib.suppress(OSError):  # the connection has ended meanwhile
        waiting.shutdown(socket.SHUT_RDWR)


# The first match counts. socket.timeout is TimeoutError only since Python 3.10.
_CAUSES: tuple[tuple[tuple[type[Exception], ...], str, str], ...] = (
    ((ConnectionRefusedError,), "refused", "nothing listens at {host} (connection refused)"),
    ((socket.timeout, TimeoutError), "timeout", "no complete answer within {timeout:g} s"),
    ((ssl.SSLError,), "tls", "TLS with {host} failed: {detail}"),
    ((ConnectionError, http.client.IncompleteRead), "reset", "{host} ended the connection without a whole answer"),
    ((OSError,), "unreachable", "{host} cannot be reached: {detail}"),
)


def _transport_error(error: Exception, request: EngineRequest) -> TransportError:
    """Translate an exception. Its text is not used as it is: http.client quotes a bad header with its value."""
    if isinstance(error, TransportError):
        return error
    host = urlsplit(request.url).netloc
    detail = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
    for types, kind, text in _CAUSES:
        if isinstance(error, types):
            return TransportError(kind, text.format(host=host, timeout=request.timeout, detail=detail))
    return TransportError("invalid", f"what came from {host} is not HTTP ({type(error).__name__})")
