# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit log grows by what people do, and by no more than its bound of what strangers try."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from autoglm_recovery.receiver.operators.orders import CommandRefused, OperatorCommand, carry_out
from autoglm_recovery.receiver.store import audit as log
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.store.schema import incidents
from autoglm_recovery.receiver.values.model import IncidentState
from autoglm_recovery.receiver.values.principal import Principal, Role

ALICE = Principal("alice", Role.operator, "bearer", "192.0.2.1")
STRANGER = log.AuditEntry(log.LOGIN, log.REFUSED_LOGIN)


@pytest.fixture
def database(tmp_path):
    """Return a database with one held incident."""
    made = Database(f"sqlite:///{tmp_path}/receiver.db")
    made.migrate()
    required = [c for c in incidents.columns if not c.nullable and not c.primary_key]
    with made.writing() as connection:
        row = {c.name: c.type.python_type() for c in required} | {"state": IncidentState.held}
        connection.execute(incidents.insert(), row)
    yield made
    made.close()


def rows(database):
    """Return what, outcome and comment of each row."""
    with database.reading() as connection:
        found = connection.execute(log.audit.select().order_by(log.audit.c.id)).all()
    return [(row.what, row.outcome, row.incident_id, row.comment) for row in found]


def test_an_order_and_its_row_are_one_transaction(database, monkeypatch):
    def fail(*_):
        raise sa.exc.OperationalError("INSERT", {}, Exception("disk full"))

    with monkeypatch.context() as broken:
        broken.setattr("autoglm_recovery.receiver.operators.orders.audit.record", fail)
        with pytest.raises(sa.exc.OperationalError):
            carry_out(database, 1, OperatorCommand.approve, ALICE)
    with database.reading() as connection:
        assert connection.execute(sa.select(incidents.c.state)).scalar_one() == IncidentState.held
    carry_out(database, 1, OperatorCommand.close, ALICE, "ticket 42")
    assert rows(database) == [("close", "done", 1, "ticket 42")]


def test_a_refused_order_is_on_record_too(database):
    carry_out(database, 1, OperatorCommand.reject, ALICE)
    with pytest.raises(CommandRefused):
        carry_out(database, 1, OperatorCommand.approve, ALICE, "please")
    with pytest.raises(KeyError):
        carry_out(database, 99, OperatorCommand.approve, ALICE)
    assert rows(database)[1:] == [("approve", "refused", 1, "please"), ("approve", "refused", 99, "")]


def test_strangers_do_not_fill_the_disk_and_push_nobody_out(database, monkeypatch):
    monkeypatch.setattr(log, "MOST_FAILED_LOGINS", 5)
    carry_out(database, 1, OperatorCommand.close, ALICE)
    with database.writing() as connection:
        for _ in range(20):
            log.record_stranger(connection, "198.51.100.7", "bearer", STRANGER)
    assert rows(database) == [("close", "done", 1, ""), *[("login", "unrecognised", None, "")] * 5]


@pytest.mark.parametrize("statement", [log.audit.update().values(who="nobody"), log.audit.delete()])
def test_the_database_refuses_to_forget(database, statement):
    carry_out(database, 1, OperatorCommand.close, ALICE)
    with pytest.raises(sa.exc.IntegrityError, match="only added to"), database.writing() as connection:
        connection.execute(statement)
    assert len(rows(database)) == 1
