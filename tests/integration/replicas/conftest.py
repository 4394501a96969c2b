# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One PostgreSQL for all tests, a database for each, and receivers that share it."""

from __future__ import annotations

import pytest

from tests.support.servers import postgres

from .pair import Pair


@pytest.fixture(scope="session")
def postgresql():
    """Return one server for all tests."""
    with postgres.running() as server:
        yield server


@pytest.fixture
def pair(tmp_path, postgresql):
    """Return two receivers on one database; the test starts them."""
    both = Pair(tmp_path, postgresql.database())
    yield both
    both.end()
