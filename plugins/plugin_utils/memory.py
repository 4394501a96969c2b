# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A limit for the memory of a task's process on the controller while a host answers.

Connection plugins read an answer to its end. An answer without end would use up the controller's memory.
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

# Seconds of this process' CPU time between two checks: memory does not grow without CPU time.
_LOOK_EVERY_S = 0.02
# ru_maxrss counts KiB on Linux and bytes on macOS.
_UNIT = 1 if sys.platform == "darwin" else 1024


@contextlib.contextmanager
def growing_at_most(size: int, error: Callable[[], Exception]) -> Iterator[None]:
    """Raise the error inside the block once the process has grown by C(size) bytes.

    The handler of the error may use an eighth of C(size); the error is raised again after that.
    Does nothing outside the main thread, where no signal arrives.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _own_status() as status:
        most = _bytes_held(status) + size

        def look(_number: int, _frame: Any) -> None:
            nonlocal most
            held = _bytes_held(status)
            if held > most:
                most = held + size // 8
                raise error()

        before = signal.signal(signal.SIGPROF, look)
        signal.setitimer(signal.ITIMER_PROF, _LOOK_EVERY_S, _LOOK_EVERY_S)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            # A pending signal would end the process by its default action; ignoring the signal discards it.
            signal.signal(signal.SIGPROF, signal.SIG_IGN)
            signal.signal(signal.SIGPROF, before)


@contextlib.contextmanager
def _own_status() -> Iterator[int | None]:
    """Open the kernel's status file of this process; None where there is no procfs."""
    try:
        descriptor = os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _bytes_held(status: int | None) -> int:
    """Count the bytes that this process holds now, in memory and in swap.

    The peak of getrusage(2) is only used where there is no status file: a program inherits its parent's peak on Linux
    (setmax_mm_hiwater_rss in exec_mmap), so below a large parent the limit would not work until the child is as large.
    """
    if status is None:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
    sizes = dict(line.split(b":", 1) for line in os.pread(status, 2**14, 0).splitlines())
    return 1024 * sum(int(sizes[name].split()[0]) for name in (b"VmRSS", b"VmSwap") if name in sizes)
