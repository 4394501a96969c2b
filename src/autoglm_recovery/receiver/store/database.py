# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions on the database, and its schema brought up to date."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from autoglm_recovery.receiver.process.worker import Worker
from autoglm_recovery.receiver.store import engines
from autoglm_recovery.receiver.store.deadlines import Deadlines

MIGRATIONS = Path(__file__).parent / "migrations"

# The channel of LISTEN and NOTIFY, and the advisory lock that gives the replicas one writer at a time.
CHANNEL = "autoglm_recovery"
_ONE_WRITER = 0x6175746F676C6D  # "autoglm"

# Longer than any transaction of ours takes, and short enough for a storm to be taken after a cut network.
LONGEST_TRANSACTION_S = 15.0
# A migration may rewrite a table of years, and a restore fills all tables.
LONGEST_MIGRATION_S = 3600.0


class Database:
    """Transactions of four kinds: ``reading``, ``writing``, ``noting`` and ``appending``.  None takes long.

    ``writing`` and ``noting`` are one at a time over all receivers of a database: what they read stays true until they
    end.  SQLite gives that by its single writer, PostgreSQL by an advisory lock.  ``noting`` is for what could be
    worked out again: it survives a crash of this process, but perhaps not a power cut, and costs no fsync.
    ``appending`` waits for nobody on PostgreSQL: it is for deliveries and leases, whose statements are right whatever
    else goes on.

    SQLite runs with a write-ahead log so that readers never wait for the writer, and with ``synchronous=FULL`` so that
    a commit has reached the disk: in WAL mode ``NORMAL`` may lose the last commits at a power cut, though never the
    order of them (sqlite.org/wal.html).  PostgreSQL's ``synchronous_commit=off`` means the same.

    A transaction that takes too long loses its connection, so that a network that swallows everything is an error that
    passes, and not a thread that waits for ever.  Only ``migrate`` and ``restoring``, beside which no receiver works,
    may take an hour.
    """

    def __init__(self, url: str, *, lasting: bool = True) -> None:
        """Open nothing yet.  One that is not ``lasting`` is thrown away in the end, and waits for no disk.

        Raises ValueError if the URL is none, or of a database that is not supported.
        """
        self.url = engines.parse(url)
        self._lock = threading.Lock()
        self._deadlines = Deadlines()
        self.engine, self._noter = engines.make(self.url, self._deadlines, lasting)
        self._reader = self.engine.execution_options(autoglm_reading=True)

    @property
    def shared(self) -> bool:
        """Tell whether several receivers may work on this database."""
        return self.engine.dialect.name == "postgresql"

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Begin a transaction that only reads."""
        with self._transaction(self._reader) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Begin a transaction that is on disk once it has ended without an error."""
        with self._alone(), self._transaction(self.engine) as connection:
            self._take_turn(connection)
            yield connection

    @contextmanager
    def noting(self) -> Iterator[sa.Connection]:
        """Begin a transaction that survives a crash of this process, but perhaps not a power cut."""
        with self._alone(), self._transaction(self._noter) as connection:
            self._take_turn(connection)
            if self.shared:
                connection.exec_driver_sql("SET LOCAL synchronous_commit TO off")
            yield connection

    @contextmanager
    def appending(self) -> Iterator[sa.Connection]:
        """Begin a transaction that is on disk once it has ended, and that waits for no other receiver's decisions."""
        with self._alone(), self._transaction(self.engine) as connection:
            yield connection

    @property
    def worker(self) -> Worker:
        """Return what ends the transactions that take too long."""
        return self._deadlines.worker

    def now(self) -> sa.ColumnElement[float]:
        """Return the database's clock, seconds since the epoch: the one clock that all receivers share."""
        if self.shared:
            return sa.cast(sa.func.extract("epoch", sa.func.clock_timestamp()), sa.Float)
        return sa.literal_column("(julianday('now') - 2440587.5) * 86400.0", sa.Float)

    def notify(self, connection: sa.Connection) -> None:
        """Wake the other receivers when this transaction is committed."""
        if self.shared:
            connection.exec_driver_sql(f"NOTIFY {CHANNEL}")

    def migrate(self) -> None:
        """Bring the schema to this release's, from any earlier release's or from nothing."""
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with self._patiently() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    @contextmanager
    def restoring(self) -> Iterator[sa.Connection]:
        """Begin a transaction like ``writing`` that may take as long as a migration: it fills the whole database."""
        with self._patiently() as connection:
            yield connection

    def close(self) -> None:
        """Give back all connections."""
        self.engine.dispose()
        self._noter.dispose()
        self._deadlines.close()

    @contextmanager
    def _patiently(self) -> Iterator[sa.Connection]:
        with self._alone(), self._transaction(self.engine, LONGEST_MIGRATION_S) as connection:
            if self.shared:
                for limit in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
                    connection.exec_driver_sql(f"SET LOCAL {limit} TO 0")
            self._take_turn(connection)
            yield connection

    @contextmanager
    def _transaction(self, engine: sa.Engine, most: float | None = None) -> Iterator[sa.Connection]:
        most = LONGEST_TRANSACTION_S if most is None else most
        # The commit is within the time, too.
        with engine.connect() as connection, self._in_time(connection, most), connection.begin():
            yield connection

    @contextmanager
    def _in_time(self, connection: sa.Connection, most: float) -> Iterator[None]:
        if not self.shared:
            yield
            return
        with self._deadlines.on(engines.socket_of(connection), most):
            yield

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # SQLite makes a writer that finds its lock taken sleep for a while; a lock of our own wakes it at once.
        if self.shared:
            yield
            return
        with self._lock:
            yield

    def _take_turn(self, connection: sa.Connection) -> None:
        if self.shared:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ONE_WRITER)))
