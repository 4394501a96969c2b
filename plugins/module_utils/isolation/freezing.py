# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Freezing all processes of a service by SIGSTOP, and letting them go on. What is frozen is read, and sends nothing.

By signal, not by control group: that works on both versions, and for a process without a group of its own.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..host.unread import Unread
from ..services import process
from .plan import ProcessSeen

_ROUNDS = 40
_PAUSE = 0.05


def stop(look: Callable[[], Sequence[ProcessSeen]], proc: Path = Path("/proc")) -> str:
    """Stop all, also those that come meanwhile. Returns which are not stopped in the end; empty for none.

    look: reads all of them anew.  Raises Unread.
    """
    going: list[int] = []
    quiet = 0
    for _round in range(_ROUNDS):
        awake = [each for each in look() if not each.stopped]
        for each in awake:
            _signal(proc, each, signal.SIGSTOP)
        going = [each.pid for each in awake]
        # Twice in a row: one that was born while the first look went on is seen by the second.
        quiet = 0 if going else quiet + 1
        if quiet == 2:
            return ""
        time.sleep(_PAUSE)
    return ", ".join(map(str, going)) or "nobody knows which"


def go_on(processes: Sequence[ProcessSeen], proc: Path = Path("/proc")) -> None:
    """Let those that are stopped go on."""
    for each in processes:
        if each.stopped:
            _signal(proc, each, signal.SIGCONT)


def _signal(proc: Path, wanted: ProcessSeen, number: signal.Signals) -> None:
    """Send a signal to that process and no other that has its number by now."""
    try:
        with process.held(wanted.pid) as descriptor:
            found = process.read(proc, wanted.pid)
            if found is not None and found.began == wanted.began:
                process.send(descriptor, number)
    except ProcessLookupError:
        pass
    except OSError as error:
        raise Unread(f"process {wanted.pid}: {error.strerror}") from error
