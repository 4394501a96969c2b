# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hear of what other receivers have committed, with PostgreSQL's LISTEN.

A connection of its own, because the pool's come and go.  News that is missed while it is broken costs a delay, not an
alert: whoever reconnects looks at everything, and the loop looks now and then by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import sqlalchemy as sa

from autoglm_recovery.receiver.process.worker import Worker
from autoglm_recovery.receiver.store import engines
from autoglm_recovery.receiver.store.database import CHANNEL
from autoglm_recovery.receiver.store.deadlines import Deadlines

# Without news the connection is tried this often, and while there is none a new one is.
_TRY_EVERY_S = 15.0
_A_WHILE_S = 1.0
_LONGEST_PAUSE_S = 5.0
_ANSWER_WITHIN_S = 5.0


class Listener:
    """Calls ``wake`` after each commit of news on a shared database."""

    def __init__(self, url: sa.URL, wake: Callable[[], None]) -> None:
        self._words = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._wake = wake
        self._deadlines = Deadlines()
        self._connection: psycopg.Connection[Any] | None = None
        self._quiet_s = 0.0
        self.worker = Worker("listener", self._step, longest_pause_s=_LONGEST_PAUSE_S)

    def start(self) -> None:
        """Begin to listen."""
        self.worker.start()

    def stop(self) -> None:
        """Listen no more."""
        self.worker.stop()
        self._hang_up()
        self._deadlines.close()

    def _step(self) -> float:
        try:
            if self._connection is None:
                self._connection = psycopg.connect(self._words, autocommit=True, **engines.connect_arguments())
                self._ask(self._connection, f"LISTEN {CHANNEL}")
                self._quiet_s = 0.0
                self._wake()
            self._listen(self._connection)
        except BaseException:
            self._hang_up()
            raise
        return 0.0

    def _listen(self, connection: psycopg.Connection[Any]) -> None:
        heard = False
        # In short waits, so that a receiver that is told to stop does.
        for _ in connection.notifies(timeout=_A_WHILE_S, stop_after=1):
            heard = True
        if heard:
            self._wake()
        self._quiet_s = 0.0 if heard else self._quiet_s + _A_WHILE_S
        if self._quiet_s >= _TRY_EVERY_S:
            self._ask(connection, "SELECT 1")
            self._quiet_s = 0.0

    def _ask(self, connection: psycopg.Connection[Any], statement: str) -> None:
        with self._deadlines.on(connection.pgconn.socket, _ANSWER_WITHIN_S):
            connection.execute(statement.encode())

    def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
