# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which receiver is asked and by whom: options, environment, file, in this order."""

from __future__ import annotations

import base64

import pytest
import typer
from typer.testing import CliRunner

from autoglm_recovery.cli import asking
from autoglm_recovery.cli.main import app
from tests.support.servers.http_answers import Reply, answering_http

ANSWER = Reply(200, b'{"incidents": []}', {"Content-Type": "application/json"})
CLIENTS = [
    *(["incidents", name] for name in ("list", "show", "report", "approve", "reject", "retry", "close", "cancel")),
    ["pause"],
    ["resume"],
    ["audit"],
]


@pytest.fixture(autouse=True)
def _no_files(monkeypatch, tmp_path):
    monkeypatch.setattr(asking, "FILES", (tmp_path / "mine.yaml", tmp_path / "everybodys.yaml"))
    (tmp_path / "token").write_text("token-of-the-file\n")
    (tmp_path / "other").write_text("token-of-the-line\n")
    (tmp_path / "password").write_text("word\n")


@pytest.fixture
def asked(tmp_path):
    """List incidents with these options and variables, and return who asked by what the receiver got."""

    def run(*options, file=None, **environment):
        with answering_http(lambda _asked: ANSWER) as server:
            if file is not None:
                (tmp_path / "mine.yaml").write_text(file.replace("URL", server.url))
            where = () if file is not None else ("--url", server.url)
            result = CliRunner().invoke(app, ["incidents", "list", *where, *options], env=environment)
            assert result.exit_code == 0, result.output
        (one,) = server.asked
        return one.headers.get("Authorization", "")

    return run


def basic(user, password):
    """Return the header of a user with a password."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


@pytest.mark.parametrize("command", CLIENTS, ids=" ".join)
def test_every_client_names_its_connection_in_its_help(command):
    told = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"}).stdout
    options = ("url", "token-file", "user", "password-file", "ca-file", "client-cert", "client-key", "config")
    assert [name for name in options if f"--{name} " not in told] == []
    assert all(word in told for word in ("AUTOGLM_TOKEN", "AUTOGLM_PASSWORD", "AUTOGLM_CONFIG"))


def test_the_file_says_whom_to_ask_and_as_whom(asked):
    assert asked(file="url: URL\ntoken-file: token\n") == "Bearer token-of-the-file"
    assert asked(file="url: URL\nuser: alice\npassword-file: password\n") == basic("alice", "word")


def test_what_is_nearer_to_the_command_counts(asked, tmp_path):
    file = "url: URL\ntoken-file: token\n"
    assert asked(file=file, AUTOGLM_TOKEN="of-the-environment") == "Bearer of-the-environment"
    assert asked("--token-file", str(tmp_path / "other"), file=file, AUTOGLM_TOKEN="x") == "Bearer token-of-the-line"
    assert asked("--user", "alice", file=file, AUTOGLM_PASSWORD="word") == basic("alice", "word")
    person = "url: URL\nuser: alice\npassword-file: password\n"
    assert asked(file=person, AUTOGLM_TOKEN="of-the-environment") == "Bearer of-the-environment"


def test_the_first_file_that_is_there_counts_unless_one_is_named(asked, tmp_path):
    (tmp_path / "everybodys.yaml").write_text("token-file: other\n")
    assert asked() == "Bearer token-of-the-line"
    (tmp_path / "named.yaml").write_text("token-file: token\n")
    assert asked("--config", str(tmp_path / "named.yaml")) == "Bearer token-of-the-file"
    assert asked(AUTOGLM_CONFIG=str(tmp_path / "named.yaml")) == "Bearer token-of-the-file"


def test_a_file_has_the_connection_and_nothing_else(tmp_path):
    (tmp_path / "mine.yaml").write_text("state: held\n")
    result = CliRunner().invoke(app, ["incidents", "list", "--json"])
    assert (result.exit_code, "mine.yaml:1: state: no such option" in result.stderr) == (2, True)


def test_a_file_that_others_may_write_sends_a_token_nowhere(tmp_path):
    (tmp_path / "mine.yaml").write_text("url: http://127.0.0.1:1\n")
    (tmp_path / "mine.yaml").chmod(0o666)
    result = CliRunner().invoke(app, ["incidents", "list"])
    assert result.exit_code == 3
    assert "others than its owner may write it" in result.stderr


def test_a_command_keeps_its_own_options_and_gets_a_receiver():
    seen = []

    @asking.asks_receiver
    def command(receiver: asking.AskedReceiver, number: int = 3) -> None:
        seen.append((receiver.url, number))

    alone = typer.Typer()
    alone.command()(command)
    assert CliRunner().invoke(alone, ["--number", "5", "--url", "http://x"]).exit_code == 0
    assert seen == [("http://x", 5)]


@pytest.mark.parametrize(
    "answer",
    [
        Reply(200, b'{"status": "ok"}'),
        Reply(200, b'["incidents"]'),
        Reply(200, b"<html>log in</html>"),
        Reply(200, b'{"timeline": ['),
        Reply(302, b'{"timeline": []}', {"Location": "/login"}),
        Reply(403, b"<html>not from here</html>"),
        Reply(404, b'{"detail": "Not Found"}'),
        Reply(502, b'{"timeline": []}'),
    ],
    ids=lambda answer: f"{answer.status} {answer.body.decode()}",
)
@pytest.mark.parametrize("command", [["show", "5"], ["report", "5"], ["approve", "5"]], ids=" ".join)
def test_who_answers_otherwise_than_a_receiver_was_not_asked(answer, command):
    with answering_http(lambda _asked: answer) as server:
        result = CliRunner().invoke(app, ["incidents", *command, "--url", server.url])
    assert (result.exit_code, result.stdout) == (3, "")


def test_a_receivers_own_refusal_is_the_answer_no():
    refusal = Reply(404, b'{"status": 404, "detail": "there is no such incident"}')
    with answering_http(lambda _asked: refusal) as server:
        result = CliRunner().invoke(app, ["incidents", "show", "5", "--url", server.url])
    assert (result.exit_code, result.stderr) == (1, "refused (404): there is no such incident\n")


def test_a_token_of_the_environment_that_is_none_is_not_repeated():
    result = CliRunner().invoke(app, ["incidents", "list"], env={"AUTOGLM_TOKEN": "first\nsecond"})
    assert result.exit_code == 3
    assert "AUTOGLM_TOKEN holds no token" in result.stderr
    assert "first" not in result.stderr
    assert "second" not in result.stderr


def test_who_has_no_home_or_may_not_look_into_the_folder_has_no_file(monkeypatch, tmp_path):
    def no_home(_path):
        raise RuntimeError("Could not determine home directory.")

    def closed(_path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(asking.Path, "expanduser", no_home)
    assert asking._own_file() is None
    monkeypatch.undo()
    monkeypatch.setattr(asking, "FILES", (tmp_path / "mine.yaml",))
    monkeypatch.setattr(asking.Path, "is_file", closed)
    assert asking._own_file() is None
