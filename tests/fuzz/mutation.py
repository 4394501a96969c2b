# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes a specimen step by step.  Pure: the same specimen and steps give the same bytes, so that Hypothesis shrinks.

A step is (which, place, length, choice): place and length are parts of 65536 of the input as it is then.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

Step = tuple[int, int, int, int]

WHOLE = 1 << 16

# What readers of texts and numbers get wrong: digits that are none for int(), what int() and float() refuse or turn
# into infinity, text of the wrong direction, terminals' words, ends of lines that only Python knows, lone surrogates.
HOSTILE = (
    *(b"", b"\0", b"\r", b"\n", b"\t", b"\x0b", b"\x0c", b"\x1c", b"\x7f", b"\xff", b"\xc3", b"\xed\xa0\x80"),
    *(word.encode() for word in ("²", "٣", "߂", "\u202e", "\u2066", "\u2028", "\x85", "\ufeff", "\u200b", "İ", "ß")),
    *(b"-", b"-1", b"0", b"00", b"0x", b"+5", b"1_0", b"1e999", b"-1e999", b"1e400", b"1.5", b".", b"NaN", b"Infinity"),
    *(b"2147483648", b"4294967296", b"9223372036854775808", b"18446744073709551616"),
    *(b"9" * 25, b"9" * 400, b"9" * 5000),
    *(b"null", b"true", b"[]", b"{}", b'""', b'"', b"'", b"\\", b"{", b"}", b"[", b"]"),
    *(b"(", b")", b"<", b">", b"%", b"#"),
    *(b"\\u0000", b"\\ud800", b"\\x1b", b"\x1b[31m", b"\x1b]0;x\x07", b"=", b":", b";", b",", b" ", b"/", b"../", b"@"),
    *(b"0001-01-01T00:00:00Z", b"9999-12-31T23:59:59-14:00", b"0001-01-01T00:00:00+14:00", b"2026-02-30T00:00:00Z"),
    *(b"\xff" * 8, b"\0" * 8, b"\x7f" + b"\xff" * 7, b"\xff\xff\xff\x7f"),
)  # fmt: skip
OPENING = (b"[", b"{", b"(", b'{"a":', b"- ", b'"', b"<", b"{a: ", b"\\", b"upstream a {")
_NUMBER = re.compile(rb"\d+")


def mutated(seeds: Sequence[bytes], which: int, steps: Sequence[Step], words: Sequence[bytes], largest: int) -> bytes:
    """A specimen after some steps, cut to a size."""
    data = seeds[which % len(seeds)]
    for step in steps:
        data = _STEPS[step[0] % len(_STEPS)](data, step, seeds, words)[:largest]
    return data


def pumped(seeds: Sequence[bytes], which: int, place: int, length: int, size: int) -> bytes:
    """A specimen in which one part is repeated until it has this size: what takes more than linear time shows there.

    A part is some words with what parts them, because a repeated one must be read, or is any bytes.
    """
    data = seeds[which % len(seeds)] or b"a"
    at, end = _words(data, place, length // 2) if length % 2 else _bytes(data, place, length)
    part = data[at:end] or b"a"
    times = max(1, (size - len(data)) // len(part))
    return data[:at] + part * times + data[at:]


def _bytes(data: bytes, place: int, length: int) -> tuple[int, int]:
    at = place * len(data) // WHOLE
    return at, at + 1 + length * length % 64


def _words(data: bytes, place: int, words: int) -> tuple[int, int]:
    borders = [0, *(found.end() for found in _BORDER.finditer(data)), len(data)]
    first = place * (len(borders) - 1) // WHOLE
    return borders[first], borders[min(first + 1 + words % 8, len(borders) - 1)]


_BORDER = re.compile(rb"[\s,;:=|(){}\[\]<>\"'/]+")


def _span(data: bytes, step: Step) -> tuple[int, int]:
    """Where a step begins and ends; most steps are short, because one wrong byte in a right text goes deeper."""
    at = step[1] * (len(data) + 1) // WHOLE
    longest = len(data) - at
    length = step[2] % 16 if step[2] % 4 else step[2] * longest // WHOLE
    return at, at + min(length, longest)


def _flip(data: bytes, step: Step, *_others: Sequence[bytes]) -> bytes:
    at, _end = _span(data, step)
    return data[:at] + bytes(byte ^ (1 << step[3] % 8) for byte in data[at : at + 1]) + data[at + 1 :]


def _delete(data: bytes, step: Step, *_others: Sequence[bytes]) -> bytes:
    at, end = _span(data, step)
    return data[:at] + data[end:]


def _repeat(data: bytes, step: Step, *_others: Sequence[bytes]) -> bytes:
    at, end = _span(data, step)
    return data[:end] + data[at:end] * (1 << step[3] % 8) + data[end:]


def _insert(data: bytes, step: Step, _seeds: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    at, _end = _span(data, step)
    return data[:at] + _word(step, words) + data[at:]


def _replace(data: bytes, step: Step, _seeds: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    at, end = _span(data, step)
    return data[:at] + _word(step, words) + data[end:]


def _renumber(data: bytes, step: Step, _seeds: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """Put something in the place of the next number: where a number is wanted most of what is wrong goes wrong."""
    at, _end = _span(data, step)
    found = _NUMBER.search(data, at) or _NUMBER.search(data)
    return (
        _insert(data, step, (), words)
        if found is None
        else (data[: found.start()] + _word(step, words) + data[found.end() :])
    )


def _splice(data: bytes, step: Step, seeds: Sequence[bytes], _words: Sequence[bytes]) -> bytes:
    at, end = _span(data, step)
    other = seeds[step[3] % len(seeds)]
    begin, stop = _span(other, (step[0], step[2], step[1], step[3]))
    return data[:at] + other[begin:stop] + data[end:]


def _truncate(data: bytes, step: Step, *_others: Sequence[bytes]) -> bytes:
    return data[: step[1] * (len(data) + 1) // WHOLE]


def _nest(data: bytes, step: Step, *_others: Sequence[bytes]) -> bytes:
    at, _end = _span(data, step)
    return data[:at] + OPENING[step[3] % len(OPENING)] * (step[2] + 1) + data[at:]


def _retype(data: bytes, step: Step, *_others: Sequence[bytes]) -> bytes:
    """Put a value of another type in the place of a value of JSON."""
    at, _end = _span(data, step)
    found = _VALUE.search(data, at) or _VALUE.search(data)
    if found is None:
        return data
    return data[: found.start(1)] + _VALUES[step[3] % len(_VALUES)] + data[found.end(1) :]


_VALUE = re.compile(rb"[:\[,]\s*(\"[^\"]*\"|-?[\d.]+|true|false|null|\[\s*\]|\{\s*\})")
_VALUES = (
    *(b"null", b"true", b"false", b"0", b"-1", b"1.5", b"1e999", b"9" * 30, b'""', b'"a"', b'"7"', b"[]", b"{}"),
    *(b"[null]", b"[[]]", b'{"a":{}}', b'[{}]', '"²"'.encode(), b'"9999-99-99"', b'"\\ud800"', b"NaN", b"[1,2,3]"),
)  # fmt: skip


def _word(step: Step, words: Sequence[bytes]) -> bytes:
    known = (*words, *HOSTILE) if step[3] % 3 else HOSTILE
    return known[step[3] // 3 % len(known)]


_STEPS: tuple[Callable[[bytes, Step, Sequence[bytes], Sequence[bytes]], bytes], ...] = (
    *(_flip, _delete, _repeat, _insert, _replace, _renumber, _splice, _truncate, _nest, _retype, _retype, _renumber),
)
