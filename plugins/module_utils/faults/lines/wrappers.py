# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wrappings of a whole kernel line: another encoding, colours, a JSON object.

Source of the forms: systemd C(journal-fields(7)), Docker's json-file driver, Kubernetes' and Google's entries, GELF.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ...host.numbers import whole_number
from .heads import HEAD_WITHIN

# A record of /dev/kmsg has at most 8192 bytes (CONSOLE_EXT_LOG_MAX); what is longer is no kernel message.
LONGEST = 16384

# Colours and what else a terminal obeys, and the marks of byte order and joining that editors leave.
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-9;:?]{0,32}[ -/]{0,4}[@-~]|\][^\x07\x1b]{0,200}(?:\x07|\x1b\\)|[@-Z\\-_])|[\ufeff\u200b\x08]"
)
# The same after a logger, an editor or a form has written or lost the escape: rsyslog's #033, less's ESC, cat -v's ^[.
_ESCAPE = r"(?:#033|\^\[|\\(?:033|e|x1b|u001[bB])|ESC)"
_TYPED_ESCAPES = re.compile(rf"{_ESCAPE}\[(?:\d{{1,3}}(?:;\d{{1,3}}){{0,5}})?[mK]|\[\d{{1,3}}(?:;\d{{1,3}}){{0,5}}m")
_ANY_TYPED = re.compile(rf"\[(?:0|39)m|{_ESCAPE}\[[\dmK]")
# Blanks that browsers and word processors put for blanks.
_BLANKS = {ord(blank): " " for blank in "\u00a0\u2007\u202f\u3000"}
_MESSAGE_KEYS = (
    "message",
    "msg",
    "log",
    "short_message",
    "full_message",
    "textpayload",
    "syslogmessage",
    "text",
    "line",
    "body",
    "stringvalue",
    "content",
    "@message",
    "_raw",
    "original",
    "stdout",
)
# A key of a message and the quote before its value, in what is no whole object: cut, pretty-printed, Ruby's or Go's.
FIELD = re.compile(
    rf"\"(?:{'|'.join(map(re.escape, _MESSAGE_KEYS))})\"\s{{0,4}}(?::|=>)\s{{0,4}}\[?\s{{0,4}}\"", re.IGNORECASE
)
# Who wrote it, where a log says so; then only the kernel's name is the kernel.
_AUTHOR_KEYS = (
    "syslog_identifier",
    "_comm",
    "program",
    "programname",
    "process_name",
    "processname",
    "appname",
    "app-name",
    "app_name",
    "ident",
    "identifier",
    "logger",
    "caller",
)
# What loggers of programs tell of the place in the program: the kernel's log has none.
_OF_A_PROGRAM = frozenset(("levelname", "funcname", "function", "threadname", "target"))
_AUTHOR = re.compile(
    rf"\"(?:{'|'.join(map(re.escape, _AUTHOR_KEYS))})\"\s{{0,4}}(?::|=>)\s{{0,4}}\"([^\"\n]{{0,64}})\"", re.IGNORECASE
)
KERNEL_NAMES = ("kernel", "kern", "kmsg", "dmesg", "vmkernel")
_DEEPEST = 12
_MOST_PAIRS = 400


@dataclass(frozen=True)
class Wrapped:
    """A message out of an object.  C(foreign): the object names another program than the kernel as its author.

    C(boot), C(wall): the object's own clocks, in seconds, where it has them.
    """

    message: str
    foreign: bool = False
    boot: float | None = None
    wall: float | None = None


def as_text(line: str | bytes) -> str:
    """The line as text, never longer than any kernel message, without what only a terminal or an editor needs."""
    if isinstance(line, bytes):
        line = _decode_bytes(line[: 2 * LONGEST])
    line = line[:LONGEST].rstrip("\r\n\0")
    if not line.isascii():
        line = line.translate(_BLANKS)
    if "\x1b" in line or "\x08" in line or "\ufeff" in line or "\u200b" in line:
        line = _ESCAPES.sub("", line)
    return _TYPED_ESCAPES.sub("", line) if "[" in line and _ANY_TYPED.search(line) else line


def _decode_bytes(line: bytes) -> str:
    """Text of bytes.  Lines cut out of UTF-16 have a NUL at every second place as long as they are ASCII."""
    nuls = line.count(0)
    if nuls * 3 > len(line):
        line = line.replace(b"\0", b"")
    return line.decode("utf-8", "replace")


def unwrap(text: str) -> Wrapped | None:
    """The message in a line that is one JSON object, or a list of them, or None."""
    text = text.rstrip(" \t\r,")
    if not (text.startswith(("{", "[")) and text.endswith(("}", "]"))):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, (dict, list)):
        return None
    pairs = list(islice(_text_fields("", found, 0), _MOST_PAIRS))
    message = next((value for wanted in _MESSAGE_KEYS for key, value in pairs if key == wanted and value), None)
    if message is None:
        message = next((value for _key, value in pairs if HEAD_WITHIN.search(value[:2000])), None)
    if message is None:
        return None
    fields = dict(reversed(pairs))
    message = message.strip("\r\n")
    boot = _microseconds(fields.get("_source_monotonic_timestamp"))
    wall = _microseconds(fields.get("__realtime_timestamp"))
    # Docker writes into an object of its own what a program has written as an object.
    inner = unwrap(message) if message.startswith("{") else None
    if inner is None:
        return Wrapped(_from_its_head(message), _names_other_author(fields), boot, wall)
    return Wrapped(inner.message, inner.foreign or _names_other_author(fields), inner.boot or boot, inner.wall or wall)


def by_another(text: str) -> bool:
    """Whether the fields of an incomplete object name another author than the kernel."""
    return any(name.strip(": ").lower() not in KERNEL_NAMES for name in _AUTHOR.findall(text))


def _from_its_head(message: str) -> str:
    """A text of several lines from the first that may begin as a message of the kernel: what a command printed."""
    lines = message.split("\n", 200)
    first = next((number for number, line in enumerate(lines) if HEAD_WITHIN.search(line[:2000])), 0)
    return "\n".join(lines[first:]) if first else message


def _text_fields(key: str, value: Any, depth: int) -> Iterator[tuple[str, str]]:
    """Every text in an object with its key in lower case, an outer one before those inside of it."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict) and depth < _DEEPEST:
        for name, inner in value.items():
            yield from _text_fields(name.lower(), inner, depth + 1)
    elif isinstance(value, list) and key == "message" and value and isinstance(value[0], int):
        # The journal gives bytes where a message is no printable text.
        yield key, _text_of_numbers(value)
    elif isinstance(value, list) and depth < _DEEPEST:
        for inner in value:
            yield from _text_fields(key, inner, depth + 1)


def _text_of_numbers(numbers: list[Any]) -> str:
    try:
        return as_text(bytes(numbers[:LONGEST]))
    except (TypeError, ValueError):
        return ""


def _names_other_author(fields: dict[str, str]) -> bool:
    if fields.get("_transport") == "kernel":
        return False
    named = [fields[key] for key in _AUTHOR_KEYS if fields.get(key)]
    if not named and not _OF_A_PROGRAM.isdisjoint(fields):
        return True
    return any(name.strip(": ").lower() not in KERNEL_NAMES for name in named)


def _microseconds(text: str | None) -> float | None:
    number = whole_number(text)
    return None if number is None else number / 1e6
