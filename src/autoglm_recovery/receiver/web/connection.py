# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections: how many there may be, how long a request may take to arrive, and whose certificate was shown.

uvicorn reads a request for as long as its sender likes, and keeps the certificate to itself.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from http import HTTPStatus
from typing import Any

import h11
import structlog
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from autoglm_recovery.addresses import network_of
from autoglm_recovery.receiver.process.seldom import OncePerMinute
from autoglm_recovery.receiver.web.certificates import names_of
from autoglm_recovery.receiver.web.listening import note_established
from autoglm_recovery.receiver.web.requests import LARGEST_HEADERS, Requests, refusal

MOST_FROM_ONE_ADDRESS = 256
HEADERS_WITHIN_S = 10.0
BODY_WITHIN_S = 30.0

_BUSY = refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections from this address", b"retry-after: 5")
_slow = OncePerMinute()

log = structlog.get_logger()


class Connection(H11Protocol):
    """One connection.  The count of all is the class's, because one process has one server."""

    # By address; a connection that TLS has not finished with is counted where it was accepted (listening.py).
    from_address: Counter[str] = Counter()  # noqa: RUF012 - shared on purpose

    conn: Requests

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = Requests(h11.SERVER, LARGEST_HEADERS)
        self._deadline: asyncio.TimerHandle | None = None
        self._key: str | None = None
        # Somebody who may come in has asked something here.
        self._known = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count it, and turn it away if there are too many."""
        super().connection_made(transport)
        note_established(transport, lambda: self._known)
        key = network_of(self.client[0]) if self.client else ""
        if self.from_address[key] >= MOST_FROM_ONE_ADDRESS:
            transport.write(_BUSY)
            transport.close()
            return
        self._key = key
        self.from_address[key] += 1
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            self.app = _with_certificate(self.app, names_of(tls.getpeercert()))
        self._start_deadline(HEADERS_WITHIN_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        super().connection_lost(exc)
        self._stop_deadline()
        if self._key is not None:
            self.from_address[self._key] -= 1
            if self.from_address[self._key] <= 0:
                del self.from_address[self._key]
            self._key = None

    def handle_events(self) -> None:
        """Let uvicorn read on, and give what is still to come its time."""
        before = self.conn.their_state
        self._known = self._known or "user" in (self.scope or ())
        super().handle_events()
        after = self.conn.their_state
        if after is h11.SEND_BODY and (before is not h11.SEND_BODY or self._deadline is None):
            self._start_deadline(BODY_WITHIN_S)
        elif after is h11.IDLE and self.conn.trailing_data[0]:
            if before is not h11.IDLE or self._deadline is None:
                self._start_deadline(HEADERS_WITHIN_S)
        elif after is not h11.SEND_BODY and (after is not h11.IDLE or before is not h11.IDLE):
            # All of it is here: from now on it is we who take the time.  Between two requests uvicorn's own counts.
            self._stop_deadline()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request, and end: whoever works at the request before it must answer no more.

        uvicorn answers through h11, which raises where an answer has begun, and leaves the application to raise where
        it begins later.
        """
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            refused = self.conn.refused
            status = HTTPStatus(refused.error_status_hint) if refused else HTTPStatus.BAD_REQUEST
            self.transport.write(refusal(status, str(refused or msg).partition(": bytearray")[0]))
        self._stop_deadline()
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: whoever asks for another protocol is answered in this one."""

    def _start_deadline(self, within_s: float) -> None:
        self._stop_deadline()
        self._deadline = self.loop.call_later(within_s, self._too_slow)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        # No answer: for Alertmanager a lost connection is a reason to try again, and 408 is one to give up.
        address = self.client[0] if self.client else "unknown"
        if (unsaid := _slow.unsaid(network_of(address))) is not None:
            log.warning("a request took too long to arrive", address=address, more_since_last_told=unsaid)
        self.transport.abort()


def _with_certificate(app: Any, names: tuple[str, ...]) -> ASGIApp:
    async def known(scope: Scope, receive: Receive, send: Send) -> None:
        scope["autoglm.certificate"] = names
        await app(scope, receive, send)

    return known
