# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""python -m tests.support.fake_vllm PORT FILE: its core is dead while FILE is there; it takes FILE away at start."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from . import FakeVllm, Rank, State

# A dead core completes nothing, not even what nobody waits for any more: its counters would tell of life.
NEVER = 24 * 3600.0

if __name__ == "__main__":
    port, file = int(sys.argv[1]), Path(sys.argv[2])
    hung = file.exists()
    file.unlink(missing_ok=True)
    with FakeVllm(State([Rank(waiting=3 if hung else 0)], completion=NEVER if hung else 0.0), port).serving():
        threading.Event().wait()
