# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where ``autoglm serve`` finds its database, and what it says where it cannot."""

from __future__ import annotations

import json
import os
import sys
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from autoglm_recovery.cli.main import app


@pytest.fixture
def serve(tmp_path):
    """Run it with options that end it before it listens."""
    (tmp_path / "hosts.yml").write_text("all: {hosts: {node-a: {ansible_connection: local}}}")
    place = ["--inventory", str(tmp_path / "hosts.yml"), "--state-dir", str(tmp_path / "state")]

    def run(*options, env=None):
        return CliRunner().invoke(app, ["serve", *place, "--listen", "127.0.0.1:0", *options], env=env or {})

    return run


def test_a_database_is_named_once(serve, tmp_path):
    (tmp_path / "url").write_text("postgresql://x\n")
    result = serve("--database", "sqlite://", "--database-file", str(tmp_path / "url"))
    assert result.exit_code == 2
    assert "--database-file" in result.output


@pytest.mark.parametrize("content", ["", "two words", "a\nb"])
def test_a_file_with_no_url_is_refused(serve, tmp_path, content):
    (tmp_path / "url").write_text(content)
    result = serve("--database-file", str(tmp_path / "url"))
    assert result.exit_code == 1
    assert "must hold one URL" in result.output


def test_a_file_that_is_not_there_is_refused(serve, tmp_path):
    result = serve("--database-file", str(tmp_path / "none"))
    assert result.exit_code == 3
    assert "cannot be read" in result.output


@pytest.mark.parametrize(
    ("url", "code"),
    [("not a url", 1), ("mysql://u:hidden-word@h/d", 1), ("postgresql://u:hidden-word@127.0.0.1:1/d", 3)],
)
def test_a_database_that_cannot_be_used_is_said_without_its_password(serve, url, code):
    for result in (serve("--database", url), serve(env={"AUTOGLM_DATABASE": url})):
        assert result.exit_code == code
        assert "database" in result.output
        assert "hidden-word" not in result.output


@pytest.mark.parametrize("url", ["postgresql://u:hidden-word@h/d", "postgresql://u@h/d?password=hidden-word"])
def test_a_password_that_everybody_could_read_in_the_list_of_processes_is_refused(serve, url, monkeypatch):
    monkeypatch.setattr("sys.argv", ["autoglm", "serve", f"--database={url}"])
    result = serve("--database", url)
    assert result.exit_code == 1
    assert "everybody on this machine can read" in result.output
    assert "hidden-word" not in result.output
    monkeypatch.setattr("sys.argv", ["autoglm", "serve", "--database", "postgresql://u@127.0.0.1:1/d"])
    for allowed in (serve("--database", sys.argv[-1]), serve(env={"AUTOGLM_DATABASE": url})):
        assert "everybody on this machine can read" not in allowed.output
        assert "hidden-word" not in allowed.output


@pytest.mark.parametrize(("lease", "code", "says"), [("5", 2, "is not a duration"), ("100ms", 1, "at least 1s")])
def test_a_lease_is_a_duration_that_can_be_renewed_in(serve, lease, code, says):
    result = serve("--lease", lease)
    assert result.exit_code == code
    assert says in result.output


@pytest.fixture
def check(tmp_path):
    """Run ``serve --check`` with a file of settings, and nothing else."""
    (tmp_path / "hosts.yml").write_text("all: {hosts: {node-a: {ansible_connection: local}}}")

    def run(**settings):
        given = {"inventory": "hosts.yml", "state-dir": "state", "listen": "127.0.0.1:9", **settings}
        (tmp_path / "serve.yaml").write_text(json.dumps(given))
        return CliRunner().invoke(app, ["serve", "--config", str(tmp_path / "serve.yaml"), "--check", "--json"])

    return run


def test_a_check_says_with_what_it_would_start_and_makes_nothing(check, tmp_path):
    result = check()
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["ok"], told["hosts"], told["services"]) == (True, 1, 0)
    assert told["database"].startswith("a new one would be made")
    assert "no host has services: nothing can be repaired" in told["notes"]
    assert {path.name for path in tmp_path.iterdir()} == {"hosts.yml", "serve.yaml"}


@pytest.mark.parametrize(
    ("settings", "code", "says"),
    [
        ({"listen": "0.0.0.0:9470"}, 1, "give --access-file"),
        ({"listen": "nowhere"}, 1, "is not HOST:PORT"),
        ({"access-file": "none"}, 3, "cannot be read"),
        ({"inventory": "none.yml"}, 1, "does not exist"),
        ({"state-dir": "hosts.yml"}, 1, "hosts.yml is no directory that this user may write"),
        ({"state-dir": "hosts.yml/below"}, 1, "hosts.yml is no directory that this user may write"),
        ({"database": "mysql://x"}, 1, "is not supported"),
        ({"tls-cert": "none", "tls-key": "none"}, 3, "TLS cannot be served"),
    ],
)
def test_a_check_refuses_what_a_start_would(check, settings, code, says):
    result = check(**settings)
    assert (result.exit_code, says in result.stderr) == (code, True), result.output


def test_a_check_refuses_a_folder_in_which_nothing_can_be_made(check, monkeypatch):
    of_others = SimpleNamespace(access=lambda *_given: False, W_OK=os.W_OK, X_OK=os.X_OK)
    monkeypatch.setattr("autoglm_recovery.receiver.serve.check.os", of_others)
    result = check()
    assert (result.exit_code, "may write" in result.stderr) == (1, True), result.output


def test_a_start_without_a_file_of_settings_is_one(serve, tmp_path):
    result = serve("--check")
    assert (result.exit_code, "would start" in result.stdout) == (0, True), result.output
    assert not (tmp_path / "state").exists()
