# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work in a child process that is killed at a random moment, hundreds of times."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable


class Killer:
    """Kills at moments that come before the end of the work about as often as after it."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - for variety, not for secrets
        self._span = 0.05
        self.ended = 0

    def kill(self, work: Callable[[], None]) -> None:
        """Run work in a child, and kill -9 it after a while."""
        pid = os.fork()
        if pid == 0:
            try:
                work()
            except BaseException:  # noqa: BLE001 - a child never returns into pytest
                os._exit(1)
            os._exit(0)
        time.sleep(self._chance.random() * self._span)  # the moment of the kill is what the test varies
        os.kill(pid, signal.SIGKILL)
        _pid, status = os.waitpid(pid, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0, "the work failed by itself"
            self.ended += 1
        self._span *= 0.8 if os.WIFEXITED(status) else 1.1
