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

import psutil

from tests.support.servers.leftovers import carrying

from .places import MARK, STATE
from .waiting import wait_for


def mark() -> None:
    """Let every process that we start from now on be known as ours."""
    os.environ[MARK] = str(STATE)


def marked() -> list[psutil.Process]:
    """List the processes that were started with the mark, this one and its parents never among them."""
    spared = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [process for process, value in carrying(MARK) if value == str(STATE) and process.pid not in spared]


def end_all() -> int:
    """Ask them to end, insist after a while, and return how many there were."""
    first = marked()
    for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        for process in marked():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        with contextlib.suppress(Exception):
            wait_for("our processes to end", lambda: not marked(), patience, every=0.1)
            break
    return len(first)
