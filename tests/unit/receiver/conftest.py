# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Both databases, real: what is promised about the store is promised on each."""

from __future__ import annotations

import pytest

from autoglm_recovery.receiver.store.database import Database
from tests.support.servers import postgres


@pytest.fixture(scope="session")
def postgresql():
    """Return one server for all tests."""
    with postgres.running() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, tmp_path):
    """Return where an empty database is."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'r.db'}"
    return request.getfixturevalue("postgresql").database()


@pytest.fixture
def database(database_url):
    """Return a database with the newest schema."""
    database = Database(database_url)
    database.migrate()
    yield database
    database.close()
