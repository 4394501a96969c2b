# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Building Stats field by field, so that whatever could not be read keeps its reason."""

from __future__ import annotations

from typing import Any, Callable

from .exposition import Exposition, parse
from .protocol import EngineError, Stats
from .server import Server, describe
from .transport import TransportError

# Kinds after which asking the same server again would only spend another deadline.
_HOPELESS = ("refused", "timeout", "reset", "unreachable", "tls", "invalid")


class Figures:
    """Collects fields for one Stats. The first hopeless failure answers for every field asked after it."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._values: dict[str, Any] = {}
        self._unread: dict[str, str] = {}
        self._gone: str | None = None

    def metrics(self) -> Exposition | None:
        """The server's C(/metrics), or None; missing() then knows why."""
        if self._gone is not None:
            return None
        try:
            answer = self._server.get("/metrics")
        except TransportError as error:
            self._note_hopeless(error.kind, error.reason)
            self._metrics_reason = f"/metrics: {error.reason}"
            return None
        if answer.status != 200:
            self._metrics_reason = f"/metrics answered {describe(answer)}"
            return None
        found = parse(answer.body.decode("utf-8", "replace"))
        self._metrics_reason = "/metrics holds nothing that can be read" if not found.samples else ""
        return found

    def metric(self, field: str, read: Callable[[], float | None], source: str, whole: bool = True) -> None:
        """Set a field from a metric. C(whole): the field counts things, so the value must be a whole number >= 0."""
        if self._gone is not None or self._metrics_reason:
            self._unread[field] = self._gone or self._metrics_reason
            return
        value = read()
        if value is None:
            self._unread[field] = f"{source} is not among the metrics, or not a number"
        elif value < 0 or (whole and value != int(value)):
            self._unread[field] = f"{source} is {value:g}, which cannot be"
        else:
            self._values[field] = int(value) if whole else value

    def document(self, field: str, path: str, read: Callable[[Any], Any]) -> None:
        """Set a field from a JSON document; C(read) returns None or raises EngineError when it is not there."""
        if self._gone is not None:
            self._unread[field] = self._gone
            return
        try:
            value = read(self._server.get_json(path))
        except EngineError as error:
            self._note_hopeless(error.kind, error.reason)
            self._unread[field] = error.reason
            return
        if value is None:
            self._unread[field] = f"{path} does not say"
        else:
            self._values[field] = value

    def missing(self, field: str, reason: str) -> None:
        """A field that this engine does not tell."""
        self._unread[field] = reason

    def stats(self) -> Stats:
        return Stats(**self._values, unread=self._unread)

    _metrics_reason = "/metrics was not asked"

    def _note_hopeless(self, kind: str, reason: str) -> None:
        if kind in _HOPELESS:
            self._gone = reason


def text_at(*path: str) -> Callable[[Any], str | None]:
    """A reader that walks into a document and returns the non-empty text there, or None."""

    def read(document: Any) -> str | None:
        for key in path:
            document = document.get(key) if isinstance(document, dict) else None
        return document if isinstance(document, str) and document else None

    return read
