# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hear of what other receivers have committed, with PostgreSQL's LISTEN.

A connection of its own, because the pool's come and go.  News that is missed while it is broken costs a delay, not an
alert: whoever reconnects looks at everything, and the loop looks now and then by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import psycopg
import sqlalchemy as sa
import structlog

from autoglm_recovery.receiver.store import engines
from autoglm_recovery.receiver.store.database import CHANNEL
from autoglm_recovery.receiver.store.deadlines import Deadlines

# Without news the connection is tried this often, and while there is none a new one is.
_TRY_EVERY_S = 15.0
_AGAIN_AFTER_S = 1.0
_ANSWER_WITHIN_S = 5.0

log = structlog.get_logger()


class Listener:
    """Calls C(wake) after each commit of news on a shared database."""

    def __init__(self, url: sa.URL, wake: Callable[[], None]) -> None:
        self._words = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._wake = wake
        self._stopping = threading.Event()
        self._deadlines = Deadlines()
        self._connection: psycopg.Connection[Any] | None = None
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self._stopping.set()
        self._thread.join()
        self._deadlines.close()

    def _run(self) -> None:
        failing = False
        while not self._stopping.is_set():
            try:
                with psycopg.connect(self._words, autocommit=True, **engines.connect_arguments()) as connection:
                    self._ask(connection, f"LISTEN {CHANNEL}")
                    if failing:
                        log.info("listening to the database again")
                    failing = False
                    self._wake()
                    self._listen(connection)
            except (psycopg.Error, OSError) as error:
                if not failing:
                    log.warning("news of other receivers is not heard", error=str(error).partition("\n")[0])
                failing = True
                self._stopping.wait(_AGAIN_AFTER_S)

    def _listen(self, connection: psycopg.Connection[Any]) -> None:
        quiet_s = 0.0
        while not self._stopping.is_set():
            heard = False
            # In short waits, so that a receiver that is told to stop does.
            for _ in connection.notifies(timeout=_AGAIN_AFTER_S, stop_after=1):
                heard = True
            if heard:
                self._wake()
            quiet_s = 0.0 if heard else quiet_s + _AGAIN_AFTER_S
            if quiet_s >= _TRY_EVERY_S:
                self._ask(connection, "SELECT 1")
                quiet_s = 0.0

    def _ask(self, connection: psycopg.Connection[Any], statement: str) -> None:
        with self._deadlines.on(connection.pgconn.socket, _ANSWER_WITHIN_S):
            connection.execute(statement.encode())
