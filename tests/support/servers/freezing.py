# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stopping a process by SIGSTOP, as a hang does: it is there, and does nothing."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.support.servers.waiting import until


def freeze(pid: int) -> None:
    """Stop a process, and wait until each of its threads stands: on a busy machine one may answer for a while yet."""
    os.kill(pid, signal.SIGSTOP)
    until(f"the threads of {pid} to stand", lambda: _states(pid) <= {"T"})


def _states(pid: int) -> set[str]:
    """Return the states of a process's threads, as the kernel writes them after the name in brackets."""
    stats = [path.read_text("utf-8") for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return {stat.rpartition(")")[2].split()[0] for stat in stats}
