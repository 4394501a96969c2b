# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Until when a run may go on, told by its receiver to its supervisor.

It is the modification time of the file ``lease`` in the run's directory, as seconds of ``CLOCK_BOOTTIME``: setting it
needs no block of a disk that may be full, and nobody ever reads half of it.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from autoglm_recovery.knowledge.host import whole_file

_FILE = "lease"


def now() -> float:
    """Return seconds since this machine was booted, those included in which it slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def allow(directory: Path, until: float) -> None:
    """Let a run go on until then.  A directory that is not here is on another machine, or not yet made."""
    with suppress(FileNotFoundError):
        os.utime(directory / _FILE, (until, until))


def begin(directory: Path, until: float) -> None:
    """Let a run go on until then, for the first time or again."""
    with whole_file.beside(directory / _FILE, 0o600) as new:
        # A fresh file's time is the calendar's, which is far in this clock's future: nobody may see that.
        os.utime(new.file.fileno(), (until, until))
        new.take_place()


def until(directory: Path) -> float:
    """Return until when a run may go on; for ever ago if nobody ever said."""
    try:
        return (directory / _FILE).stat().st_mtime
    except FileNotFoundError:
        return 0.0
