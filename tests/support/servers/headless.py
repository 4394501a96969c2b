# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process whose first thread has ended and whose second goes on, which the kernel shows as a zombie."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.servers.waiting import until

# The first thread leaves by the system call that ends a thread; Python's own exit would end the process.
_PROGRAM = """
import ctypes, platform, sys, threading, time
file = open(sys.argv[1])
threading.Thread(target=time.sleep, args=(3600,)).start()
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)
"""


@contextmanager
def headless(opened: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start one that holds a file open; it is killed in the end."""
    with subprocess.Popen([sys.executable, "-c", _PROGRAM, opened]) as process:
        try:
            stat = Path(f"/proc/{process.pid}/stat")
            until("its first thread has ended", lambda: stat.read_text().rpartition(")")[2].split()[0] == "Z")
            yield process
        finally:
            process.kill()
