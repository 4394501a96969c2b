# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's own log, from whichever of its three readers works here, with the clock that systemd also tells."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from typing import Callable

from .command import Runner
from .unread import Unread

_RECORD_BYTES = 8192  # the kernel's own limit for one /dev/kmsg record
_MAX_RECORDS = 200_000
_BRACKETED = re.compile(r"\[\s*(\d+)\.(\d{1,6})\]\s?(?:[^:\s]+ kernel: )?(.*)")


@dataclass(frozen=True)
class KernelLine:
    """One line. C(at) is seconds of the monotonic clock since boot, or None where the line does not tell."""

    at: float | None
    text: str


@dataclass(frozen=True)
class KernelLog:
    """The lines, oldest first, where they come from, and which readers failed before and why."""

    source: str
    lines: tuple[KernelLine, ...]
    failed: tuple[str, ...] = ()

    def as_text(self) -> str:
        stamped = (f"[{line.at:13.6f}] {line.text}" if line.at is not None else line.text for line in self.lines)
        return "".join(f"{line}\n" for line in stamped)


def read(run: Runner, timeout: float, kmsg: str = "/dev/kmsg") -> KernelLog:
    """The kernel's log, from /dev/kmsg, dmesg or the journal. Raises Unread with what each of them said.

    /dev/kmsg comes first: it needs no other program and is never older than the kernel's buffer.
    """
    readers: tuple[tuple[str, Callable[[], list[KernelLine]]], ...] = (
        (kmsg, lambda: _from_kmsg(kmsg)),
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
    if not semicolon or len(fields) < 3 or not fields[2].isdigit():
        return None
    return KernelLine(int(fields[2]) / 1e6, text.split("\n", 1)[0])


def parse_line(line: str) -> KernelLine:
    """A line of dmesg or of the journal in short-monotonic."""
    match = _BRACKETED.match(line)
    if match is None:
        return KernelLine(None, line)
    seconds, fraction, text = match.groups()
    return KernelLine(float(f"{seconds}.{fraction}"), text)


def _from_kmsg(path: str) -> list[KernelLine]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    lines: list[KernelLine] = []
    try:
        for _record in range(_MAX_RECORDS):
            try:
                record = os.read(descriptor, _RECORD_BYTES)
            except OSError as error:
                if error.errno == errno.EPIPE:
                    continue  # overwritten while we read; the next read goes on behind the gap
                if error.errno == errno.EAGAIN:
                    break
                raise
            if not record:
                break
            line = parse_kmsg_record(record.decode("utf-8", "replace"))
            if line is not None:
                lines.append(line)
    finally:
        os.close(descriptor)
    return lines


def _from_command(run: Runner, argv: list[str], timeout: float) -> list[KernelLine]:
    outcome = run(argv, timeout)
    if outcome.complaint():
        raise Unread(outcome.complaint())
    return [parse_line(line) for line in outcome.stdout.decode("utf-8", "replace").splitlines()]
