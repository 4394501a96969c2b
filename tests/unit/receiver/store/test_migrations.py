# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema of every release leads to the newest, with what is in it."""

from __future__ import annotations

import threading
import time

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from autoglm_recovery.receiver.runs.awx import jobs
from autoglm_recovery.receiver.store import audit, runs, schema
from autoglm_recovery.receiver.store.database import MIGRATIONS, Database
from autoglm_recovery.receiver.store.runs import Lease
from autoglm_recovery.receiver.values.model import Alert

FIRST_RELEASE = "0001"
# It has its table in the same metadata, once it was imported.
assert audit

INCIDENT = (
    "INSERT INTO incidents (target_key, host, failure_class, fault_mode, state, reason, root_cause, approved, "
    "attempts_from, first_starts_at, opened_at, due_at, updated_at) VALUES ('node-{n}', 'node-{n}', 'oom', "
    "'transient', '{state}', 'r', 'c', {false}, 0, 1.0, 1.0, 1.0, 1.0)"
)
RUN = (
    "INSERT INTO runs (incident_id, host, action, attempt, state, reason, directory, events_told, started_at) "
    "VALUES ({n}, 'node-{n}', 'restart_process', 1, '{state}', 'r', '/state/runs/{n}', 7, 1.0)"
)
ALERT = (
    "INSERT INTO alerts (redelivery_key, deliveries, group_key, fingerprint, status, starts_at, labels, annotations, "
    "generator_url, committed_at, outcome) VALUES ('k', 3, 'g', 'f', 'firing', 1.0, '{\"host\": \"node-1\"}', '{}', "
    "'', 1.0, 'new')"
)
NOTICE = (
    "INSERT INTO notices (occasion, about, title, body, delivered, attempts, created_at, due_at) "
    "VALUES ('refused', '{}', 't', 'b', '[\"a\"]', 1, 1.0, 1.0)"
)


@pytest.fixture
def first_release(database_url):
    """Return a database as the first release left it, with an incident that is running and one that is over."""
    database = Database(database_url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    false = "false" if database.shared else "0"
    with database.appending() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, FIRST_RELEASE)
        for n, incident, run in ((1, "resolved", "succeeded"), (2, "running", "running")):
            connection.exec_driver_sql(INCIDENT.format(n=n, state=incident, false=false))
            connection.exec_driver_sql(RUN.format(n=n, state=run))
        connection.exec_driver_sql(ALERT)
    yield database
    database.close()


def test_the_migrations_lead_to_the_schema_and_may_be_repeated(database):
    database.migrate()
    with database.writing() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []


def test_the_first_release_leads_to_the_newest_and_nothing_is_lost(first_release):
    first_release.migrate()
    with first_release.writing() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []
        rows = connection.execute(sa.select(schema.runs).order_by(schema.runs.c.id)).all()
        assert [(row.state, row.cursor, row.fence, row.owner, row.launcher) for row in rows] == [
            ("succeeded", 7, 1, "", "local"),
            ("running", 7, 2, "", "local"),
        ]
        (stored,) = connection.execute(sa.select(schema.alerts)).all()
    assert stored.labels == {"host": "node-1"}
    assert stored.identity == Alert("firing", {"host": "node-1"}, {}, 1.0, None, "f").identity


def test_what_the_first_release_had_going_on_is_taken_up_under_a_higher_token(first_release):
    first_release.migrate()
    with first_release.writing() as connection:
        (claim,) = runs.take_up(connection, Lease("me", 5.0, first_release.now()))
    assert claim.run_id == 2
    # The old ones were counted from 1, and hosts may remember them.
    assert abs(claim.fence / 1e6 - time.time()) < 3600


def test_receivers_that_start_at_once_migrate_once(database_url, first_release):
    errors: list[BaseException] = []

    def start():
        database = Database(database_url)
        try:
            database.migrate()
        except sa.exc.SQLAlchemyError as error:
            errors.append(error)
        finally:
            database.close()

    # SQLite has only one receiver.
    threads = [threading.Thread(target=start) for _ in range(3 if first_release.shared else 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_the_cursor_of_a_run_holds_a_bit_for_each_node_of_a_workflow(first_release):
    first_release.migrate()
    with first_release.writing() as connection:
        connection.execute(schema.runs.update().values(cursor=1 << jobs.MOST_TOLD_NODES))
        assert set(connection.execute(sa.select(schema.runs.c.cursor)).scalars()) == {1 << jobs.MOST_TOLD_NODES}


def test_a_notice_of_an_earlier_release_has_called_those_who_have_it(first_release):
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with first_release.appending() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0017")
        connection.exec_driver_sql(NOTICE)
    first_release.migrate()
    with first_release.writing() as connection:
        # A receiver of that release may go on beside this one for a while.
        connection.exec_driver_sql(NOTICE)
        written = connection.execute(sa.select(schema.notices)).all()
        assert [(row.delivered, row.attempted) for row in written] == [(["a"], {})] * 2
