# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A builder of Stats, field by field, that keeps a reason for each field that could not be read."""

from __future__ import annotations

from typing import Any, Callable

from .exposition import Exposition, parse
from .protocol import EngineError, Stats
from .server import EngineServer, describe
from .transport import TransportError

_NOTHING = Exposition((), 0)

# The largest figure: JSON has whole numbers that no float can hold, and infinity by an exponent.
LARGEST = 1e300
# Kinds of error after which another request to the same server would only spend another deadline.
_HOPELESS = ("refused", "timeout", "reset", "unreachable", "tls", "invalid")


class Figures:
    """Collects fields for one Stats. After the first hopeless failure, no later field is requested."""

    def __init__(self, server: EngineServer) -> None:
        self._server = server
        self._values: dict[str, Any] = {}
        self._unread: dict[str, str] = {}
        self._hopeless_reason: str | None = None

    def metrics(self, path: str = "/metrics", server: EngineServer | None = None) -> Exposition:
        """The metrics at a path, of C(server) if given. Empty where they cannot be read; fields then get the reason."""
        self._metrics_reason = self._hopeless_reason or ""
        if self._hopeless_reason is not None:
            return _NOTHING
        try:
            answer = (server or self._server).get(path)
        except TransportError as error:
            if server is None:
                self._note_hopeless(error.kind, error.reason)
            self._metrics_reason = f"{path}: {error.reason}"
            return _NOTHING
        if answer.status != 200:
            self._metrics_reason = f"{path} answered {describe(answer)}"
            return _NOTHING
        found = parse(answer.body.decode("utf-8", "replace"))
        self._metrics_reason = "" if found.samples else f"{path} holds nothing that can be read"
        return found

    def metric(self, field: str, read: Callable[[], float | None], source: str, whole: bool = True) -> None:
        """Set a field from a metric. C(whole): the field counts things, so the value must be a whole number >= 0."""
        if self._metrics_reason:
            self._unread[field] = self._metrics_reason
            return
        value = read()
        if value is None:
            self._unread[field] = f"{source} is not among the metrics, or not a number"
        else:
            self._set_number(field, value, source, whole)

    def document(self, field: str, path: str, read: Callable[[Any], Any]) -> bool:
        """Set a field from a JSON document; C(read) returns None or raises EngineError when it is not there."""
        return self.given(field, lambda: read(self._server.get_json(path)), path)

    def given(self, field: str, ask: Callable[[], Any], source: str = "the server") -> bool:
        """Set a field to the result of C(ask), which returns None or raises EngineError when there is no value."""
        if self._hopeless_reason is not None:
            self._unread[field] = self._hopeless_reason
            return False
        try:
            value = ask()
        except EngineError as error:
            self._note_hopeless(error.kind, error.reason)
            self._unread[field] = error.reason
            return False
        if value is None:
            self._unread[field] = f"{source} does not say"
            return False
        self._values[field] = value
        return True

    def ask(self, ask: Callable[[], Any]) -> Any:
        """The result of C(ask), or None after an error; for documents with several fields, which number() then sets."""
        if self._hopeless_reason is not None:
            return None
        try:
            return ask()
        except EngineError as error:
            self._note_hopeless(error.kind, error.reason)
            return None

    def number(self, field: str, value: Any, source: str, whole: bool = True) -> None:
        """Set a field from a number of a document that has been read already."""
        if self._hopeless_reason is not None:
            self._unread[field] = self._hopeless_reason
        elif isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= LARGEST:
            self._unread[field] = f"{source} is not there, or not a number"
        else:
            self._set_number(field, value, source, whole)

    def missing(self, field: str, reason: str) -> None:
        """Mark a field as unread and drop its value: the engine has none, or none that can be trusted."""
        self._values.pop(field, None)
        self._unread[field] = reason

    def stats(self) -> Stats:
        return Stats(**self._values, unread=self._unread)

    def _set_number(self, field: str, value: float, source: str, whole: bool) -> None:
        share = field == "kv_cache_usage" and value > 1
        if value < 0 or share or (whole and value != int(value)):
            self._unread[field] = f"{source} is {value:g}, which cannot be"
        else:
            self._values[field] = int(value) if whole else value
            self._unread.pop(field, None)

    _metrics_reason = "the metrics were not asked"

    def _note_hopeless(self, kind: str, reason: str) -> None:
        if kind in _HOPELESS:
            self._hopeless_reason = reason


def text_at(*path: str) -> Callable[[Any], str | None]:
    """A reader that walks into a document and returns the non-empty text there, or None."""

    def read(document: Any) -> str | None:
        for key in path:
            document = document.get(key) if isinstance(document, dict) else None
        return document if isinstance(document, str) and document else None

    return read
