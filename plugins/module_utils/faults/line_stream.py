# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks of log in, blocks of JSON lines out: the fast way through many lines that are no event."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache

from .line_framing import LONGEST, Framed, unframe
from .line_pci import Event
from .lines import TRIGGERS, event_of

_NONE = b'{"kind":"none"}\n'
_WORDS = tuple(word.encode("ascii") for word in TRIGGERS)
_JSON = json.JSONEncoder(separators=(",", ":"))


def encode(event: Event) -> bytes:
    """One event as one line of JSON."""
    return _JSON.encode(event).encode("ascii") + b"\n"


# In a storm one message comes again and again; only what stands before it changes.
@lru_cache(maxsize=2048)
def _encoded(text: str) -> bytes:
    return encode(event_of(Framed(text)))


def _encode_line(line: bytes) -> bytes:
    framed = unframe(line)
    if framed.foreign:
        return _NONE
    return _encoded(framed.text) if len(framed.text) < 1024 else encode(event_of(framed))


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


def encode_block(block: bytes) -> bytes:
    """One line of JSON for each line of a block. A last line without a newline counts as a line."""
    out: list[bytes] = []
    done = 0
    for start in suspects(block):
        quiet = block.count(b"\n", done, start)
        if quiet:
            out.append(_NONE * quiet)
        end = block.find(b"\n", start)
        end = len(block) if end < 0 else end
        out.append(_encode_line(block[start:end]))
        done = end + 1
    if done < len(block):
        quiet = block.count(b"\n", done) + (not block.endswith(b"\n"))
        out.append(_NONE * quiet)
    return b"".join(out)


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


def encode_stream(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """JSON lines for a stream of chunks, each as soon as its line is whole."""
    stream = LineStream()
    for chunk in chunks:
        block = stream.take(chunk)
        if block:
            yield encode_block(block)
    rest = stream.end()
    if rest:
        yield encode_block(rest)
