# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests that several engines have in common, and the meaning of their answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .protocol import EngineError, NotSupported, Reading
from .server import EngineServer, decode, describe, no_answer
from .transport import Response, TransportError


def health(server: EngineServer, path: str, meanings: Mapping[int, tuple[bool, str]]) -> Reading:
    """Ask a health endpoint. C(meanings): HTTP status -> (value, remark); any other status is an unknown value."""
    try:
        answer = server.get(path)
    except TransportError as error:
        return no_answer(error)
    if answer.status not in meanings:
        reason = f"{path} answered {describe(answer)}, which this engine does not say"
        return Reading(None, reason, status=answer.status, seconds=answer.seconds)
    value, remark = meanings[answer.status]
    said = remark or (f"{path} answered HTTP {answer.status}" if value else f"{path} answered {describe(answer)}")
    return Reading(value, said, status=answer.status, seconds=answer.seconds)


def unread(error: EngineError) -> Reading:
    """The reading of a request whose answer could not be used."""
    return Reading(None, error.reason, kind=error.kind, status=error.status)


def lists_a_model(server: EngineServer, path: str = "/v1/models") -> Reading:
    """Whether the server lists at least one model in OpenAI's form."""
    try:
        models = model_names(server.get_json(path))
    except EngineError as error:
        return unread(error)
    if not models:
        return Reading(False, f"{path} lists no model", status=200)
    return Reading(True, f"{path} lists {', '.join(models)}"[:200], status=200)


def first_model(server: EngineServer) -> str:
    """The first model that the server lists in OpenAI's form. Raises EngineError."""
    names = model_names(server.get_json("/v1/models"))
    if not names:
        raise EngineError("answered", "/v1/models lists no model", 200)
    return names[0]


def model_names(document: Any) -> tuple[str, ...]:
    """The ids in an answer of C(/v1/models). Raises EngineError for an answer of another form."""
    entries = document.get("data") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise EngineError("answered", "the answer is not a list of models", 200)
    return tuple(entry["id"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), str))


def flag(server: EngineServer, path: str, key: str, absent: str) -> bool:
    """A boolean in a document. Raises NotSupported with C(absent) for HTTP 404, else EngineError."""
    try:
        answer = server.get(path)
    except TransportError as error:
        raise EngineError(error.kind, error.reason) from error
    if answer.status == 404:
        raise NotSupported(f"{path}: {absent}")
    document: Any = decode(answer) if answer.status == 200 else None
    value = document.get(key) if isinstance(document, dict) else None
    if not isinstance(value, bool):
        raise EngineError("answered", f"{path} answered {describe(answer)}", answer.status)
    return value


def command(server: EngineServer, path: str, absent: str, body: Mapping[str, Any] | None = None) -> Response:
    """Post a command, and wait as long as for a completion: many servers answer only after carrying it out.

    Raises NotSupported with C(absent) for HTTP 404, EngineError for every status but 200.
    """
    try:
        answer = server.post(path, body, server.patience)
    except TransportError as error:
        raise EngineError(error.kind, f"{path}: {error.reason}") from error
    if answer.status == 404:
        raise NotSupported(f"{path}: {absent}")
    if answer.status != 200:
        raise EngineError("answered", f"{path} answered {describe(answer)}", answer.status)
    return answer
