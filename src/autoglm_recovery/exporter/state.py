# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state that survives a restart: fault counters, the position in the kernel's log, known GPUs and their services.

The file is not trusted: content that cannot be read is ignored, and the file is written again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from autoglm_recovery.knowledge.host import whole_file

VERSION = 1
_LARGEST = 16 << 20


def load(path: Path) -> tuple[dict[str, Any], str]:
    """Return the state, or an empty one and the reason."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except FileNotFoundError:
        return {}, ""
    except OSError as error:
        return {}, f"{path} cannot be read: {error.strerror}"
    if len(content) > _LARGEST:
        return {}, f"{path} is larger than {_LARGEST} bytes"
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return {}, f"{path} is no JSON"
    if not isinstance(document, dict) or document.get("version") != VERSION:
        return {}, f"{path} is no state of this version"
    return document, ""


class StateFile:
    """Writes the state atomically, and only when it has changed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written = ""

    def differs(self, document: dict[str, Any]) -> bool:
        """Return whether a document is not what was written last."""
        return _serialized(document) != self._written

    def save(self, document: dict[str, Any]) -> None:
        """Write the document, unless it is what was written last.  Raises OSError."""
        text = _serialized(document)
        if text == self._written:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        whole_file.write(self.path, text, 0o600)
        self._written = text


def _serialized(document: dict[str, Any]) -> str:
    return json.dumps({"version": VERSION, **document}, sort_keys=True)
