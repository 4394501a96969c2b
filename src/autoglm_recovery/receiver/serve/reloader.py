# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read policy and inventory again, now and then or when told to; what is bad leaves the old in force."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from autoglm_recovery.receiver.access.entries import AuthError
from autoglm_recovery.receiver.access.named_files import judge_named_files
from autoglm_recovery.receiver.fleet.ansible import TIMEOUT_S
from autoglm_recovery.receiver.fleet.site_config import CurrentConfig
from autoglm_recovery.receiver.observe.metrics import Metrics
from autoglm_recovery.receiver.process.service_manager import ServiceManager
from autoglm_recovery.receiver.process.worker import Worker

# A new host or a repaired playbook directory is seen after this long, or at once with SIGHUP.
READ_AGAIN_EVERY_S = 300.0

log = structlog.get_logger()


class Reloader:
    """Reads the site configuration again when its files change.  ``changed`` is called after each reading."""

    def __init__(
        self,
        config: CurrentConfig,
        metrics: Metrics,
        changed: Callable[[], None],
        manager: ServiceManager | None = None,
    ) -> None:
        self._config = config
        self._metrics = metrics
        self._changed = changed
        self._manager = manager or ServiceManager()
        self._asked = False
        self._told: list[str] = []
        self.worker = Worker(
            "reader", self._step, stuck_after=lambda: 3.0 * TIMEOUT_S, first_after_s=READ_AGAIN_EVERY_S
        )

    def start(self) -> None:
        """Begin; the configuration was read a moment ago."""
        self.worker.start()

    def stop(self) -> None:
        """End."""
        self.worker.stop()

    def read_now(self) -> None:
        """Read again now.  May be called by the handler of a signal."""
        self._asked = True
        self.worker.wake()

    def _step(self) -> float:
        asked, self._asked = self._asked, False
        if not asked:
            return self._read(asked=False)
        self._manager.reading()
        try:
            return self._read(asked=True)
        finally:
            self._manager.ready()

    def _read(self, *, asked: bool) -> float:
        wrong: str | None = "it could not be read"
        try:
            wrong = self._config.read_again()
        finally:
            if wrong:
                self._metrics.config_kept()
            else:
                self._metrics.config_read(len(self._config.now.fleet.hosts))
        if wrong:
            log.error("kept the old policy and inventory", wrong=wrong)
        elif asked:
            log.info("policy and inventory were read again")
        self._judge_files()
        self._changed()
        return READ_AGAIN_EVERY_S

    def _judge_files(self) -> None:
        """Say what would keep a receiver from starting.  One that runs goes on: what it has read it has read."""
        try:
            told = judge_named_files(self._config.now.policy)
        except AuthError as error:
            told = [str(error)]
        for each in told if told != self._told else ():
            log.warning("a file is open to others", what=each)
        self._told = told
