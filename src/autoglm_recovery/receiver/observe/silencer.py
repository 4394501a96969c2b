# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Silences in Alertmanager the alerts of what is being repaired, and ends that with the run, however it ends.

A thread of its own: neither a decision nor a run waits for it, and none fails because Alertmanager did.  Only the owner
of a run has its alerts silenced; any receiver of the database ends what is left of a run that is over.  What nobody
ends, because no receiver is there, ends by itself a little after the run's time-out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa
import structlog

from autoglm_recovery.knowledge.host import clocks
from autoglm_recovery.policy.alertmanager import Alertmanager
from autoglm_recovery.policy.model import Policy
from autoglm_recovery.receiver.observe import own_silences
from autoglm_recovery.receiver.observe.alertmanager import AlertmanagerAlerts, AlertmanagerClient, Unanswered
from autoglm_recovery.receiver.observe.silences import KnownSilence, read_silences
from autoglm_recovery.receiver.process.redact import without_secrets
from autoglm_recovery.receiver.process.worker import Worker
from autoglm_recovery.receiver.store import absences
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store import own_silences as rows
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.values.clock import Clock, wall

log = structlog.get_logger()

Rows = Sequence[sa.Row[Any]]

EVERY_S = 1.0
_AFTER_A_FAILURE_S = 5.0
_NOT_SET_UP_S = 5.0
_MOST_REQUESTS = 20


class Silencer:
    """Looks every second at what is planned and at what stands."""

    def __init__(
        self, database: Database, policy: Callable[[], Policy], owner: str, maker: str, clock: Clock = wall
    ) -> None:
        """``owner`` is whose runs are silenced for here, ``maker`` what stands in the silences as who made them."""
        self._database = database
        self._policy = policy
        self._owner = owner
        self._maker = maker
        self._clock = clock
        self.worker = Worker("silencer", self.step, stuck_after=self._longest_step)

    def start(self) -> None:
        """Begin."""
        self.worker.start()

    def stop(self) -> None:
        """End.  Silences of runs that go on stand; the next start ends them with their runs."""
        self.worker.stop()

    def step(self) -> float:
        """Do what is due; return in how many seconds to look again."""
        with self._database.reading() as connection:
            left = rows.not_ended(connection)
        setting = self._policy().monitoring.alertmanager
        over = [row for row in left if not row.goes_on]
        begins = [row for row in left if row.goes_on and row.silence is None and row.owner == self._owner]
        if setting is None or not setting.silence:
            begins = []  # the policy is another one than when they were planned
        asked = self._close_unasked(over)
        if not asked and not begins:
            return EVERY_S if left or self._policy().silences_own else _NOT_SET_UP_S
        if setting is None:
            self._failed(asked, "the policy names no Alertmanager any more")
            return _AFTER_A_FAILURE_S
        try:
            with AlertmanagerClient(setting.url, setting) as client:
                failures = self._begin_and_end(client, asked, begins)
        except Unanswered as error:
            failures = [(row, str(error)) for row in (*asked, *begins)]
        for row, why in failures:
            self._failed([row], why)
        return _AFTER_A_FAILURE_S if failures else EVERY_S

    def _begin_and_end(self, client: AlertmanagerClient, over: Rows, begins: Rows) -> list[tuple[sa.Row[Any], str]]:
        """Return what did not succeed, and why.

        Raises Unanswered where Alertmanager does not say what it has; what was ended by then is noted.
        """
        # What was asked for and not noted may stand all the same.
        known = _own_silences(client) if over or any(row.asked_at is not None for row in begins) else ()
        failures = []

        def attempt(do: Callable[[], None], row: sa.Row[Any]) -> None:
            try:
                do()
            except Unanswered as error:
                failures.append((row, str(error)))

        for row in over:
            standing = own_silences.standing(known, row, self._maker)
            attempt(partial(self._end_silences, client, row, standing), row)
        had = client.had() if begins else None
        for row in begins:
            standing = own_silences.standing(known, row, self._maker)
            if standing:
                attempt(partial(self._note_made, client, row, standing[0]), row)
            elif had is not None:
                attempt(partial(self._begin, client, row, had), row)
        return failures

    def _begin(self, client: AlertmanagerClient, row: sa.Row[Any], had: AlertmanagerAlerts) -> None:
        alert = had.alerts.get(row.fingerprint)
        with self._database.reading() as connection:
            stored = rows.labels_of(connection, row)
        if alert is None or (why := own_silences.why_not(alert, stored)) is not None:
            self._tell_end(row, f"{row.alert} is not silenced: {why if alert else 'Alertmanager has no such alert'}")
            return
        with self._database.writing() as connection:
            if not rows.ask(connection, row.id, self._owner, self._clock()):
                return
            # The watch over absences may look for the first time when the alert has ended, under this silence.
            absences.note_had(connection, row.incident_id, row.identity, self._clock())
        # By the clock of who keeps it: an end that has passed there is refused.
        ends = had.at + max(0.0, row.until - self._clock())
        comment = own_silences.comment_of(row)
        made = own_silences.body(alert.labels, by=self._maker, comment=comment, starts_at=had.at, until=ends)
        self._note_made(client, row, client.silence(made))

    def _note_made(self, client: AlertmanagerClient, row: sa.Row[Any], number: str) -> None:
        now = self._clock()
        with self._database.writing() as connection:
            noted = rows.made(connection, row.id, number)
            if noted:
                absences.note_had(connection, row.incident_id, row.identity, row.asked_at or now)
                until = clocks.time_of_day(row.until)
                text = f"{row.alert} is silenced in Alertmanager while run {row.run_id} goes on, until {until} at most"
                store.tell(connection, row.incident_id, now, "silence", f"{text}; silence {number}")
        if not noted:
            client.expire(number)

    def _end_silences(self, client: AlertmanagerClient, row: sa.Row[Any], standing: Sequence[str]) -> None:
        for number in standing:
            client.expire(number)
        if not standing and row.silence is None:
            self._tell_end(row, None)
            return
        how = "is over" if standing else "was over already"
        self._tell_end(row, f"run {row.run_id} has ended, and its silence of {row.alert} {how}")

    def _close_unasked(self, over: Rows) -> list[sa.Row[Any]]:
        """Close what Alertmanager was never asked for, or what has ended by itself; return what is to be ended."""
        now, left = self._clock(), []
        for row in over:
            if row.asked_at is None:
                self._tell_end(row, None)
            elif now > row.until + own_silences.MARGIN_S:
                self._tell_end(row, f"the silence of {row.alert} has ended by itself, as nobody could end it")
            else:
                left.append(row)
        return left

    def _tell_end(self, row: sa.Row[Any], text: str | None) -> None:
        now = self._clock()
        with self._database.writing() as connection:
            if rows.ended(connection, row.id, now) and text is not None:
                store.tell(connection, row.incident_id, now, "silence", text)

    def _failed(self, which: Rows, why: str) -> None:
        said = without_secrets(why)
        with self._database.writing() as connection:
            for row in which:
                what = "is not silenced" if row.goes_on else "may be silenced still"
                text = f"{row.alert} {what}: {said}; it is tried again, and nothing else waits for it"
                if rows.failed(connection, row.id, what, said):
                    store.tell(connection, row.incident_id, self._clock(), "silence", text)
                    log.warning("Alertmanager could not be told", run=row.run_id, alert=row.alert, reason=said)

    def _longest_step(self) -> float:
        setting: Alertmanager | None = self._policy().monitoring.alertmanager
        return 60.0 + (_MOST_REQUESTS * 4 * setting.timeout.total_seconds() if setting else 0.0)


def _own_silences(client: AlertmanagerClient) -> tuple[KnownSilence, ...]:
    try:
        return read_silences(client.silences())
    except ValueError as error:
        raise Unanswered(str(error)[:300]) from error
