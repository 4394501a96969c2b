# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find and end what the lab started on this machine (the receiver, its playbooks, ssh).

Everything started by the lab inherits one environment variable. It is how a later command finds what a
killed run has left, whatever became of parents, sessions and process groups, and touches nothing else.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from .places import MARK, STATE
from .waiting import wait_for


def mark() -> None:
    """Let every process that we start from now on be known as ours."""
    os.environ[MARK] = str(STATE)


def marked() -> list[int]:
    """List the processes that were started with the mark, this one and its parents never among them."""
    wanted = f"{MARK}={STATE}".encode()
    spared = _ourselves()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) not in spared:
            with contextlib.suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def _ourselves() -> set[int]:
    chain, pid = set(), os.getpid()
    while pid > 1:
        chain.add(pid)
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        pid = int(status.rpartition(")")[2].split()[1])
    return chain


def end_all() -> int:
    """Ask them to end, insist after a while, and return how many there were."""
    first = marked()
    for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        for pid in marked():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        with contextlib.suppress(Exception):
            wait_for("our processes to end", lambda: not marked(), patience, every=0.1)
            break
    return len(first)
