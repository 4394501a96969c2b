# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks Prometheus who of the fleet is heard of, in a thread of its own, so that no page waits for it."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import structlog

from autoglm_recovery import bounded_http
from autoglm_recovery.policy.proof import Prometheus
from autoglm_recovery.receiver.fleet import fleet_http, presence
from autoglm_recovery.receiver.fleet.presence import NOT_SET_UP, PresenceRoll
from autoglm_recovery.receiver.fleet.site_config import SiteConfig
from autoglm_recovery.receiver.process.worker import Worker
from autoglm_recovery.receiver.values.clock import wall

log = structlog.get_logger()

# Enough for some ten thousand targets.
LARGEST_ANSWER = 16 << 20
_NOT_SET_UP_S = 5.0
_LOOKS_MISSED = 4
# An answer has so many time-outs for its body, after one for its head with all that comes before it.
_TIMEOUTS_OF_A_BODY = 4


class PresenceWatch:
    """Keeps the newest roll."""

    def __init__(self, config: Callable[[], SiteConfig]) -> None:
        self._config = config
        self._failing = False
        self.now = PresenceRoll()
        self.worker = Worker("presence", self._step, stuck_after=self._longest_look)

    def start(self) -> None:
        """Begin."""
        self.worker.start()

    def stop(self) -> None:
        """End."""
        self.worker.stop()

    def _step(self) -> float:
        config = self._config()
        setting = config.policy.monitoring.prometheus
        if setting is None:
            self.now = NOT_SET_UP
            return _NOT_SET_UP_S
        every, timeout = setting.every.total_seconds(), setting.timeout.total_seconds()
        try:
            answer = _ask(setting)
            good_for = _LOOKS_MISSED * (every + timeout)
            self.now = presence.looked(self.now, answer, config.fleet, wall(), good_for)
        except (httpx.HTTPError, OSError, ValueError) as error:
            why = f"{type(error).__name__}: {error}"[:300]
            if not self._failing:
                log.warning("who is heard of cannot be asked for", prometheus=setting.url, reason=why)
            self._failing = True
            self.now = presence.cannot_ask(self.now, f"Prometheus cannot be asked: {why}", wall())
        except BaseException as error:
            why = f"what Prometheus says cannot be read: {type(error).__name__}"
            self.now = presence.cannot_ask(self.now, why, wall())
            raise
        else:
            self._failing = False
        return every

    def _longest_look(self) -> float:
        setting = self._config().policy.monitoring.prometheus
        return 60.0 + ((_TIMEOUTS_OF_A_BODY + 3) * setting.timeout.total_seconds() if setting else 0.0)


def _ask(setting: Prometheus) -> object:
    with (
        fleet_http.client(setting.url, setting) as client,
        client.stream("POST", "/api/v1/query", data={"query": presence.QUERY}) as answer,
    ):
        answer.raise_for_status()
        within_s = _TIMEOUTS_OF_A_BODY * setting.timeout.total_seconds()
        return bounded_http.document(bounded_http.whole(answer, LARGEST_ANSWER, within_s))
