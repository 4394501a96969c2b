# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence from the engine's server: its metrics unchanged, and its open requests without their texts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from ..engines.protocol import EngineError
from ..engines.server import EngineServer, describe
from ..engines.transport import TransportError
from ..host.piece import Piece
from ..host.redaction import redact_document, redact_text
from ..host.unread import Unread


def metrics(server: EngineServer, known_secrets: Iterable[str] = ()) -> Piece:
    """The text of /metrics. Raises Unread."""
    try:
        answer = server.get("/metrics")
    except TransportError as error:
        raise Unread(f"/metrics: {error.reason}") from error
    if answer.status != 200:
        raise Unread(f"/metrics answered {describe(answer)}")
    return Piece(redact_text(answer.body.decode("utf-8", "replace"), known_secrets), "/metrics")


def requests(path: str, server: EngineServer, with_prompts: bool, known_secrets: Iterable[str] = ()) -> Piece:
    """The open requests, listed at this path. with_prompts: keep the texts of users. Raises Unread."""
    try:
        found = server.get_json(path)
    except EngineError as error:
        raise Unread(f"{path}: {error.reason}") from error
    told = redact_document(found if with_prompts else without_texts(found), known_secrets)
    return Piece(json.dumps(told, indent=2) + "\n", path)


def without_texts(document: Any) -> Any:
    """The document with numbers and booleans only. A text or a list of tokens is replaced by its length."""
    if isinstance(document, dict):
        return {key: without_texts(value) for key, value in document.items()}
    if isinstance(document, str):
        return {"characters": len(document)}
    if isinstance(document, list):
        if all(isinstance(value, (int, float, str)) for value in document):
            return {"entries": len(document)}
        return [without_texts(value) for value in document]
    return document
