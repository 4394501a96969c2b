# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The store's promises, on both databases: nothing twice, nothing unfinished twice, one writer at a time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import wait

import pytest
import sqlalchemy as sa

from autoglm_recovery.receiver.intake.commit import MOST_WAITING, Delivery, Intake, Overloaded
from autoglm_recovery.receiver.intake.payload import Rejected
from autoglm_recovery.receiver.store import incidents, runs, schema
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.values.model import Alert, Target
from tests.support.servers.waiting import PATIENCE_S
from tests.unit.receiver.desk import begin_run, open_incident


def alert(n: int, status: str = "firing", start: float = 1.0) -> Alert:
    """Return alert number n."""
    return Alert(status, {"host": "node-a", "n": str(n)}, {}, start, None, f"{n:016x}")


def test_a_commit_is_on_disk(database):
    for begin, durable in ((database.writing, True), (database.appending, True), (database.noting, False)):
        with begin() as connection:
            if database.shared:
                assert connection.exec_driver_sql("SHOW fsync").scalar() == "on"
                assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == ("on" if durable else "off")
            else:
                assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
                assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == (2 if durable else 1)


@pytest.fixture
def intake(database):
    """Return a writer that is running."""
    intake = Intake(database, lambda: None)
    intake.start()
    yield intake
    intake.stop()


def test_the_same_news_is_stored_once_and_counted(database, intake):
    first = intake.submit(Delivery("g", (alert(1), alert(2)))).result(PATIENCE_S)
    again = intake.submit(Delivery("g", (alert(1), alert(2), alert(3)), (Rejected("{}", "bad"),))).result(PATIENCE_S)
    assert (first.new, first.duplicates) == (2, 0)
    assert (again.new, again.duplicates, again.rejected) == (1, 2, 1)
    twice_at_once = intake.submit(Delivery("g", (alert(4), alert(4), alert(3)))).result(PATIENCE_S)
    assert (twice_at_once.new, twice_at_once.duplicates) == (1, 2)
    with database.writing() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(schema.alerts)).scalar() == 4
        told = connection.execute(sa.select(schema.alerts.c.deliveries).order_by(schema.alerts.c.fingerprint))
        assert list(told.scalars()) == [2, 2, 2, 2]
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
    receipts = [future.result() for future in wait(futures, PATIENCE_S).done]
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
    with database.writing() as connection:  # so that all of them wait
        if database.shared:
            connection.exec_driver_sql("LOCK TABLE alerts IN EXCLUSIVE MODE")
        futures = [intake.submit(Delivery("g", (alert(n),))) for n in range(4)]
        cancelled = [future.cancel() for future in futures[1:]]
    assert any(cancelled)
    assert intake.submit(Delivery("g", (alert(9),))).result(PATIENCE_S).new == 1
    with database.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(schema.alerts)).scalar() == 5


def test_a_failed_commit_is_told_and_the_writer_goes_on(database, intake):
    with database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE alerts RENAME TO elsewhere")
    with pytest.raises(sa.exc.DBAPIError):
        intake.submit(Delivery("g", (alert(1),))).result(PATIENCE_S)
    with database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO alerts")
    assert intake.submit(Delivery("g", (alert(1),))).result(PATIENCE_S).new == 1


def test_deliveries_do_not_wait_for_decisions_on_a_shared_database(postgresql):
    database = Database(postgresql.database())
    database.migrate()
    intake = Intake(database, lambda: None)
    intake.start()
    try:
        with database.writing() as connection:
            connection.execute(sa.select(schema.alerts).with_for_update())
            assert intake.submit(Delivery("g", (alert(1),))).result(PATIENCE_S).new == 1
            # Nor does news that is known, while the alert is being looked at.
            connection.execute(sa.select(schema.alerts).with_for_update())
            assert intake.submit(Delivery("g", (alert(1),))).result(PATIENCE_S).duplicates == 1
    finally:
        intake.stop()
        database.close()


def test_two_receivers_that_are_told_the_same_in_another_order_both_store_it(postgresql):
    url = postgresql.database()
    both = [Database(url), Database(url)]
    both[0].migrate()
    intakes = [Intake(database, lambda: None) for database in both]
    for intake in intakes:
        intake.start()
    for n in range(0, 2000, 100):
        some = tuple(alert(m) for m in range(n, n + 100))
        futures = [intakes[0].submit(Delivery("g", some)), intakes[1].submit(Delivery("g", some[::-1]))]
        receipts = [future.result(PATIENCE_S) for future in futures]
        assert sum(receipt.new for receipt in receipts) == 100
    for part in (*intakes,):
        part.stop()
    for database in both:
        database.close()


def test_a_receiver_that_freezes_in_a_transaction_stops_the_others_for_seconds_only(postgresql):
    url = postgresql.database()
    frozen, other = Database(url), Database(url)
    frozen.migrate()
    waited = []

    def write():
        with other.writing() as connection:
            waited.append(connection.execute(sa.select(1)).scalar())

    with pytest.raises(sa.exc.DBAPIError), frozen.writing() as connection:  # noqa: PT012 - all of it is the one case
        connection.exec_driver_sql("UPDATE fencing SET last = 99")
        thread = threading.Thread(target=write)
        thread.start()
        thread.join(30)  # the server ends the frozen one's session, and with it its locks
        assert waited == [1]
        connection.exec_driver_sql("UPDATE fencing SET last = 100")
    with other.reading() as connection:
        assert connection.execute(sa.select(schema.fencing.c.last)).scalar() == 0
    for database in (frozen, other):
        database.close()


LEASE = runs.Lease("me", 5.0, sa.literal(100.0))
LLAMA = Target("node-a", "llama")


def _open(connection, target=LLAMA):
    return open_incident(connection, target, now=time.time())


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
        first = begin_run(connection, LEASE, incident)
        begin_run(connection, LEASE, incident, "node-b")
    with pytest.raises(sa.exc.IntegrityError), database.writing() as connection:
        begin_run(connection, LEASE, incident)
    with database.writing() as connection:
        runs.update(connection, first, state="failed")
        assert begin_run(connection, LEASE, incident) > first
