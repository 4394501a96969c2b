# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``autoglm kernel-events``: log lines on standard input, one JSON object per line on standard output."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Annotated

import typer

from autoglm_recovery.cli.exit_codes import ExitCode
from autoglm_recovery.knowledge.faults.joining.joining import KernelFault, LineJoiner
from autoglm_recovery.knowledge.faults.lines.stream import UNREADABLE, LineStream, as_utf8, encode_stream

_CHUNK = 1 << 18


def kernel_events(
    joined: Annotated[
        bool,
        typer.Option("--joined", help="Join lines into faults, each with its root; print one when it ends."),
    ] = False,
    live: Annotated[
        bool,
        typer.Option(
            "--live",
            help="The lines arrive as they are written: those without a clock count by their arrival (--joined).",
        ),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 if a line that tells of a fault could not be read.")
    ] = False,
) -> None:
    """Say of each kernel log line on standard input what fault it tells: one JSON object a line, in order.

    Takes dmesg, journalctl, syslog and /dev/kmsg as they are; works live behind "dmesg -w".  With --joined, what
    belongs together is one fault: a burst on one GPU until three minutes of silence, one NVLink fault of several GPUs.

    A line that begins as one that tells of a fault and could not be read is of kind "unreadable", never "none"; how
    many there were is said on standard error.
    """
    chunks = _chunks(sys.stdin.fileno())
    unreadable = 0
    try:
        if joined:
            joiner = LineJoiner(arrival=live)
            for encoded in _faults(chunks, joiner):
                _write(sys.stdout.fileno(), encoded)
            unreadable = joiner.unreadable
        else:
            for encoded in encode_stream(chunks):
                unreadable += encoded.count(UNREADABLE)
                _write(sys.stdout.fileno(), encoded)
    except KeyboardInterrupt:
        pass  # how a person ends "dmesg -w | autoglm kernel-events"
    if unreadable:
        lines = "a line that tells of a fault" if unreadable == 1 else f"{unreadable} lines that tell of faults"
        typer.echo(f"autoglm kernel-events: {lines} could not be read (kind unreadable)", err=True)
        if strict:
            raise typer.Exit(ExitCode.no)


def _faults(chunks: Iterator[bytes], joiner: LineJoiner) -> Iterator[bytes]:
    """Faults as they end; those that are open at the end of the input end with it."""
    lines = LineStream()
    for chunk in as_utf8(chunks):
        yield from _encoded(joiner.feed_all(lines.take(chunk).splitlines(), time.time()))
    yield from _encoded(joiner.feed_all(lines.end().splitlines(), time.time()))
    yield from _encoded(joiner.flush())
    if joiner.without_clock:
        text = (
            "lines that have no clock may be days apart, and were not joined (--live: they arrive as they are written)"
        )
        typer.echo(f"autoglm kernel-events: {text}", err=True)


def _encoded(faults: Iterable[KernelFault]) -> Iterator[bytes]:
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
