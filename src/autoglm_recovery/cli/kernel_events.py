# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""C(autoglm kernel-events): log lines on standard input, one JSON object per line on standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from autoglm_recovery.knowledge.faults.line_stream import encode_stream

_CHUNK = 1 << 18


def kernel_events() -> None:
    """Say of each kernel log line on standard input what fault it tells: one JSON object a line, in order.

    Takes dmesg, journalctl, syslog and /dev/kmsg as they are; works live behind "dmesg -w".
    """
    try:
        for encoded in encode_stream(_chunks(sys.stdin.fileno())):
            _write(sys.stdout.fileno(), encoded)
    except BrokenPipeError:
        # The reader has gone. Python would complain once more when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        return  # how a person ends "dmesg -w | autoglm kernel-events"


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
