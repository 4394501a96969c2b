# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bound for the memory that a task's process on the controller takes while a host answers.

Connection plugins read until a host has said everything. One that never stops would take all of the controller's.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

# Seconds of this process' own work between two looks: memory does not grow without any.
_LOOK_EVERY_S = 0.02
# ru_maxrss counts KiB on Linux and bytes on macOS.
_UNIT = 1 if sys.platform == "darwin" else 1024


@contextlib.contextmanager
def growing_at_most(size: int, error: Callable[[], Exception]) -> Iterator[None]:
    """Raise the error in the block when the process has grown by C(size) bytes.

    Whoever handles the error has an eighth of C(size) for it; it is raised again when that is used up too.
    Does nothing outside the main thread, where no signal arrives.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _own_status() as status:
        most = _held(status) + size

        def look(_number: int, _frame: Any) -> None:
            nonlocal most
            held = _held(status)
            if held > most:
                most = held + size // 8
                raise error()

        before = signal.signal(signal.SIGPROF, look)
        signal.setitimer(signal.ITIMER_PROF, _LOOK_EVERY_S, _LOOK_EVERY_S)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            # One that is on its way yet would end the process by its default action; to ignore it throws it away.
            signal.signal(signal.SIGPROF, signal.SIG_IGN)
            signal.signal(signal.SIGPROF, before)


@contextlib.contextmanager
def _own_status() -> Iterator[int | None]:
    """Open what the kernel says of this process; nothing where there is no procfs."""
    try:
        descriptor = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _held(status: int | None) -> int:
    """Count the bytes that this process holds now, in memory and in swap.

    Not the peak of getrusage(2), where it can be helped: Linux hands that of whoever started a program on to it
    (setmax_mm_hiwater_rss in exec_mmap), so below a large parent there would be no bound until the child is as large.
    """
    if status is None:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
    sizes = dict(line.split(b":", 1) for line in os.pread(status, 2**14, 0).splitlines())
    return 1024 * sum(int(sizes[name].split()[0]) for name in (b"VmRSS", b"VmSwap") if name in sizes)
