# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copying a file and computing its SHA-256 in one pass: one thread reads and writes, another hashes the same bytes."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, BinaryIO, Callable, Protocol

from .manifest import ManifestEntry

CHUNK = 4 << 20
# Files that are copied or read at the same time.
FILES_AT_ONCE = 2
_BUFFERS = 3


class Sink(Protocol):
    """The destination of copied bytes."""

    def write(self, data: Any, /) -> Any:
        """Write bytes, as a binary file does."""


def copy(source: BinaryIO, sink: Sink | None) -> ManifestEntry:
    """Read a file to its end, into a sink if given. hashlib and system calls release Python's global lock."""
    digest = hashlib.sha256()
    first = memoryview(bytearray(CHUNK))
    total = _fill_buffer(source, first)
    if total < CHUNK:
        digest.update(first[:total])
        if sink is not None:
            _write_all(sink, first[:total])
        return ManifestEntry(total, digest.hexdigest())
    # A buffer is reused only after it has been hashed.
    free = [memoryview(bytearray(CHUNK)) for _each in range(_BUFFERS - 1)]
    pending: list[tuple[Future[None], memoryview]] = []
    count, buffer = total, first
    with ThreadPoolExecutor(1) as hasher:
        while count:
            part = buffer[:count]
            pending.append((hasher.submit(digest.update, part), buffer))
            if sink is not None:
                _write_all(sink, part)
            if not free:
                done, emptied = pending.pop(0)
                done.result()
                free.append(emptied)
            buffer = free.pop()
            count = _fill_buffer(source, buffer)
            total += count
    return ManifestEntry(total, digest.hexdigest())


def for_each(names: list[str], work: Callable[[str], ManifestEntry]) -> dict[str, ManifestEntry]:
    """Run C(work) for several files at once. The first error is raised after the running ones have ended."""
    if len(names) == 1:
        return {names[0]: work(names[0])}
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        futures = {name: pool.submit(work, name) for name in names}
        try:
            return {name: future.result() for name, future in futures.items()}
        except BaseException:
            for future in futures.values():
                future.cancel()
            raise


def _fill_buffer(source: BinaryIO, view: memoryview) -> int:
    """Read until the buffer is full or the file ends. Returns the number of bytes read."""
    filled = 0
    readinto = getattr(source, "readinto", None)
    while filled < len(view):
        if readinto is not None:
            count = readinto(view[filled:])
        else:
            data = source.read(len(view) - filled)
            count = len(data)
            view[filled : filled + count] = data
        if not count:
            break
        filled += count
    return filled


def _write_all(sink: Sink, part: memoryview) -> None:
    """Write all of it: an unbuffered file may accept fewer bytes per call."""
    while part:
        written = sink.write(part)
        if not isinstance(written, int) or written >= len(part):
            return
        part = part[written:]


def sync_directory(path: str | os.PathLike[str]) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
