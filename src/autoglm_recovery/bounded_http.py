# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP whose answers have an end: httpx under one deadline for all of an exchange, and a cap for what is read.

A timeout of httpx is for each piece that comes, and what drips has many: headers of a hundred thousand bytes, one a
second, take a day.  And what is packed is unpacked before anybody sees how large it is, so that nothing is asked for
packed, and what comes packed all the same is refused unread.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterable
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpcore
import httpx

_CLOCK = "autoglm_clock"


class AnswerTooLong(ValueError):
    """An answer has more bytes than can be meant, takes longer than it may, or is packed."""


class Transport(httpx.HTTPTransport):
    """httpx's own, in which the ``timeout`` of a client is for all until the headers are there, and not for each piece.

    The body has as long, or what ``whole`` gives it.  Not for several threads at once.
    """

    def __init__(self, verify: ssl.SSLContext | None = None) -> None:
        """Use httpx's authorities unless there is a context."""
        context = httpx.create_ssl_context(trust_env=False) if verify is None else verify
        super().__init__(verify=context, trust_env=False)
        self._clock = _Clock()
        # httpx has no parameter for it; a test sees whether it still is the one that is used.
        self._pool = httpcore.ConnectionPool(
            ssl_context=context, keepalive_expiry=5.0, network_backend=_Backend(self._clock)
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Ask once."""
        request.headers["Accept-Encoding"] = "identity"
        self._clock.give(request.extensions.get("timeout", {}).get("read"))
        answer = super().handle_request(request)
        answer.extensions[_CLOCK] = self._clock
        return answer


def client(token: str | None = None, verify: ssl.SSLContext | Path | None = None, **more: Any) -> httpx.Client:
    """Return a client of one server: bounded, and without what the environment says of proxies and passwords.

    ``token``: a bearer token.  ``verify``: a context, or a file of authorities in place of httpx's own.

    Raises OSError if that file cannot be read.
    """
    headers = {"Accept": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    context = ssl.create_default_context(cafile=verify) if isinstance(verify, Path) else verify
    return httpx.Client(headers=headers, transport=Transport(context), trust_env=False, **more)


def document(body: bytes) -> Any:
    """Read an answer as JSON.

    Raises ValueError if it is none, or nested beyond all sense.
    """
    try:
        return json.loads(body)
    except RecursionError as error:
        raise ValueError("the answer is nested too deeply") from error


def whole(answer: httpx.Response, most_bytes: int, within_s: float) -> bytes:
    """Read a streamed answer.

    Raises AnswerTooLong if there is no end of it.
    """
    packed = answer.headers.get("content-encoding", "identity").strip().lower()
    if packed not in ("", "identity"):
        raise AnswerTooLong(f"an answer that is packed ({packed[:20]!r}), which nobody asked for")
    body, until = bytearray(), time.monotonic() + within_s
    clock = answer.extensions.get(_CLOCK)
    if clock is not None:
        clock.give(within_s)
    try:
        for part in answer.iter_bytes():
            body += part
            if len(body) > most_bytes:
                raise AnswerTooLong(f"an answer of more than {most_bytes >> 20} MiB")
            if time.monotonic() > until:
                raise AnswerTooLong(f"an answer that takes longer than {within_s:g} s")
    except httpx.ReadTimeout as error:
        if time.monotonic() < until:
            raise
        raise AnswerTooLong(f"an answer that takes longer than {within_s:g} s") from error
    return bytes(body)


def exchange(
    client: httpx.Client, method: str, url: str, most_bytes: int, within_s: float, **more: Any
) -> tuple[httpx.Response, bytes]:
    """Ask, and read the whole answer.

    Raises AnswerTooLong if there is no end of it. Raises httpx.HTTPError if there is none.
    """
    with client.stream(method, url, **more) as answer:
        return answer, whole(answer, most_bytes, within_s)


def moment_of(date: str | None) -> datetime:
    """Read the ``Date`` of an answer.  One without a zone is of UTC, as RFC 9110, 5.6.7, has it.

    Raises ValueError if there is none, or it is none.
    """
    try:
        found = parsedate_to_datetime(date or "")
    except (IndexError, OverflowError, TypeError, ValueError) as error:  # the second for a day of twenty digits
        raise ValueError(f"{(date or '')[:100]!r} is no date") from error
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


class _Clock:
    """Until when an exchange may last."""

    def __init__(self) -> None:
        self._until: float | None = None

    def give(self, seconds: float | None) -> None:
        self._until = None if seconds is None else time.monotonic() + seconds

    def left(self, timeout: float | None) -> float | None:
        """Return how long the next step may take.  Raises httpcore.ReadTimeout where the time is over."""
        if self._until is None:
            return timeout
        left = self._until - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the time for all of it is over")
        return left if timeout is None else min(left, timeout)


class _Backend(httpcore.SyncBackend):
    def __init__(self, clock: _Clock) -> None:
        self._clock = clock

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left = self._clock.left(timeout)
        return _Stream(super().connect_tcp(host, port, left, local_address, socket_options), self._clock)


class _Stream(httpcore.NetworkStream):
    """A connection each of whose steps ends with the time for all of them."""

    def __init__(self, inner: httpcore.NetworkStream, clock: _Clock) -> None:
        self._inner, self._clock = inner, clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._clock.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._clock.left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, self._clock.left(timeout)), self._clock)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
