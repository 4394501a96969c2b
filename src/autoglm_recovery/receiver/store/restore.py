# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put a backup in the place of a database, so that receivers can go on from it.

What the backup calls unfinished has ended somehow since: its runs are lost, its incidents are a person's, its notices
are not sent any more, and its alerts that nobody had looked at are forgotten: what still fires is told again and is
news then, while what is over would be acted on.  The installation gets another name, because numbers of incidents and
runs are given again that the lost database had given already.  Fencing tokens need nothing: they are the time.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import replace as replaced
from pathlib import Path

import sqlalchemy as sa

from autoglm_recovery.knowledge.host import clocks
from autoglm_recovery.receiver.store import backup, engines
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store.backup import BackupError, BackupInfo
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.store.schema import alerts, incidents, installation, notices, own_silences, runs
from autoglm_recovery.receiver.values.model import ENDED, UNFINISHED, IncidentState, RunState

_NOT_ACTED_ON = ("new", "doubted")


@dataclass(frozen=True)
class RestoredDatabase:
    """What became of a restore.

    ``kept`` is where the database of before is; ``incidents`` need a person; ``forgotten`` counts the alerts that were
    stored when the backup was taken, and not acted on yet.
    """

    about: BackupInfo
    installation: str
    incidents: tuple[int, ...]
    runs: tuple[int, ...]
    forgotten: int
    kept: Path | None = None


def into_file(path: Path, target: Path, *, replace: bool) -> RestoredDatabase:
    """Make an SQLite database of a backup.  No receiver may work on the target.

    Raises BackupError if the backup cannot be used, or there is a database and it is not to be replaced.
    """
    about = _usable(path)
    if target.exists() and not replace:
        raise BackupError(f"{target} is there already; with --replace it is moved aside, and nothing is removed")
    part = target.with_name(f".{target.name}.restoring")
    try:
        for old in _files_of(part):
            old.unlink()
        shutil.copyfile(path, part)
        part.chmod(0o600)
        backup.forget_being_one(part)
        restored = _begin_again(f"sqlite:///{part}", about)
        backup.make_one_file(part)
        kept = _move_aside(target) if target.exists() else None
        os.rename(part, target)
        _sync(target.parent)
    except OSError as error:
        raise BackupError(f"not restored: {error}") from error
    finally:
        for left in _files_of(part):
            left.unlink()
    return replaced(restored, kept=kept)


def into_postgresql(path: Path, url: str) -> RestoredDatabase:
    """Fill an empty PostgreSQL database with a backup.

    Raises BackupError if the backup cannot be used, or the database holds something.
    """
    about = _usable(path)
    with _migrated_copy(path) as copy:
        target = Database(url)
        try:
            target.migrate()
            with copy.reading() as source, target.restoring() as connection:
                if any(
                    connection.execute(sa.select(table.c.id).limit(1)).first() for table in (alerts, incidents, runs)
                ):
                    raise BackupError(
                        f"the database {engines.shown(target.url)} is not empty; make another one and restore into it"
                    )
                backup.copy_tables(source, connection)
                _go_on_counting(connection)
                return _judge(connection, about)
        except sa.exc.SQLAlchemyError as error:
            raise BackupError(f"not restored: {getattr(error, 'orig', None) or error}".strip()) from error
        finally:
            target.close()


def _usable(path: Path) -> BackupInfo:
    about = backup.read(path)
    if about.revision > backup.newest_revision():
        raise BackupError(
            f"{path} was made by autoglm {about.version} (schema {about.revision}), which is newer than this one "
            f"(schema {backup.newest_revision()}); restore it with that release or a later one"
        )
    return about


@contextlib.contextmanager
def _migrated_copy(path: Path) -> Iterator[Database]:
    part = path.with_name(f".{path.name}.{os.getpid()}.restoring")
    shutil.copyfile(path, part)
    try:
        backup.forget_being_one(part)
        copy = Database(f"sqlite:///{part}")
        try:
            copy.migrate()
            yield copy
        finally:
            copy.close()
    finally:
        for left in _files_of(part):
            left.unlink()


def _begin_again(url: str, about: BackupInfo) -> RestoredDatabase:
    database = Database(url)
    try:
        database.migrate()
        with database.restoring() as connection:
            restored = _judge(connection, about)
    except sa.exc.SQLAlchemyError as error:
        raise BackupError(f"not restored: {getattr(error, 'orig', None) or error}".strip()) from error
    finally:
        database.close()
    return restored


def _judge(connection: sa.Connection, about: BackupInfo) -> RestoredDatabase:
    """Close what was going on when the backup was taken, and give the installation another name."""
    now = time.time()
    taken = clocks.in_words(about.taken_at)
    unfinished = runs.c.state.in_([state.value for state in UNFINISHED])
    cut_off = connection.execute(
        runs.update().where(unfinished).values(state=RunState.lost, ended_at=now).returning(runs.c.id)
    )
    lost = tuple(sorted(cut_off.scalars()))
    active = sa.not_(incidents.c.state.in_([state.value for state in ENDED]))
    open_ones = connection.execute(sa.select(incidents.c.id).where(active).order_by(incidents.c.id)).scalars().all()
    reason = (
        f"restored from the backup of {taken}: what happened to it since then is not known. Look at it, then close it, "
        "or retry"
    )
    for number in open_ones:
        store.update(
            connection, number, now, state=IncidentState.escalated, reason=reason, approved=False, queued=False,
            explained_by=None, due_at=store.NEVER,
        )  # fmt: skip
        store.tell(connection, number, now, "escalated", f"escalate: {reason}")
    unsent = notices.c.sent_at.is_(None) & notices.c.given_up_at.is_(None)
    connection.execute(notices.update().where(unsent).values(given_up_at=now, error=f"restored from {taken}"))
    # What was only planned then may have been asked for since: it is looked for, and ended.
    planned = own_silences.c.ended_at.is_(None) & own_silences.c.asked_at.is_(None) & (own_silences.c.until > now)
    connection.execute(own_silences.update().where(planned).values(asked_at=about.taken_at))
    # Not marked but deleted: a row would make a duplicate of the delivery that tells it again.
    forgotten = connection.execute(alerts.delete().where(alerts.c.outcome.in_(_NOT_ACTED_ON))).rowcount
    new_name = uuid.uuid4().hex
    connection.execute(installation.update().values(name=new_name))
    return RestoredDatabase(about, new_name, tuple(open_ones), lost, forgotten)


def _go_on_counting(connection: sa.Connection) -> None:
    """Have PostgreSQL give numbers above those that were copied."""
    for table in backup.TABLES:
        column = table.autoincrement_column
        sequence = (
            column is not None
            and connection.execute(sa.select(sa.func.pg_get_serial_sequence(table.name, column.name))).scalar()
        )
        if column is not None and sequence:
            last = connection.execute(sa.select(sa.func.max(column))).scalar()
            if last is not None:
                connection.execute(sa.select(sa.func.setval(sequence, last)))


def _files_of(path: Path) -> list[Path]:
    """Return the files of an SQLite database that are there."""
    return [file for end in ("", "-wal", "-shm") if (file := path.with_name(path.name + end)).exists()]


def _move_aside(target: Path) -> Path:
    stamp = clocks.stamp(time.time())
    kept = target.with_name(f"{target.name}.before-restore-{stamp}")
    for file in reversed(_files_of(target)):
        os.rename(file, kept.with_name(kept.name + file.name.removeprefix(target.name)))
    return kept


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
