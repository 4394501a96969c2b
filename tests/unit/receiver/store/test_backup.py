# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is saved of either database, and what a restore makes of it."""

from __future__ import annotations

import json
import sqlite3
import threading
import uuid
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from autoglm_recovery.cli.main import app
from autoglm_recovery.receiver.store import (
    audit,
    backup,
    engines,
    installation,
    notices,
    own_silences,
    restore,
    runs,
    schema,
)
from autoglm_recovery.receiver.store import database as transactions
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store.backup import BackupError
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.values.model import Target
from tests.unit.receiver.desk import open_incident


def work(database, host: str, state: str) -> int:
    """Have an incident in a state, with a run, a notice and a line."""
    target = Target(host)
    with database.writing() as connection:
        number = open_incident(connection, target)
        store.update(connection, number, 1.0, state=state)
        store.tell(connection, number, 1.0, "decided", "ü\n" * 3)
        lease = runs.Lease("a", 5.0, database.now())
        ended = {"state": "succeeded", "ended_at": 2.0} if state == "resolved" else {"state": "running"}
        values = {"incident_id": number, "host": host, "action": "restart_process", "attempt": 1, "reason": "r"}
        run = runs.create(connection, lease, **values, **ended, launcher="local", directory="/d", started_at=1.0)
        own_silences.plan(connection, run, number, [SimpleNamespace(fingerprint="x", identity="x", labels={})], 1e12)
        about = {"failure_class": "oom", "pool": None, "severities": []}
        notices.add(connection, 1.0, incident_id=number, occasion="escalated", about=about, title="t", body="b")
    return number


@pytest.fixture
def worked(database):
    """A database with an incident that is over and one that goes on."""
    work(database, "node-a", "resolved")
    work(database, "node-b", "running")
    with database.writing() as connection:
        texts = ("who", "role", "how", "address", "what", "outcome", "comment", "detail")
        connection.execute(audit.audit.insert(), {"at": 1.0, **dict.fromkeys(texts, "x")})
        connection.execute(schema.alerts.insert(), [stored(outcome) for outcome in ("new", "joined", "doubted", "new")])
    return database


def stored(outcome: str) -> dict[str, object]:
    """The row of an alert."""
    texts = ("group_key", "fingerprint", "status", "generator_url")
    known = {"deliveries": 1, "starts_at": 1.0, "labels": {}, "annotations": {}, "committed_at": 1.0}
    return {**dict.fromkeys(texts, "x"), **known, "redelivery_key": uuid.uuid4().hex, "outcome": outcome}


def rows(database) -> dict[str, list]:
    """Everything that a database holds."""
    with database.reading() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key))]
            for table in backup.TABLES
        }


@pytest.fixture
def saved(worked, database_url, tmp_path):
    """Its backup."""
    assert worked
    path, _ = backup.save(engines.parse(database_url), tmp_path / "saved.db")
    return path


def test_a_backup_holds_every_row_and_says_what_it_is(worked, saved):
    copy = Database(f"sqlite:///{saved}")
    assert rows(copy) == rows(worked)
    copy.close()
    about = backup.read(saved)
    with worked.reading() as connection:
        assert about.installation == installation.name(connection)
    assert about.revision == backup.newest_revision()
    assert saved.stat().st_mode & 0o077 == 0
    assert [path.name for path in saved.parent.iterdir() if "backup" in path.name] == []


def test_a_backup_in_a_directory_is_named_by_installation_and_time_and_replaces_nothing(worked, database_url, tmp_path):
    assert worked
    (tmp_path / "out").mkdir()
    path, about = backup.save(engines.parse(database_url), tmp_path / "out")
    assert path.name == backup.name(about)
    with pytest.raises(BackupError, match="is there already"):
        backup.save(engines.parse(database_url), path)
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == [path.name]


@pytest.mark.slow
def test_a_backup_is_one_moment_while_receivers_write(worked, database_url, tmp_path):
    """Each transaction adds a run with its incident; a copy of two moments would have one without the other."""
    stop, numbers = threading.Event(), iter(range(10_000))

    def write():
        while not stop.is_set():
            work(worked, f"h{next(numbers)}", "resolved")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in range(5):
            path, _ = backup.save(engines.parse(database_url), tmp_path / f"{number}.db")
            copy = Database(f"sqlite:///{path}")
            found = rows(copy)
            copy.close()
            assert len(found["incidents"]) == len(found["runs"]) == len(found["notices"]) == len(found["timeline"])
    finally:
        stop.set()
        thread.join()


def judged(target, before) -> None:
    """What a restore promises of every database."""
    after = rows(target)
    with target.reading() as connection:
        ended, cut_off = connection.execute(sa.select(schema.runs).order_by(schema.runs.c.id)).all()
        over, open_one = connection.execute(sa.select(schema.incidents).order_by(schema.incidents.c.id)).all()
        unsent = connection.execute(
            sa.select(schema.notices).where(schema.notices.c.sent_at.is_(None), schema.notices.c.given_up_at.is_(None))
        ).all()
    assert (ended.state, cut_off.state) == ("succeeded", "lost")
    assert (over.state, open_one.state) == ("resolved", "escalated")
    assert "restored from the backup of" in open_one.reason
    assert unsent == []
    assert after["installation"] != before["installation"]
    for name in ("audit", "fencing", "pauses"):
        assert after[name] == before[name]
    with target.reading() as connection:
        planned = own_silences.not_ended(connection)
    # They may have been asked for since, so they are looked for.
    assert [(row.goes_on, row.asked_at is None) for row in planned] == [(False, False)] * 2
    # What waited to be acted on is no news of today, and none of it may make a duplicate of what is told today.
    outcome = [column.name for column in schema.alerts.columns].index("outcome")
    assert after["alerts"] == [row for row in before["alerts"] if row[outcome] == "joined"]


def test_a_restored_file_goes_on_where_the_backup_was_and_keeps_what_was_there(worked, saved, tmp_path):
    before = rows(worked)
    target = tmp_path / "state" / "receiver.db"
    target.parent.mkdir()
    other = Database(f"sqlite:///{target}")
    other.migrate()
    other.close()
    with pytest.raises(BackupError, match="--replace"):
        restore.into_file(saved, target, replace=False)
    told = restore.into_file(saved, target, replace=True)
    assert (told.incidents, told.runs, told.forgotten) == ((2,), (2,), 3)
    restored = Database(f"sqlite:///{target}")
    judged(restored, before)
    work(restored, "node-c", "running")  # numbers are given that nobody has
    restored.close()
    assert told.kept is not None
    kept = Database(f"sqlite:///{told.kept}")
    assert rows(kept)["incidents"] == []
    kept.close()
    assert backup.read(saved).installation == before["installation"][0][0]  # the backup is as it was


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_command_says_what_became_of_everything(saved, tmp_path):
    def restored(*words: str) -> str:
        done = CliRunner().invoke(app, ["restore", str(saved), "--state-dir", str(tmp_path / "state"), *words])
        assert done.exit_code == 0, done.output
        return done.output

    text = restored()
    assert "incidents 2:" in text
    assert "not acted on yet are forgotten: 3" in text
    assert json.loads(restored("--replace", "--json"))["forgotten_alerts"] == 3


def test_a_backup_of_either_database_fills_an_empty_postgresql(worked, saved, postgresql):
    before = rows(worked)
    url = postgresql.database()
    told = restore.into_postgresql(saved, url)
    assert (told.incidents, told.runs, told.forgotten) == ((2,), (2,), 3)
    target = Database(url)
    judged(target, before)
    assert work(target, "node-c", "running") == 3
    with pytest.raises(BackupError, match="is not empty"):
        restore.into_postgresql(saved, url)
    target.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_restore_may_take_longer_than_any_transaction_of_a_receiver(worked, saved, postgresql, monkeypatch):
    """A database of years takes minutes to fill.  Here it is slow, and what ends transactions is quick."""
    assert worked
    url = postgresql.database()
    target = Database(url)
    target.migrate()
    with target.writing() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1.5); RETURN NULL; END'"
        )
        connection.exec_driver_sql("CREATE TRIGGER slow AFTER INSERT ON runs EXECUTE FUNCTION slow()")
    target.close()
    for limit in ("_STATEMENT_TIMEOUT_MS", "_IDLE_IN_TRANSACTION_MS", "_LOCK_TIMEOUT_MS"):
        monkeypatch.setattr(engines, limit, 500)
    monkeypatch.setattr(transactions, "LONGEST_TRANSACTION_S", 0.5)
    assert restore.into_postgresql(saved, url).incidents == (2,)


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\x00" + b"\x00" * 5000])
def test_what_is_no_backup_is_refused_and_nothing_is_touched(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    (tmp_path / "receiver.db").write_text("mine")
    for path in ("x", "none", "."):
        with pytest.raises(BackupError):
            restore.into_file(tmp_path / path, tmp_path / "receiver.db", replace=True)
    assert (tmp_path / "receiver.db").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["receiver.db", "x"]


def test_a_database_that_is_no_backup_and_one_of_a_later_release_are_refused(saved, tmp_path):
    Database(f"sqlite:///{tmp_path / 'plain.db'}").migrate()
    with pytest.raises(BackupError, match="is no backup"):
        restore.into_file(tmp_path / "plain.db", tmp_path / "receiver.db", replace=False)
    with sqlite3.connect(saved) as connection:
        connection.execute("UPDATE autoglm_backup SET revision = '9999', version = '9.9'")
    with pytest.raises(BackupError, match=r"made by autoglm 9\.9"):
        restore.into_file(saved, tmp_path / "receiver.db", replace=False)


def test_a_damaged_backup_is_refused(saved, tmp_path):
    content = bytearray(saved.read_bytes())
    content[4096:] = b"\xff" * len(content[4096:])
    saved.write_bytes(content)
    with pytest.raises(BackupError):
        restore.into_file(saved, tmp_path / "receiver.db", replace=False)
    assert not (tmp_path / "receiver.db").exists()


def test_a_database_that_is_not_there_is_no_empty_backup(tmp_path):
    with pytest.raises(BackupError, match="no backup was made"):
        backup.save(engines.parse(f"sqlite:///{tmp_path / 'none.db'}"), tmp_path / "out.db")
    assert list(tmp_path.iterdir()) == []
