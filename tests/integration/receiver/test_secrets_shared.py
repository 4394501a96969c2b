# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same secrets with a database that receivers share: none is in its tables, and its own password is nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest

from tests.support.servers import planted, postgres

from . import indiscreet
from .indiscreet import autoglm, holds, in_environments, kept
from .running import Receiver

# Where the receiver has it from: libpq looks there.
PASSWORD = planted.secret("PGPASSWORD")
TABLES = """\
SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
"""


@dataclass
class Shared:
    """A receiver that has been used, and its database's URLs: for everybody to see, and with the password."""

    receiver: Receiver
    shown: str
    url: str


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """Return a receiver that has carried recoveries through on PostgreSQL."""
    with postgres.running() as server:
        server.execute(f"CREATE ROLE receiver LOGIN PASSWORD '{PASSWORD}'")
        server.execute("CREATE DATABASE shared OWNER receiver")
        place = f"127.0.0.1:{server.port}/shared"
        shown, url = f"postgresql://receiver@{place}", f"postgresql://receiver:{PASSWORD}@{place}"
        directory = tmp_path_factory.mktemp("shared")
        given = {"arguments": ("--database", shown), "variables": {"AUTOGLM_DATABASE": url}}
        with indiscreet.used(directory, indiscreet.once, **given) as receiver:
            yield Shared(receiver, shown, url)


def test_no_table_holds_a_secret(shared: Shared) -> None:
    with psycopg.connect(shared.url) as connection:
        tables = [name for (name,) in connection.execute(TABLES)]
        dump = {
            name: [row for (row,) in connection.execute(f"SELECT t::text FROM {name} AS t".encode())]  # noqa: S608
            for name in tables
        }
    for name in ("public.alerts", "public.audit", "public.incidents", "public.notices", "public.runs"):
        assert dump[name], name
    assert {name: held for name, rows in dump.items() if (held := holds("\n".join(rows).encode()))} == {}


def test_neither_a_backup_nor_the_state_directory_nor_the_log_holds_one(shared: Shared) -> None:
    assert holds(autoglm(shared.receiver, "backup", "saved.db")) == []
    files = kept(shared.receiver, "saved.db")
    assert any("job_events" in path for path in files)
    assert {path: held for path, content in files.items() if (held := holds(content))} == {}


def test_no_process_shows_the_password_and_no_run_has_it(shared: Shared) -> None:
    words = b"\n".join(word for shown in shared.receiver.shown.values() for word in shown.cmdline)
    assert shared.shown.encode() in words
    assert holds(words) == []
    assert in_environments(shared.receiver) == []
