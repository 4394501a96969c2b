# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes from the database what retention lets go, in a thread of its own and in short transactions."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from autoglm_recovery.policy.retention import Retention
from autoglm_recovery.receiver.process.worker import Worker
from autoglm_recovery.receiver.store import retention
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.values.clock import Clock, wall

log = structlog.get_logger()

_EVERY_S = 600.0
# Between two pieces, so that whoever waits to write gets its turn.
_BETWEEN_S = 0.05
# At the start there is enough to do.
_FIRST_AFTER_S = 60.0


class Forgetting:
    """Looks every ten minutes, and goes on until nothing is left that may go."""

    def __init__(self, database: Database, kept: Callable[[], Retention], clock: Clock = wall) -> None:
        """``kept`` returns what the policy in force says."""
        self._database = database
        self._kept = kept
        self._clock = clock
        self._gone = 0
        self.worker = Worker("forgetting", self.step, first_after_s=_FIRST_AFTER_S)

    def start(self) -> None:
        """Begin."""
        self.worker.start()

    def stop(self) -> None:
        """End after the piece that is going."""
        self.worker.stop()

    def step(self) -> float:
        """Remove one piece; return in how many seconds to go on."""
        kept, now = self._kept(), self._clock()
        ended_before, came_before = now - kept.incidents.total_seconds(), now - kept.alerts.total_seconds()
        for forget, before in (
            (retention.forget_incidents, ended_before),
            (retention.forget_loose_alerts, came_before),
            (retention.forget_rejects, came_before),
        ):
            with self._database.noting() as connection:
                gone = forget(connection, before)
            if gone:
                self._gone += gone
                return _BETWEEN_S
        if self._gone:
            log.info("forgot what was over for long", rows=self._gone)
            self._gone = 0
        return _EVERY_S
