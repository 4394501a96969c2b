# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks of log in, blocks of JSON lines out: the fast way through many lines that are no event."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterator
from functools import lru_cache, partial

from .continuation import continues, event_of_continuation
from .framing import Framed, unframe
from .pci import Event
from .reading import TRIGGERS, event_of
from .wrappers import LONGEST

_NONE = b'{"kind":"none"}\n'
UNREADABLE = b'{"kind":"unreadable"'
# The journal's numbers for a message that is no printable text hide every word.
_WORDS = (*(word.encode("ascii") for word in TRIGGERS), b'"MESSAGE":[', b'"MESSAGE" : [')
_JSON = json.JSONEncoder(separators=(",", ":"))
# How far back a message is looked for that a line without a prefix may continue.
_LOOK_BACK = 4 * LONGEST
_BYTE_ORDER_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
# A guess needs this much of a stream; what has fewer bytes is a line or two.
_SAMPLE = 32


def encode(event: Event) -> bytes:
    """One event as one line of JSON."""
    return _JSON.encode(event).encode("ascii") + b"\n"


# In a storm one message comes again and again; only what stands before it changes.
@lru_cache(maxsize=2048)
def _encode_text(text: str) -> bytes:
    return encode(event_of(Framed(text)))


def _encode_line(line: bytes, lines_before: Callable[[], Iterator[bytes]]) -> bytes:
    framed = unframe(line)
    if framed.foreign:
        return _NONE
    if framed.bare and continues(lines_before()):
        return encode(event_of_continuation(framed))
    if framed.strange or len(framed.text) >= 1024:
        return encode(event_of(framed))
    return _encode_text(framed.text)


def suspects(block: bytes) -> list[int]:
    """Where the lines begin that may hold an event, in order."""
    found = set()
    for word in _WORDS:
        at = block.find(word)
        while at >= 0:
            found.add(block.rfind(b"\n", 0, at) + 1)
            end = block.find(b"\n", at)
            at = block.find(word, end) if end >= 0 else -1
    return sorted(found)


def encode_block(block: bytes, before: bytes = b"") -> bytes:
    """One line of JSON for each line of a block. A last line without a newline counts as a line.

    C(before): the lines before the block, as far as they are looked back at.
    """
    out: list[bytes] = []
    done = 0
    for start in suspects(block):
        quiet = block.count(b"\n", done, start)
        if quiet:
            out.append(_NONE * quiet)
        end = block.find(b"\n", start)
        end = len(block) if end < 0 else end
        out.append(_encode_line(block[start:end], partial(_lines_before, before, block, start)))
        done = end + 1
    if done < len(block):
        quiet = block.count(b"\n", done) + (not block.endswith(b"\n"))
        out.append(_NONE * quiet)
    return b"".join(out)


def _lines_before(before: bytes, block: bytes, start: int) -> Iterator[bytes]:
    """Yield the lines before a place in a block, the nearest first, and none that is blank."""
    for text, length in ((block, start), (before, len(before))):
        end = length
        while end > 0:
            begin = text.rfind(b"\n", 0, end - 1) + 1
            line = text[begin:end].strip()
            if line:
                yield line
            end = begin


def look_back(before: bytes, block: bytes) -> bytes:
    """The end of what came before and of a block, as much of it as is looked back at."""
    return (before[-_LOOK_BACK:] + block[-_LOOK_BACK:])[-_LOOK_BACK:]


class LineStream:
    """Cuts a stream of bytes into whole lines, however it arrives. Holds one line at most, of bounded length."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, chunk: bytes) -> bytes:
        """All whole lines that are there by now, as one block."""
        cut = chunk.rfind(b"\n") + 1
        if not cut:
            # What is beyond the longest message of the kernel cannot matter to any event.
            self._rest = (self._rest + chunk)[:LONGEST]
            return b""
        block = self._rest + chunk[:cut]
        self._rest = chunk[cut:][:LONGEST]
        return block

    def end(self) -> bytes:
        """What is left when the stream has ended: a line without a newline, or nothing."""
        rest, self._rest = self._rest, b""
        return rest


def as_utf8(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same stream in UTF-8: programs of Windows write UTF-16, with a mark of byte order or without one."""
    first = b""
    for chunk in chunks:
        first += chunk
        if len(first) >= _SAMPLE or b"\n" in first:
            break
    encoding = _utf16_byte_order(first)
    if encoding is None:
        if first:
            yield first
        yield from chunks
        return
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    yield decoder.decode(first).lstrip("\ufeff").encode("utf-8", "replace")
    for chunk in chunks:
        yield decoder.decode(chunk).encode("utf-8", "replace")
    yield decoder.decode(b"", True).encode("utf-8", "replace")


def _utf16_byte_order(first: bytes) -> str | None:
    """The byte order if the beginning of a stream is UTF-16: most of a log is ASCII, so every second byte is 0."""
    sample = first[: 8 * _SAMPLE]
    if len(sample) < 4:
        return None
    low, high = sample[0::2].count(0), sample[1::2].count(0)
    marked = _BYTE_ORDER_MARKS.get(sample[:2])
    most = len(sample) // 2 * (0.3 if marked else 0.8)
    if marked is not None:
        return marked if (high if marked.endswith("le") else low) >= most else None
    return "utf-16-le" if high >= most else "utf-16-be" if low >= most else None


def encode_stream(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """JSON lines for a stream of chunks, each as soon as its line is whole."""
    stream, before = LineStream(), b""
    for chunk in as_utf8(chunks):
        block = stream.take(chunk)
        if block:
            yield encode_block(block, before)
            before = look_back(before, block)
    rest = stream.end()
    if rest:
        yield encode_block(rest, before)
