# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exit codes tell "no" from "could not ask", and a program reads of an error what a person does."""

from __future__ import annotations

import importlib
import json
import re
import sqlite3
import ssl
from pathlib import Path

import httpx
import pytest
from sqlalchemy import exc
from typer.testing import CliRunner

from autoglm_recovery.cli import main
from autoglm_recovery.cli.exit_codes import MEANING, ExitCode, of_error, of_status
from autoglm_recovery.cli.main import app
from autoglm_recovery.policy import PolicyError, load_policy
from autoglm_recovery.receiver.fleet.ansible import AnsibleError

OPERATIONS = Path(__file__).parents[3] / "docs/operations.md"


def run(*arguments):
    """Run the command and return its result."""
    return CliRunner().invoke(app, list(arguments))


def caused(cause):
    """Return an error of ours that came of another one."""
    error = ValueError("it cannot be used")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("a mistake"), ExitCode.no),
        (FileExistsError(17, "there already"), ExitCode.no),
        (BlockingIOError(11, "another receiver has it"), ExitCode.no),
        (ssl.SSLError("no certificate"), ExitCode.no),
        (FileNotFoundError(2, "none"), ExitCode.unasked),
        (httpx.ConnectError("refused"), ExitCode.unasked),
        (sqlite3.OperationalError("locked"), ExitCode.unasked),
        (exc.OperationalError("select 1", {}, Exception("gone")), ExitCode.unasked),
        (AnsibleError("did not finish"), ExitCode.unasked),
    ],
)
def test_an_error_is_an_answer_or_none_whatever_it_is_wrapped_in(error, code):
    assert of_error(error) is code
    assert of_error(caused(caused(error))) is code


@pytest.mark.parametrize(("status", "code"), [(400, 1), (403, 1), (404, 1), (409, 1), (401, 3), (429, 3), (503, 3)])
def test_who_is_not_known_or_comes_at_a_bad_time_was_not_answered(status, code):
    assert of_status(status) == code


def test_every_code_has_its_line_in_the_help_and_in_the_documentation():
    rows = dict(re.findall(r"^\| `(\d+)` \| (.+) \|$", OPERATIONS.read_text("utf-8"), re.MULTILINE))
    assert rows == {str(int(code)): MEANING[code] for code in ExitCode}
    told = " ".join(run("--help").stdout.split())
    assert all(f"{int(code)}: {MEANING[code]}" in told for code in ExitCode)


def error_of(result):
    """Return the error that a program is told: the only thing on standard error, and nothing on the other."""
    assert result.stdout == ""
    return json.loads(result.stderr)["error"]


def test_a_program_is_told_why_in_json(tmp_path):
    error = error_of(run("incidents", "list", "--json", "--url", "http://127.0.0.1:1"))
    assert (error["kind"], error["exit_code"]) == ("unasked", 3)
    assert "cannot be asked" in error["message"]
    error = error_of(run("incidents", "show", "none", "--json"))
    assert (error["kind"], error["exit_code"]) == ("usage", 2)
    (tmp_path / "bad.yaml").write_text("monitoring: {intervall: 2s}")
    result = run("xid", "79", "--json", "--policy", str(tmp_path / "bad.yaml"))
    error = error_of(result)
    assert (result.exit_code, error["kind"]) == (1, "no")
    assert error["problems"][0]["key"] == "monitoring.intervall"


def test_what_stands_behind_two_dashes_is_no_option():
    result = run("check", "--", "--json")
    assert (result.exit_code, result.stderr) == (3, "--json:1: cannot be read: No such file or directory\n")


def test_a_policy_that_cannot_be_read_is_no_policy_with_mistakes(tmp_path):
    with pytest.raises(PolicyError) as found:
        load_policy(tmp_path / "none.yaml")
    assert of_error(found.value) is ExitCode.unasked
    assert run("check", str(tmp_path / "none.yaml"), "--json").exit_code == 3


def test_a_mistake_of_ours_is_no_answer(monkeypatch, capsys):
    def broken():
        raise KeyError("token=s3cret-word-of-ours")

    monkeypatch.setattr(importlib.import_module("autoglm_recovery.cli.main"), "app", broken)
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == ExitCode.broken
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert "s3cret-word" not in told
