# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is no request that we serve is refused before it is parsed, and in the same words everywhere.

h11 looks at the size of headers only while their end has not come; all that came in one piece it takes, and parses on
the event loop.
"""

from __future__ import annotations

import json
import re
from http import HTTPStatus

import h11

LARGEST_HEADERS = 32 << 10
_END_OF_HEADERS = re.compile(rb"\n\r?\n")


class Requests(h11.Connection):
    """The server's end of a connection.  Beyond what h11 refuses, headers of any size and doubtful lengths are."""

    # Why nothing more is read, once that is so.
    refused: h11.RemoteProtocolError | None = None

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Return what comes next.

        Raises h11.RemoteProtocolError, whose ``error_status_hint`` says what to answer.
        """
        try:
            if self.their_state is h11.IDLE:
                self._check_size(self.trailing_data[0])
            event = super().next_event()
            if isinstance(event, h11.Request):
                self._check_length(event)
        except h11.RemoteProtocolError as error:
            self.refused = self.refused or error
            raise
        return event

    def _check_size(self, received: bytes) -> None:
        if len(received) > LARGEST_HEADERS and _END_OF_HEADERS.search(received, 0, LARGEST_HEADERS) is None:
            self._refuse(f"the headers are larger than {LARGEST_HEADERS} bytes", 431)

    def _check_length(self, request: h11.Request) -> None:
        names = {name for name, _ in request.headers}
        if b"content-length" in names and b"transfer-encoding" in names:
            # Of the two some proxies believe the one and some the other: what follows may be smuggled (RFC 9112, 6.3).
            self._refuse("Content-Length and Transfer-Encoding in one request", 400)

    def _refuse(self, why: str, status: int) -> None:
        # As h11 does for what it refuses itself: nothing more is read.
        self._process_error(self.their_role)
        raise h11.RemoteProtocolError(why, error_status_hint=status)


def refusal(status: HTTPStatus, detail: str, *headers: bytes) -> bytes:
    """Return a whole answer, a problem document (RFC 9457), after which the connection ends."""
    problem = {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail}
    body = json.dumps(problem).encode()
    head = (
        b"HTTP/1.1 %d %s" % (status, status.phrase.encode()),
        b"content-type: application/problem+json",
        b"content-length: %d" % len(body),
        b"connection: close",
        *headers,
    )
    return b"\r\n".join(head) + b"\r\n\r\n" + body
