# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's own log, by the first of three readers that works here, with times of the monotonic clock."""

from __future__ import annotations

import errno
import os
import re
import time
from collections import deque
from dataclasses import dataclass
from typing import Callable

from .clocks import from_monotonic, iso
from .command import Runner
from .numbers import whole_number
from .unread import Unread

_RECORD_BYTES = 8192  # the kernel's own limit for one /dev/kmsg record
_MAX_BYTES = 32 * 1024 * 1024  # of records, escaped as /dev/kmsg gives them; the newest are kept
_BRACKETED = re.compile(r"\[\s*(\d{1,20})\.(\d{1,6})\]\s?(?:[^:\s]+ kernel: )?(.*)")


@dataclass(frozen=True)
class KernelLine:
    """One line. C(at) is seconds of the monotonic clock since boot, None where the line has no time."""

    at: float | None
    text: str


@dataclass(frozen=True)
class KernelLog:
    """The lines, oldest first, their source, and why the readers before it failed."""

    source: str
    lines: tuple[KernelLine, ...]
    failed: tuple[str, ...] = ()

    def as_text(self) -> str:
        """Each line with its time by the present wall clock and by the kernel's own clock."""
        return "".join(f"{_with_times(line)}\n" for line in self.lines)


def _with_times(line: KernelLine) -> str:
    if line.at is None:
        return line.text
    return f"{iso(from_monotonic(line.at))} [{line.at:13.6f}] {line.text}"


def read(run: Runner, timeout: float, kmsg: str = "/dev/kmsg") -> KernelLog:
    """The kernel's log, from /dev/kmsg, dmesg or the journal. Raises Unread with the error of each.

    /dev/kmsg comes first: it needs no other program and is never older than the kernel's buffer.
    """
    readers: tuple[tuple[str, Callable[[], list[KernelLine]]], ...] = (
        (kmsg, lambda: _from_kmsg(kmsg, timeout)),
        ("dmesg", lambda: _from_command(run, ["dmesg"], timeout)),
        ("journalctl -k", lambda: _from_command(run, _JOURNAL, timeout)),
    )
    failed: list[str] = []
    for source, reader in readers:
        try:
            lines = reader()
        except (OSError, Unread) as error:
            failed.append(f"{source}: {error}")
            continue
        if lines:
            return KernelLog(source, tuple(lines), tuple(failed))
        failed.append(f"{source}: empty")
    raise Unread("the kernel's log cannot be read: " + "; ".join(failed))


_JOURNAL = ["journalctl", "-k", "-b", "-n", "5000", "-o", "short-monotonic", "--no-pager", "-q"]


def parse_kmsg_record(record: str) -> KernelLine | None:
    """C(prio,seq,usec,flags;text), with continuation lines of key=value pairs that are left out."""
    prefix, semicolon, text = record.partition(";")
    fields = prefix.split(",")
    microseconds = whole_number(fields[2]) if semicolon and len(fields) > 2 else None
    if microseconds is None:
        return None
    return KernelLine(microseconds / 1e6, text.split("\n", 1)[0])


def parse_line(line: str) -> KernelLine:
    """A line of dmesg or of the journal in short-monotonic."""
    match = _BRACKETED.match(line)
    if match is None:
        return KernelLine(None, line)
    seconds, fraction, text = match.groups()
    return KernelLine(float(f"{seconds}.{fraction}"), text)


def _from_kmsg(path: str, timeout: float) -> list[KernelLine]:
    """All records that exist now, read for no longer than the timeout even if new ones keep coming."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    lines: deque[KernelLine] = deque()
    deadline, held = time.monotonic() + timeout, 0
    try:
        while time.monotonic() < deadline:
            try:
                record = os.read(descriptor, _RECORD_BYTES)
            except OSError as error:
                if error.errno == errno.EPIPE:
                    continue  # overwritten meanwhile; the next read continues after the gap
                if error.errno == errno.EAGAIN:
                    break
                raise
            if not record:
                break
            line = parse_kmsg_record(record.decode("utf-8", "replace"))
            if line is not None:
                lines.append(line)
                held += len(line.text)
            while held > _MAX_BYTES:
                held -= len(lines.popleft().text)
    finally:
        os.close(descriptor)
    return list(lines)


def _from_command(run: Runner, argv: list[str], timeout: float) -> list[KernelLine]:
    outcome = run(argv, timeout)
    if outcome.complaint():
        raise Unread(outcome.complaint())
    return _join_continuations(outcome.stdout.decode("utf-8", "replace").split("\n"))


def _join_continuations(printed: list[str]) -> list[KernelLine]:
    """The printed messages: a line without a time continues the message before it.

    A message may contain line breaks, for example in a file name that a user chose; the rest is no message of its own.
    """
    lines: list[KernelLine] = []
    for line in map(parse_line, printed):
        if not line.text:
            continue
        if line.at is None and lines and lines[-1].at is not None:
            lines[-1] = KernelLine(lines[-1].at, f"{lines[-1].text}\n{line.text}"[:_RECORD_BYTES])
        else:
            lines.append(line)
    return lines
