# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The store's promises: nothing twice, nothing unfinished twice, the schema of every release."""

from __future__ import annotations

import threading
import time
from concurrent.futures import wait

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from autoglm_recovery.receiver.model import Alert, Fault, FaultMode, Target
from autoglm_recovery.receiver.payload import Rejected
from autoglm_recovery.receiver.store import incidents, runs, schema
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.store.intake import MOST_WAITING, Delivery, Intake, Overloaded


@pytest.fixture
def database(tmp_path):
    """Return a fresh database."""
    database = Database(f"sqlite:///{tmp_path / 'r.db'}")
    database.migrate()
    yield database
    database.close()


def alert(n: int, status: str = "firing", start: float = 1.0) -> Alert:
    """Return alert number n."""
    return Alert(status, {"host": "node-a", "n": str(n)}, {}, start, None, f"{n:016x}")


def test_the_migrations_lead_to_the_schema_and_may_be_repeated(database):
    database.migrate()
    with database.writing() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []


def test_a_commit_is_on_disk(database):
    for begin, synchronous in ((database.writing, 2), (database.noting, 1)):
        with begin() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == synchronous


@pytest.fixture
def intake(database):
    """Return a writer that is running."""
    intake = Intake(database, lambda: None)
    intake.start()
    yield intake
    intake.stop()


def test_the_same_news_is_stored_once_and_counted(database, intake):
    first = intake.submit(Delivery("g", (alert(1), alert(2)))).result(10)
    again = intake.submit(Delivery("g", (alert(1), alert(2), alert(3)), (Rejected("{}", "bad"),))).result(10)
    assert (first.new, first.duplicates) == (2, 0)
    assert (again.new, again.duplicates, again.rejected) == (1, 2, 1)
    with database.writing() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(schema.alerts)).scalar() == 3
        assert connection.execute(sa.select(schema.rejects.c.reason)).scalar() == "bad"


def test_many_senders_at_once_lose_and_double_nothing(intake):
    barrier = threading.Barrier(8)

    def send(worker):
        barrier.wait()
        # Half of what each sends is sent by all.
        return [intake.submit(Delivery("g", (alert(n), alert(1000 * worker + n)))) for n in range(1, 50)]

    futures = []
    threads = [threading.Thread(target=lambda w=w: futures.extend(send(w))) for w in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    receipts = [future.result() for future in wait(futures, 60).done]
    assert len(receipts) == 8 * 49
    assert sum(receipt.new for receipt in receipts) == 49 * 9
    assert sum(receipt.new + receipt.duplicates for receipt in receipts) == 8 * 49 * 2


def test_a_writer_that_cannot_keep_up_says_so(database):
    idle = Intake(database, lambda: None)
    for n in range(MOST_WAITING):
        idle.submit(Delivery("g", (alert(n),)))
    with pytest.raises(Overloaded):
        idle.submit(Delivery("g", (alert(0),)))


def test_a_sender_that_waits_no_longer_stops_nobody(database, intake):
    with database.writing():  # so that all of them wait
        futures = [intake.submit(Delivery("g", (alert(n),))) for n in range(4)]
        cancelled = [future.cancel() for future in futures[1:]]
    assert any(cancelled)
    assert intake.submit(Delivery("g", (alert(9),))).result(10).new == 1
    with database.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(schema.alerts)).scalar() == 5


def test_a_failed_commit_is_told_and_the_writer_goes_on(database, intake):
    with database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE alerts RENAME TO elsewhere")
    with pytest.raises(sa.exc.OperationalError):
        intake.submit(Delivery("g", (alert(1),))).result(10)
    with database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO alerts")
    assert intake.submit(Delivery("g", (alert(1),))).result(10).new == 1


LEASE = runs.Lease("me", 5.0, sa.literal(100.0))
LLAMA = Target("node-a", "llama")


def _open(connection, target=LLAMA):
    fault = Fault("oom", "said so", target)
    return incidents.open_incident(
        connection, fault, target, mode=FaultMode.transient, root_cause="X", starts_at=1.0, now=time.time()
    )


def _run(connection, incident_id, host="node-a"):
    return runs.create(
        connection,
        LEASE,
        incident_id=incident_id,
        host=host,
        action="restart_process",
        attempt=1,
        state="running",
        reason="",
        directory="",
        launcher="local",
        started_at=1.0,
    )


def test_the_database_refuses_a_second_incident_for_a_target(database):
    with database.writing() as connection:
        first = _open(connection)
    with pytest.raises(sa.exc.IntegrityError), database.writing() as connection:
        _open(connection)
    with database.writing() as connection:
        incidents.update(connection, first, 2.0, state="resolved")
        _open(connection)
        _open(connection, Target("node-a", "embed"))
        _open(connection, Target("node-b", "llama"))


def test_the_database_refuses_a_second_run_on_a_host(database):
    with database.writing() as connection:
        incident = _open(connection)
        first = _run(connection, incident)
        _run(connection, incident, "node-b")
    with pytest.raises(sa.exc.IntegrityError), database.writing() as connection:
        _run(connection, incident)
    with database.writing() as connection:
        runs.update(connection, first, state="failed")
        assert _run(connection, incident) > first
