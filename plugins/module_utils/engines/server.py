# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One server's address and key, and the decoding of its answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Callable

from ..host.plain import one_line
from .protocol import EngineError, Reading
from .transport import EngineRequest, Response, Transport, TransportError, check_url


@dataclass(frozen=True)
class EngineServer:
    """One server. Raises ValueError for an unusable URL or key.

    timeout: seconds for each request.  generate_timeout: seconds for a completion, and for a command that the server
    answers after carrying it out.
    """

    url: str
    transport: Transport
    timeout: float = 5.0
    api_key: str | None = None
    generate_timeout: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", check_url(self.url))
        if self.api_key and not (self.api_key.isascii() and self.api_key.isprintable()):
            raise ValueError("the API key holds characters that no HTTP header can carry")

    def __repr__(self) -> str:
        return f"Server(url={self.url!r})"  # the key never reaches a log or a traceback

    def at(self, url: str) -> EngineServer:
        """The same server at another address, such as the port of its metrics. Raises ValueError.

        The key is not sent there: it may be another program, and the connection may not be encrypted.
        """
        return replace(self, url=url, api_key=None)

    @property
    def patience(self) -> float:
        """Seconds for a completion or a slow command."""
        return self.timeout if self.generate_timeout is None else self.generate_timeout

    def get(self, path: str) -> Response:
        """Raises TransportError."""
        return self._send("GET", path, None, self.timeout)

    def post(self, path: str, body: Mapping[str, Any] | None = None, timeout: float | None = None) -> Response:
        """Raises TransportError."""
        payload = None if body is None else json.dumps(body).encode()
        return self._send("POST", path, payload, timeout or self.timeout)

    def get_json(self, path: str) -> Any:
        """The document at a path. Raises EngineError for no answer, another status than 200, or no JSON."""
        return self._decoded_answer(path, lambda: self.get(path))

    def post_json(self, path: str, body: Mapping[str, Any], timeout: float | None = None) -> Any:
        """The document that answers a POST. Raises EngineError as get_json() does."""
        return self._decoded_answer(path, lambda: self.post(path, body, timeout))

    @staticmethod
    def _decoded_answer(path: str, ask: Callable[[], Response]) -> Any:
        try:
            answer = ask()
        except TransportError as error:
            raise EngineError(error.kind, error.reason) from error
        if answer.status != 200:
            raise EngineError("answered", f"{path} answered {describe(answer)}", answer.status)
        return decode(answer)

    def _send(self, method: str, path: str, body: bytes | None, timeout: float) -> Response:
        headers = {"Accept": "*/*"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        return self.transport(EngineRequest(method, self.url + path, timeout, headers, body))


def decode(answer: Response) -> Any:
    """The JSON of an answer. NaN and Infinity are not JSON. Raises EngineError."""
    try:
        return json.loads(answer.body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise EngineError("answered", "the answer is not JSON", answer.status) from error


def describe(answer: Response) -> str:
    """Status and the beginning of the body on one line, for use in a reason."""
    words = one_line(answer.body[:400].decode("utf-8", "replace"), 200)
    return f"HTTP {answer.status}" + (f": {words}" if words else "")


def no_answer(error: TransportError) -> Reading:
    """The reading of a request that got no answer."""
    return Reading(None, error.reason, kind=error.kind)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
