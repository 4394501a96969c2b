# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open the database and bring its schema up to date."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"

# SQLite makes a writer that finds the lock taken sleep for a while; in one process a lock of our own wakes it at once.
_BUSY_TIMEOUT_MS = 10_000


class Database:
    """Transactions of three kinds: C(reading), C(writing), and C(noting) for what could be worked out again.

    SQLite runs with a write-ahead log so that readers never wait for the writer, and with C(synchronous=FULL) so that
    a commit has reached the disk: in WAL mode C(NORMAL) may lose the last commits at a power cut, though never the
    order of them (sqlite.org/wal.html).  C(noting) takes that risk; the next C(writing) makes good what came before.
    """

    def __init__(self, url: str) -> None:
        self._lock = threading.Lock()
        if url.startswith("sqlite"):
            self.engine = _sqlite(url, "FULL")
            self._noter = _sqlite(url, "NORMAL")
        else:
            self.engine = self._noter = sa.create_engine(url, pool_pre_ping=True)
        self._reader = self.engine.execution_options(autoglm_reading=True)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Begin a transaction that only reads."""
        with self._reader.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Begin a transaction that is on disk once it has ended without an error."""
        with self._alone(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def noting(self) -> Iterator[sa.Connection]:
        """Begin a transaction that survives a crash of this process, but perhaps not a power cut."""
        with self._alone(), self._noter.begin() as connection:
            yield connection

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self.engine.dialect.name != "sqlite":
            yield
            return
        with self._lock:
            yield

    def migrate(self) -> None:
        """Bring the schema to this release's, from any earlier release's or from nothing."""
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with self.writing() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def close(self) -> None:
        """Give back all connections."""
        self.engine.dispose()
        self._noter.dispose()


def _sqlite(url: str, synchronous: str) -> sa.Engine:
    engine = sa.create_engine(url, connect_args={"check_same_thread": False}, pool_size=8)
    pragmas = ("journal_mode=WAL", f"synchronous={synchronous}", f"busy_timeout={_BUSY_TIMEOUT_MS}", "foreign_keys=ON")

    def prepare(connection: Any, _record: object) -> None:
        # The driver's own transaction handling begins late and reads stale: we say BEGIN ourselves.
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    sa.event.listen(engine, "connect", prepare)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _begin_sqlite(connection: sa.Connection) -> None:
    # A transaction that may write takes the lock at once: to upgrade a read lock later can fail without waiting.
    reading = connection.get_execution_options().get("autoglm_reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
