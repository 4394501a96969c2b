# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A PostgreSQL whose schema an upgrade has changed is put back by the role receiver as it was, with what was in it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from tests.integration.roles.running import PROGRAMS, RECAP
from tests.lab.laboratory import environment
from tests.support.servers import postgres

# What a wrong reading of the URL would take for something else.
PASSWORD = "p@ss/wörd%'\"&"

# What a migration may do.
CHANGE = """
CREATE TABLE of_another_time (id int);
DROP TABLE notices CASCADE;
UPDATE alembic_version SET version_num = '9999'
"""
# Fails where the tables of that are not there any more.
PROOF = "SELECT id FROM of_another_time"


def tables(server: postgres.Postgres, database: str) -> set[str]:
    """Name the tables of a database."""
    found = server.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database)
    return {str(row[0]) for row in found}


def test_a_changed_schema_is_put_back_with_what_was_in_it(tmp_path: Path) -> None:
    with postgres.running() as server:
        database = urlsplit(server.database()).path.lstrip("/")
        quoted = PASSWORD.replace("'", "''")
        server.execute(f"CREATE ROLE receiver LOGIN PASSWORD '{quoted}'")
        server.execute(f"ALTER DATABASE {database} OWNER TO receiver")
        netloc = f"receiver:{quote(PASSWORD, safe='')}@127.0.0.1:{server.port}"
        url = urlunsplit(("postgresql", netloc, f"/{database}", "application_name=a%20name", ""))
        migrate = (
            "from autoglm_recovery.receiver.store.database import Database; import sys; Database(sys.argv[1]).migrate()"
        )
        subprocess.run([PROGRAMS / "python", "-c", migrate, url], check=True)
        before = tables(server, database)
        assert {"incidents", "alembic_version"} <= before
        server.execute("UPDATE alembic_version SET version_num = 'of before'", database)

        (tmp_path / "receiver.before").mkdir()
        (tmp_path / "saved").mkdir()
        dump, whole = tmp_path / "saved/receiver.dump", tmp_path / "whole"
        role = {"name": "autoglm.recovery.receiver"}
        tasks = [
            {"ansible.builtin.include_role": {**role, "tasks_from": "dump_postgresql"}},
            {"ansible.builtin.command": {"argv": ["psql", "--dbname", url, "--command", CHANGE]}},
            # What cannot be put back whole leaves what is there.
            {"ansible.builtin.command": {"argv": ["cp", str(dump), str(whole)]}},
            {"ansible.builtin.command": {"argv": ["truncate", "--size=-1000", str(dump)]}},
            {
                "block": [{"ansible.builtin.include_role": {**role, "tasks_from": "restore_postgresql"}}],
                "rescue": [{"ansible.builtin.command": {"argv": ["psql", "--dbname", url, "--command", PROOF]}}],
            },
            {"ansible.builtin.command": {"argv": ["mv", str(whole), str(dump)]}},
            {"ansible.builtin.include_role": {**role, "tasks_from": "restore_postgresql"}},
        ]
        playbook = tmp_path / "play.yml"
        playbook.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": str(PROGRAMS / "python"),
            "receiver_database_url": url,
            "receiver_config_directory": str(tmp_path / "receiver"),
            "receiver_group": "root",
            # Whoever plays this here is not root of a host that has the receiver's user.
            "__receiver_as_its_user": [],
            "__receiver_saved": str(tmp_path / "saved"),
        }
        found = environment()
        done = subprocess.run(
            [PROGRAMS / "ansible-playbook", playbook, "-i", "localhost,", "-e", json.dumps(variables)],
            capture_output=True,
            text=True,
            check=False,
            env={**found, "PATH": f"{found['PATH']}{os.pathsep}{server.programs}"},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert RECAP.search(done.stdout)
        assert "rescued=1" in done.stdout
        assert PASSWORD not in done.stdout
        assert tables(server, database) == before
        assert server.execute("SELECT version_num FROM alembic_version", database) == [("of before",)]
