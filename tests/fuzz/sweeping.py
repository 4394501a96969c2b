# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each number and each JSON value of a specimen replaced by each hostile one, one at a time: chance need not find it.

A specimen with its cases is a sequence, so that some of them can be taken from anywhere.  Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

NUMBERS = (
    *(b"", b"-1", b"0", b"5_0", b"+5", b" 5", b"0x10", b"1.5", b"1e5", b"1e999", b"NaN", b"Infinity", b"null"),
    *(word.encode() for word in ("²", "٣", "\uff15")),
    *(b"4294967296", b"9223372036854775808", b"9" * 25, b"9" * 400, b"9" * 5000),
)  # fmt: skip
VALUES = (
    *(b"null", b"true", b"false", b"0", b"-1", b"1.5", b"1e999", b"-1e999", b"NaN", b"-Infinity", b"9" * 30),
    *(b"9" * 400, b"9" * 5000, b'""', b'"a"', b'"7"', b'"-1"', b'"5_0"', b'"1e999"', b'"nan"'),
    b'"' + b"9" * 5000 + b'"',
    *(b'"\\ud800"', b'"\\u0000"', b'"\\u202e"', '"²"'.encode(), b'"0001-01-01T00:00:00Z"', b'"9999-99-99"'),
    *(b"[]", b"{}", b"[null]", b"[[]]", b"[{}]", b'{"a":{}}', b'[1,"a"]', b"[" * 500 + b"]" * 500),
)  # fmt: skip
_NUMBER = re.compile(rb"\d+(?:\.\d+)?")
# A text that no specimen has, in whose place the hostile value is put as it is written.
_PLACE = "autoglm-fuzz-place"

Path = tuple[str | int, ...]


class Cases:
    """All that a specimen becomes.  Has a length, and the case at each index."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._numbers = [found.span() for found in _NUMBER.finditer(seed)]
        self._documents = list(_documents(seed))
        self._values = [
            (number, path) for number, (_span, document) in enumerate(self._documents) for path in _paths(document, ())
        ]

    def __len__(self) -> int:
        return len(self._numbers) * len(NUMBERS) + len(self._values) * len(VALUES)

    def __getitem__(self, index: int) -> bytes:
        place, which = divmod(index, len(NUMBERS))
        if place < len(self._numbers):
            begin, end = self._numbers[place]
            return self._seed[:begin] + NUMBERS[which] + self._seed[end:]
        place, which = divmod(index - len(self._numbers) * len(NUMBERS), len(VALUES))
        number, path = self._values[place]
        (begin, end), document = self._documents[number]
        text = json.dumps(_replaced(document, path)).encode()
        return self._seed[:begin] + text.replace(f'"{_PLACE}"'.encode(), VALUES[which]) + self._seed[end:]


def _documents(seed: bytes) -> Iterator[tuple[tuple[int, int], Any]]:
    """The document that a specimen is, or those that its lines are, each with where it is."""
    spans = [(0, len(seed)), *(found.span() for found in re.finditer(rb"[^\n]+", seed))]
    for begin, end in spans:
        try:
            yield (begin, end), json.loads(seed[begin:end])
        except (ValueError, RecursionError):
            continue
        if (begin, end) == (0, len(seed)):
            return


def _paths(value: Any, path: Path) -> Iterator[Path]:
    yield path
    inner: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    for key, each in inner:
        yield from _paths(each, (*path, key))


def _replaced(value: Any, path: Path) -> Any:
    if not path:
        return _PLACE
    if isinstance(value, dict):
        return {key: _replaced(each, path[1:]) if key == path[0] else each for key, each in value.items()}
    return [_replaced(each, path[1:]) if at == path[0] else each for at, each in enumerate(value)]


def taken(seeds: tuple[bytes, ...], most: int, choose: Callable[[int, int], list[int]]) -> Iterator[bytes]:
    """Some cases of all specimens, or all where there are no more.

    choose: gives that many different indices below a number.
    """
    every = [Cases(seed) for seed in seeds]
    total = sum(map(len, every))
    for index in range(total) if total <= most else choose(total, most):
        for cases in every:
            if index < len(cases):
                yield cases[index]
                break
            index -= len(cases)  # noqa: PLW2901
