# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One lab per machine: its containers, network and memory groups have fixed names."""

from __future__ import annotations

import fcntl
import os
from typing import IO

from .errors import LabError
from .places import LOCK


def take() -> IO[str]:
    """Hold the machine's lab for as long as the returned file is open; the kernel lets go if we are killed."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    file = LOCK.open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        raise LabError(f"process {holder} uses this machine's lab; wait until it ends, or stop it") from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
