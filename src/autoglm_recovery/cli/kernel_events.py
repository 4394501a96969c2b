# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""C(autoglm kernel-events): log lines on standard input, one JSON object per line on standard output."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Annotated

import typer

from autoglm_recovery.knowledge.faults.joining import Fault, LineJoiner
from autoglm_recovery.knowledge.faults.line_stream import LineStream, encode_stream

_CHUNK = 1 << 18


def kernel_events(
    joined: Annotated[
        bool,
        typer.Option("--joined", help="Join lines into faults, each with its root; print one when it ends."),
    ] = False,
) -> None:
    """Say of each kernel log line on standard input what fault it tells: one JSON object a line, in order.

    Takes dmesg, journalctl, syslog and /dev/kmsg as they are; works live behind "dmesg -w".  With --joined, what
    belongs together is one fault: a burst on one GPU until three minutes of silence, one NVLink fault of several GPUs.
    """
    chunks = _chunks(sys.stdin.fileno())
    try:
        for encoded in _faults(chunks) if joined else encode_stream(chunks):
            _write(sys.stdout.fileno(), encoded)
    except BrokenPipeError:
        # The reader has gone. Python would complain once more when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        return  # how a person ends "dmesg -w | autoglm kernel-events"


def _faults(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Faults as they end; those that are open at the end of the input end with it."""
    lines, joiner = LineStream(), LineJoiner()
    for chunk in chunks:
        yield from _encoded(joiner.feed_all(lines.take(chunk).splitlines(), time.time()))
    yield from _encoded(joiner.feed_all(lines.end().splitlines(), time.time()))
    yield from _encoded(joiner.flush())


def _encoded(faults: Iterable[Fault]) -> Iterator[bytes]:
    for fault in faults:
        yield json.dumps(fault.as_dict()).encode() + b"\n"


def _chunks(descriptor: int) -> Iterator[bytes]:
    """What is there, as soon as it is there: read(2) waits for the first byte only."""
    while True:
        chunk = os.read(descriptor, _CHUNK)
        if not chunk:
            return
        yield chunk


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
