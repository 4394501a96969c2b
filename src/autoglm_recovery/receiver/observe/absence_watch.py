# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alerts whose end Alertmanager does not deliver: it is asked which of them it has still, in a thread of its own.

An alert that ends while it is silenced is never told of as ended (seen with Alertmanager 0.25).  What Alertmanager has
no longer is noted as *absent*, an end that proves nothing: the service itself is asked then, as after the end of any
alert that proves nothing.  What it has again after that is taken in as if it had been delivered.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

import sqlalchemy as sa
import structlog

from autoglm_recovery.policy.alertmanager import Alertmanager
from autoglm_recovery.policy.model import Policy
from autoglm_recovery.receiver.observe.alertmanager import (
    ActiveAlert,
    AlertmanagerAlerts,
    AlertmanagerClient,
    Unanswered,
)
from autoglm_recovery.receiver.process.worker import Worker
from autoglm_recovery.receiver.store import absences
from autoglm_recovery.receiver.store.absences import FiringAlert
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.values.clock import Clock, wall

log = structlog.get_logger()

_NOT_SET_UP_S = 5.0
_SHORTEST_PAUSE_S = 0.5
_REQUESTS = 2
# One answer may be of another Alertmanager behind the same name, or of one that is just being replaced.
LOOKS = 2


def lacking(fired: Iterable[FiringAlert], had: AlertmanagerAlerts, times: Mapping[int, int]) -> dict[int, int]:
    """Count, for each alert that Alertmanager has had before, the looks in a row in which it lacks it.

    Where it has another alert under the fingerprint, nobody can say that it lacks this one.
    """
    gone = [each.id for each in fired if each.active_at is not None and each.fingerprint not in had.alerts]
    return {number: times.get(number, 0) + 1 for number in gone}


def found(each: FiringAlert, had: AlertmanagerAlerts) -> ActiveAlert | None:
    """Return what Alertmanager has of an alert: under its fingerprint, and with its labels."""
    there = had.alerts.get(each.fingerprint)
    return there if there is not None and there.is_stored_as(each.labels) else None


class AbsenceWatch:
    """Looks every now and then."""

    def __init__(
        self, database: Database, policy: Callable[[], Policy], heard: Callable[[], None], clock: Clock = wall
    ) -> None:
        """``heard`` is called when an alert was noted as absent, or is there again."""
        self._database = database
        self._policy = policy
        self._heard = heard
        self._clock = clock
        # In how many looks in a row an alert, by the number of its row, was lacking.
        self._times: Mapping[int, int] = {}
        self._asked_of: str | None = None
        self._told: str | None = None
        self.worker = Worker("absences", self._step, stuck_after=self._longest_look, first_pause_s=_NOT_SET_UP_S)

    def start(self) -> None:
        """Begin."""
        self.worker.start()

    def stop(self) -> None:
        """End."""
        self.worker.stop()

    def look(self) -> float:
        """Ask once; return in how many seconds to ask again."""
        setting = self._policy().monitoring.alertmanager
        if setting is None:
            self._times = {}
            return _NOT_SET_UP_S
        if setting.url != self._asked_of:
            self._times, self._asked_of = {}, setting.url
        every = setting.every.total_seconds()
        # Before it is asked: what was delivered to us by now it has, or had.
        asked_at = self._clock()
        with self._database.reading() as connection:
            fired, absent = absences.firing(connection), absences.absent(connection, asked_at)
        if not fired and not absent:
            self._times = {}
            return every
        try:
            had = self._ask_alertmanager(setting)
        except Unanswered as error:
            self._restart_count(str(error))
            return every
        self._record_absences(setting, fired, absent, had, asked_at)
        return every

    def _ask_alertmanager(self, setting: Alertmanager) -> AlertmanagerAlerts:
        with AlertmanagerClient(setting.url, setting) as client:
            return client.had()

    def _record_absences(
        self,
        setting: Alertmanager,
        fired: list[FiringAlert],
        absent: list[FiringAlert],
        had: AlertmanagerAlerts,
        asked_at: float,
    ) -> None:
        seen = [each.id for each in fired if each.unseen(asked_at) and found(each, had)]
        back = [(each, there.starts_at) for each in absent if (there := found(each, had))]
        doubt = had.doubt(setting.complete_after.total_seconds())
        if doubt is None:
            self._times, self._told = lacking(fired, had, self._times), None
        else:
            self._restart_count(doubt)
        gone = [number for number, times in self._times.items() if times >= LOOKS]
        if not seen and not back and not gone:
            return
        now = self._clock()
        with self._database.writing() as connection:
            absences.note_active(connection, seen, asked_at)
            news = [absences.note_absent(connection, number, now) for number in gone]
            news += [absences.note_back(connection, each.id, starts_at, now) for each, starts_at in back]
        self._times = {number: times for number, times in self._times.items() if number not in gone}
        if any(news):
            log.info("Alertmanager was asked what it has", absent=len(gone), again=len(back))
            self._heard()

    def _restart_count(self, why: str) -> None:
        """Take nothing for ended, and count anew: what was lacking before may have been lacking for this reason."""
        self._times = {}
        if why.partition(":")[0] != self._told:
            log.warning("what Alertmanager lacks is not known to have ended", alertmanager=self._asked_of, reason=why)
        self._told = why.partition(":")[0]

    def _step(self) -> float:
        begun = time.monotonic()
        try:
            pause = self.look()
        except BaseException as error:
            self._times = {}
            if isinstance(error, sa.exc.SQLAlchemyError):
                log.debug("nothing was noted", reason=str(error))
            raise
        return max(_SHORTEST_PAUSE_S, pause - (time.monotonic() - begun))

    def _longest_look(self) -> float:
        setting = self._policy().monitoring.alertmanager
        return 60.0 + (4 * _REQUESTS * setting.timeout.total_seconds() if setting else 0.0)
