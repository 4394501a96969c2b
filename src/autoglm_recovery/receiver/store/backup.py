# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Save the database in one file, while receivers work on it.

The file is an SQLite database whichever database it was taken of, with one more table that says what it is.  Of SQLite
it is taken with SQLite's own backup (sqlite.org/backup.html), of PostgreSQL within one read-only transaction that sees
one moment (``REPEATABLE READ``): both are what was committed at that moment, and keep no receiver waiting.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory

from autoglm_recovery import __version__
from autoglm_recovery.knowledge.host import clocks
from autoglm_recovery.receiver.store.audit import audit
from autoglm_recovery.receiver.store.database import LONGEST_MIGRATION_S, MIGRATIONS, Database

FORMAT = "autoglm.recovery/backup"
_ROWS_AT_ONCE = 500
_TABLE = "autoglm_backup"
TABLES = audit.metadata.sorted_tables


class BackupError(RuntimeError):
    """Nothing was saved, and why."""


@dataclass(frozen=True)
class BackupInfo:
    """What a backup says of itself.  ``taken_at`` is in seconds since the epoch."""

    taken_at: float
    version: str
    revision: str
    installation: str


def save(source: sa.URL, out: Path) -> tuple[Path, BackupInfo]:
    """Save a database as ``out``, or in that directory under a name that tells installation and time.

    Raises BackupError if it cannot be read or written, or ``out`` is there already; what was begun is removed.
    """
    now = time.time()
    part = (out if out.is_dir() else out.parent) / f".autoglm-backup-{os.getpid()}.part"
    try:
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        _copy_sqlite(source, part) if source.get_backend_name() == "sqlite" else _copy_rows(source, part)
        about = _describe(part, now)
        path = out / name(about) if out.is_dir() else out
        # Not replaced: the last good backup may be all that there is.
        os.link(part, path)
    except FileExistsError as error:
        raise BackupError(f"{error.filename2 or error.filename} is there already; give another name") from error
    except (OSError, sqlite3.Error, sa.exc.SQLAlchemyError) as error:
        raise BackupError(f"no backup was made: {getattr(error, 'orig', None) or error}".strip()) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    return path, about


def name(about: BackupInfo) -> str:
    """Return the name of a backup's file in a directory of backups."""
    stamp = clocks.stamp(about.taken_at)
    return f"autoglm-{about.installation[:12]}-{stamp}.db"


def read(path: Path) -> BackupInfo:
    """Read what a backup says of itself.

    Raises BackupError if the file is none, or damaged.
    """
    if not path.is_file():
        raise BackupError(f"{path} is no file")
    try:
        with contextlib.closing(_connect(path)) as connection:
            row = connection.execute(
                f"SELECT taken_at, version, revision, installation FROM {_TABLE} WHERE format = ?",  # noqa: S608
                (FORMAT,),
            ).fetchone()
            damage = connection.execute("PRAGMA integrity_check").fetchone()[0]
    except sqlite3.Error as error:
        raise BackupError(f"{path} is no backup of autoglm backup: {error}") from error
    if row is None:
        raise BackupError(f"{path} is no backup of autoglm backup")
    if damage != "ok":
        raise BackupError(f"{path} is damaged: {damage}")
    return BackupInfo(float(row[0]), str(row[1]), str(row[2]), str(row[3]))


def newest_revision() -> str:
    """Return the schema's revision of this release."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return str(ScriptDirectory.from_config(config).get_current_head())


def forget_being_one(path: Path) -> None:
    """Make a plain database of a copy of a backup."""
    with contextlib.closing(_connect(path)) as connection:
        connection.execute(f"DROP TABLE {_TABLE}")
        connection.commit()


def make_one_file(path: Path) -> None:
    """Have all of a database in its one file, which can be renamed and carried; nobody else may work on it."""
    with contextlib.closing(_connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")


def copy_tables(source: sa.Connection, target: sa.Connection) -> None:
    """Copy all rows into a new schema, those first to which others point."""
    for table in reversed(TABLES):
        if table is not audit:  # only ever added to
            target.execute(table.delete())
    for table in TABLES:
        for rows in _batches(source, table):
            target.execute(table.insert(), rows)


def _batches(source: sa.Connection, table: sa.Table) -> Iterator[list[dict[str, Any]]]:
    found = source.execution_options(yield_per=_ROWS_AT_ONCE).execute(sa.select(table))
    for rows in found.mappings().partitions():
        yield [dict(row) for row in rows]


def _connect(path: Path) -> sqlite3.Connection:
    """Open a database that has to be there."""
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)


def _copy_sqlite(source: sa.URL, part: Path) -> None:
    with contextlib.closing(_connect(Path(source.database or ""))) as one, contextlib.closing(_connect(part)) as other:
        one.backup(other)
    make_one_file(part)


def _copy_rows(source: sa.URL, part: Path) -> None:
    database, copy = Database(source.render_as_string(hide_password=False)), Database(f"sqlite:///{part}")
    try:
        with database.engine.connect() as raw:
            reader = raw.execution_options(isolation_level="REPEATABLE READ")
            with reader.begin():
                reader.exec_driver_sql("SET TRANSACTION READ ONLY")
                reader.exec_driver_sql(f"SET LOCAL statement_timeout TO '{LONGEST_MIGRATION_S:.0f}s'")
                reader.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout TO 0")
                _same_release(reader)
                copy.migrate()
                with copy.writing() as writer:
                    copy_tables(reader, writer)
    finally:
        database.close()
        copy.close()
    make_one_file(part)


def _same_release(reader: sa.Connection) -> None:
    revision = reader.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    if revision != newest_revision():
        raise BackupError(
            f"no backup was made: the database has schema {revision}, and this release {newest_revision()}; use the "
            "autoglm of the release whose receivers work on it"
        )


def _describe(part: Path, now: float) -> BackupInfo:
    with contextlib.closing(_connect(part)) as connection:
        revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
        installation = connection.execute("SELECT name FROM installation").fetchone()[0]
        connection.execute(f"CREATE TABLE {_TABLE} (format TEXT, taken_at REAL, version, revision, installation)")
        row = (FORMAT, now, __version__, revision, installation)
        connection.execute(f"INSERT INTO {_TABLE} VALUES (?, ?, ?, ?, ?)", row)  # noqa: S608 - our own name
        connection.commit()
    with open(part, "rb") as file:
        os.fsync(file.fileno())
    return BackupInfo(now, __version__, revision, installation)
