# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``autoglm notify test`` sends a page to every address of every route, and says what became of each."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from autoglm_recovery.cli.main import app
from tests.support.servers.fake_pager import SECRET, FakePager


@pytest.fixture
def web():
    """Return a server that people's pages go to."""
    made = FakePager()
    yield made
    made.close()


def run(tmp_path, routes: str, *options: str):
    """Run the command with these routes."""
    (tmp_path / "policy.yaml").write_text(f"notify: {{routes: {routes}}}")
    return CliRunner().invoke(app, ["notify", "test", "--policy", str(tmp_path / "policy.yaml"), *options])


def test_each_address_is_tried_and_told_of_without_its_secret(tmp_path, web):
    (tmp_path / "urls").write_text(f"# on call\n{web.url}\n")
    routes = (
        f"['{web.url}', {{urls_file: {tmp_path}/urls}}, 'json://user:{SECRET}@127.0.0.1:1/x', {{urls_file: /none}}]"
    )
    done = run(tmp_path, routes)
    assert done.exit_code == 1
    lines = done.output.splitlines()
    assert [line.split(":")[0] for line in lines] == ["route 1", "route 2", "route 3", "route 4"]
    assert [line.endswith(": sent") for line in lines] == [True, True, False, False]
    assert SECRET not in done.output
    assert [told["title"] for told in web.received] == ["[autoglm] test page"] * 2
    assert "Nothing is wrong" in web.received[0]["message"]


def test_it_exits_0_only_where_all_were_reached_and_speaks_json(tmp_path, web):
    done = run(tmp_path, f"['{web.url}']", "--json")
    assert (done.exit_code, json.loads(done.output)["sent"]) == (0, True)
    web.status = 500
    done = run(tmp_path, f"['{web.url}']", "--json")
    assert (done.exit_code, json.loads(done.output)["sent"]) == (1, False)


def test_a_policy_that_names_nobody_is_no_success(tmp_path):
    done = run(tmp_path, "[]")
    assert done.exit_code == 1
    assert "nobody is told" in done.output


def test_a_route_whose_file_is_empty_is_no_success(tmp_path):
    (tmp_path / "urls").write_text("# nobody yet\n")
    done = run(tmp_path, f"[{{urls_file: {tmp_path}/urls}}]")
    assert done.exit_code == 1
    assert "holds no address" in done.output
