# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the adapters share: one server's address and key, and the questions every OpenAI-compatible server answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .protocol import EngineError, Generation, Reading
from .transport import Request, Response, Transport, TransportError, check_url

# Reasons for which a completion ends that prove it was produced. C(abort) comes with HTTP 200 from a vLLM that shuts
# down, and a queued request that was dropped has no reason at all.
_PROVEN_ENDS = ("stop", "length")


@dataclass(frozen=True)
class Server:
    """One server. C(timeout) is seconds for each single question. Raises ValueError for an unusable URL or key."""

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

    def get(self, path: str) -> Response:
        """Raises TransportError."""
        return self._ask("GET", path, None, self.timeout)

    def post(self, path: str, body: Mapping[str, Any] | None = None, timeout: float | None = None) -> Response:
        """Raises TransportError."""
        payload = None if body is None else json.dumps(body).encode()
        return self._ask("POST", path, payload, timeout or self.timeout)

    def get_json(self, path: str) -> Any:
        """The document at a path, or EngineError when there is no answer, not 200, or not JSON."""
        try:
            answer = self.get(path)
        except TransportError as error:
            raise EngineError(error.kind, error.reason) from error
        if answer.status != 200:
            raise EngineError("answered", f"{path} answered {describe(answer)}", answer.status)
        return decode(answer)

    def _ask(self, method: str, path: str, body: bytes | None, timeout: float) -> Response:
        headers = {"Accept": "*/*"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        return self.transport(Request(method, self.url + path, timeout, headers, body))


def decode(answer: Response) -> Any:
    """The JSON of an answer, or EngineError. A lone NaN or Infinity is not JSON and is refused."""
    try:
        return json.loads(answer.body.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise EngineError("answered", "the answer is not JSON", answer.status) from error


def describe(answer: Response) -> str:
    """Status and the beginning of the error text, on one line, for a reason."""
    words = " ".join(answer.body[:400].decode("utf-8", "replace").split())
    printable = "".join(char if char.isprintable() else "?" for char in words)
    return f"HTTP {answer.status}" + (f": {printable[:200]}" if printable else "")


def no_answer(error: TransportError) -> Reading:
    """The reading of a question that got no answer."""
    return Reading(None, error.reason, kind=error.kind)


def generate(server: Server, prompt: str, max_tokens: int, model: str | None, extra: Mapping[str, Any]) -> Generation:
    """Ask C(/v1/completions) and accept only what proves that tokens were produced. Raises EngineError."""
    body = {"prompt": prompt, "max_tokens": max_tokens, "temperature": 0, "stream": False, **extra}
    if model is not None:
        body["model"] = model
    try:
        answer = server.post("/v1/completions", body, server.generate_timeout)
    except TransportError as error:
        raise EngineError(error.kind, error.reason) from error
    if answer.status != 200:
        raise EngineError("answered", f"the completion was refused: {describe(answer)}", answer.status)
    return prove_completion(decode(answer), answer.seconds)


def prove_completion(document: Any, seconds: float) -> Generation:
    """The completion in an answer, or EngineError of kind C(not_proven) when the answer proves nothing.

    A 200 alone proves nothing: an aborted request ends with 200 too.  Proof is text, a token count of at least one
    and a finish reason that only a produced completion has.
    """
    choice = _first_choice(document)
    text, finish = choice.get("text"), choice.get("finish_reason")
    usage = document.get("usage")
    tokens = usage.get("completion_tokens") if isinstance(usage, dict) else None
    if finish not in _PROVEN_ENDS:
        raise EngineError("not_proven", f"the completion ended with finish_reason {finish!r}", 200)
    if not isinstance(text, str) or not text:
        raise EngineError("not_proven", "the completion holds no text", 200)
    if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 1:
        raise EngineError("not_proven", f"the completion counts {tokens!r} tokens", 200)
    model = document.get("model")
    return Generation(text, tokens, finish, seconds, model if isinstance(model, str) else None)


def model_names(document: Any) -> tuple[str, ...]:
    """The ids in an answer of C(/v1/models), or EngineError when it has another shape."""
    entries = document.get("data") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise EngineError("answered", "/v1/models is not a list of models", 200)
    return tuple(entry["id"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), str))


def _first_choice(document: Any) -> dict[str, Any]:
    choices = document.get("choices") if isinstance(document, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise EngineError("not_proven", "the answer holds no completion", 200)
    first: dict[str, Any] = choices[0]
    return first


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
