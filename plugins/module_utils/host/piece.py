# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One piece of evidence: read without letting it hang the caller, and cut to size."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import time
from dataclasses import dataclass
from typing import Callable

from .unread import Unread

_CHUNK = 65536
# The memory that a collector, and each program that it runs, may use beyond what it has inherited.
MOST_MEMORY = 512 * 1024 * 1024


@dataclass(frozen=True)
class Piece:
    """The result of a collector: redacted text, its source, and remarks about what could not be read."""

    text: str
    source: str
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """A piece to collect. keep_tail: keep the end of a text that is too long, as for a log.

    seconds and limit (bytes) bound it; read() may raise Unread or OSError.
    """

    name: str
    read: Callable[[], Piece]
    keep_tail: bool = False
    limit: int = 4 * 1024 * 1024
    seconds: float = 10.0


@dataclass(frozen=True)
class Collected:
    """A piece cut to size. full_size: bytes before the cut."""

    content: bytes
    full_size: int
    source: str
    remarks: tuple[str, ...]


def collect(part: Part, limit: int) -> Collected:
    """Read one part in a child process, which is left behind if it hangs. Raises Unread.

    Files of /proc can block for as long as a driver does (command line and environment wait for the lock of the memory
    map). A blocked thread cannot be abandoned; a child process can.
    """
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        _run_child(part, min(limit, part.limit), readable, writable)
    os.close(writable)
    try:
        answer = _read_all(readable, time.monotonic() + part.seconds)
    finally:
        os.close(readable)
        _end_child(child)
    if answer is None:
        raise Unread(f"did not end within {part.seconds:g} s")
    header, newline, content = answer.partition(b"\n")
    if not newline:
        raise Unread("the collector ended without an answer")
    fields = json.loads(header)
    if "unread" in fields:
        raise Unread(fields["unread"])
    return Collected(content, fields["full_size"], fields["source"], tuple(fields["remarks"]))


def cut(content: bytes, limit: int, keep_tail: bool) -> bytes:
    """At most C(limit) bytes, cut between lines where possible."""
    if len(content) <= limit:
        return content
    if limit <= 0:
        return b""
    if keep_tail:
        tail = content[-limit:]
        return tail[tail.find(b"\n") + 1 :] or tail
    head = content[:limit]
    return head[: head.rfind(b"\n") + 1] or head


def _run_child(part: Part, limit: int, readable: int, writable: int) -> None:
    """Run in the child. Never returns, and never touches the parent's streams, which Ansible waits for."""
    status = 1
    try:
        os.close(readable)
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        _bound_memory()
        with os.fdopen(writable, "wb") as pipe:
            pipe.write(_encoded_answer(part, limit))
        status = 0
    finally:
        os._exit(status)


def _bound_memory() -> None:
    """Limit the child's memory, so that evidence of any size can only end this child."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        held = next((int(line.split()[1]) * 1024 for line in status if line.startswith("VmData:")), 0)
    most, hard = held + MOST_MEMORY, resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _encoded_answer(part: Part, limit: int) -> bytes:
    try:
        return _read_part(part, limit)
    except MemoryError:
        pass  # after this block the data is freed, which leaves memory for the report
    return json.dumps({"unread": f"it took more than {MOST_MEMORY} bytes of memory to read"}).encode() + b"\n"


def _read_part(part: Part, limit: int) -> bytes:
    try:
        piece = part.read()
    except MemoryError:
        raise
    except (OSError, Unread) as error:
        return json.dumps({"unread": str(error)}).encode() + b"\n"
    except Exception as error:  # noqa: BLE001  pylint: disable=broad-except  # a failed collector must not end others
        return json.dumps({"unread": f"{type(error).__name__}: {error}"}).encode() + b"\n"
    content = piece.text.encode("utf-8", "replace")
    header = {"full_size": len(content), "source": piece.source, "remarks": piece.remarks}
    return json.dumps(header).encode() + b"\n" + cut(content, limit, part.keep_tail)


def _read_all(descriptor: int, deadline: float) -> bytes | None:
    """Everything until the child closes its end, or None when the deadline passed."""
    chunks: list[bytes] = []
    while True:
        remaining = deadline - time.monotonic()
        if remaining <= 0 or not select.select([descriptor], [], [], remaining)[0]:
            return None
        chunk = os.read(descriptor, _CHUNK)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)


def _end_child(child: int) -> None:
    """Kill the child if it still exists; one in uninterruptible sleep ends when the kernel lets it."""
    try:
        os.kill(child, signal.SIGKILL)
        for _attempt in range(100):
            if os.waitpid(child, os.WNOHANG)[0]:
                return
            time.sleep(0.001)
    except (ProcessLookupError, ChildProcessError):
        pass
