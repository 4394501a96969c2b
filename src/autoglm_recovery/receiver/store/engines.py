# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections to SQLite and PostgreSQL, set up so that they keep the promises of ``Database``."""

from __future__ import annotations

from typing import Any

import psycopg
import sqlalchemy as sa

from autoglm_recovery.receiver.store.deadlines import Deadlines

_BUSY_TIMEOUT_MS = 10_000

# A receiver that freezes in the middle of a transaction holds its locks until the server ends its session.  Shorter
# than a lease, so that it does not delay those who take over.
_IDLE_IN_TRANSACTION_MS = 3_000
_LOCK_TIMEOUT_MS = 10_000
_STATEMENT_TIMEOUT_MS = 12_000
_CONNECT_TIMEOUT_S = 5
_PING_TIMEOUT_S = 2.0

# A peer that is gone without a word is noticed in seconds, by the client (libpq) and by the server.
_KEEPALIVES = {"keepalives_idle": 2, "keepalives_interval": 1, "keepalives_count": 3, "tcp_user_timeout": 5_000}
_SERVER_KEEPALIVES = {f"tcp_{name}" if name.startswith("keep") else name: value for name, value in _KEEPALIVES.items()}


def parse(url: str) -> sa.URL:
    """Read a database URL; ``postgres://`` and ``postgresql://`` mean the driver that we bring.

    Raises ValueError if it is none, or of a database that is not supported.  The message holds no password.
    """
    try:
        read = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise ValueError("the database must be given as a URL, for example postgresql://user@host/name") from error
    if read.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return read.set(drivername="postgresql+psycopg")
    if read.drivername in ("sqlite", "sqlite+pysqlite"):
        return read
    raise ValueError(f"database {read.drivername!r} is not supported; there are sqlite and postgresql")


def shown(url: sa.URL) -> str:
    """Return a URL for people: without its password, and without its parameters, one of which may be another."""
    return repr(url.set(query={}))


def make(url: sa.URL, deadlines: Deadlines, lasting: bool) -> tuple[sa.Engine, sa.Engine]:
    """Return an engine whose commits are on disk, and one that may do without."""
    if url.get_backend_name() == "sqlite":
        full, normal = ("FULL", "NORMAL") if lasting else ("OFF", "OFF")
        return _sqlite(url, full), _sqlite(url, normal)
    engine = _postgresql(url, deadlines)
    return engine, engine


def connect_arguments() -> dict[str, Any]:
    """Return what every connection to PostgreSQL is opened with."""
    settings = {
        "idle_in_transaction_session_timeout": _IDLE_IN_TRANSACTION_MS,
        "lock_timeout": _LOCK_TIMEOUT_MS,
        "statement_timeout": _STATEMENT_TIMEOUT_MS,
        **_SERVER_KEEPALIVES,
    }
    return {
        "connect_timeout": _CONNECT_TIMEOUT_S,
        "application_name": "autoglm-recovery",
        "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
        **_KEEPALIVES,
    }


def socket_of(connection: sa.Connection) -> int:
    """Return the file descriptor of a connection to PostgreSQL."""
    driver: Any = connection.connection.driver_connection
    return int(driver.pgconn.socket)


def _postgresql(url: sa.URL, deadlines: Deadlines) -> sa.Engine:
    # READ COMMITTED: each statement sees what was committed before it, which the advisory lock turns into "everything".
    engine = sa.create_engine(
        url,
        pool_size=8,
        max_overflow=8,
        pool_timeout=10,
        isolation_level="READ COMMITTED",
        connect_args=connect_arguments(),
    )

    def ping(connection: psycopg.Connection[Any], _record: object, _proxy: object) -> None:
        # SQLAlchemy's own pool_pre_ping would wait for ever behind a link that swallows everything. This one is a
        # single question, without a transaction around it.
        try:
            with deadlines.on(connection.pgconn.socket, _PING_TIMEOUT_S):
                alive = connection.pgconn.exec_(b"").status == psycopg.pq.ExecStatus.EMPTY_QUERY
        except psycopg.Error:
            alive = False
        if not alive:
            raise sa.exc.DisconnectionError("the connection to the database is gone")

    sa.event.listen(engine, "checkout", ping)
    return engine


def _sqlite(url: sa.URL, synchronous: str) -> sa.Engine:
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
