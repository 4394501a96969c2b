# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parser of one line of the child's answer (child.py). Pure.

The child has a library of somebody else's in its memory, whose faults are the child's: what it says is checked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

# No machine has as many; instances of MIG are not counted.
MOST_GPUS = 1024
_LONGEST_TEXT = 4096
_MAPPINGS = ("values", "errors", "host")


class AnswerUnreadable(ValueError):
    """A line that our child never writes."""


def read(line: bytes, gpus: int) -> dict[str, Any]:
    """The parsed line; gpus: the number of GPUs so far. Raises ValueError with the reason why it is invalid."""
    try:
        said = json.loads(line)
    except RecursionError as error:
        raise AnswerUnreadable("it is nested too deeply") from error
    if not isinstance(said, dict):
        raise AnswerUnreadable("it is no mapping")
    for name in _MAPPINGS:
        if name in said and not isinstance(said[name], dict):
            raise AnswerUnreadable(f"{name} is no mapping")
    if "gpu" in said and not _is_number(said["gpu"], gpus):
        raise AnswerUnreadable("it is about a GPU that was not counted")
    if "host" in said:
        _check_host(said, gpus)
    if not isinstance(said.get("step", ""), str):
        raise AnswerUnreadable("its step is no text")
    for told in (*([said["error"]] if "error" in said else []), *said.get("errors", {}).values()):
        _check_error(told)
    return said


def _check_host(said: Mapping[str, Any], gpus: int) -> None:
    host = said["host"]
    if gpus or not _is_number(said.get("count"), MOST_GPUS + 1):
        raise AnswerUnreadable("it counts the GPUs twice, or too many")
    if not isinstance(host.get("values"), dict) or not isinstance(host.get("errors"), dict):
        raise AnswerUnreadable("the host has no values or no errors")
    for error in host["errors"].values():
        _check_error(error)


def _check_error(error: Any) -> None:
    texts = [error.get(name) for name in ("error", "kind", "text")] if isinstance(error, dict) else [None]
    if not all(isinstance(text, str) for text in texts):
        raise AnswerUnreadable("an error is not told by its name, kind and text")
    error["text"] = error["text"][:_LONGEST_TEXT]


def _is_number(value: Any, below: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < below
