# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines for the access file, and what the receiver makes of them."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from autoglm_recovery.cli.main import app
from autoglm_recovery.receiver.access import passwords
from autoglm_recovery.receiver.access.entries import digest, parse_entry
from autoglm_recovery.receiver.values.principal import Role


def run(*arguments, given=""):
    """Run the command and return its result."""
    return CliRunner().invoke(app, list(arguments), input=given)


def test_a_new_token_is_shown_once_beside_the_line_that_knows_it():
    result = run("new-token", "alertmanager", "sender")
    assert result.exit_code == 0
    token = result.stderr.strip().rpartition(" ")[2]
    entry = parse_entry(result.stdout.strip())
    assert (entry.name, entry.role, entry.kind, entry.secret) == ("alertmanager", Role.sender, "bearer", digest(token))
    assert len(token) >= 43
    assert token not in result.stdout
    assert run("new-token", "alertmanager", "sender").stdout != result.stdout


def test_a_password_becomes_a_line_that_knows_it():
    result = run("hash-password", "alice", "operator", given="correct horse battery\n")
    entry = parse_entry(result.stdout.strip())
    assert (entry.name, entry.role, entry.kind) == ("alice", Role.operator, "basic")
    assert passwords.verify("correct horse battery", entry.secret)


@pytest.mark.parametrize(
    ("arguments", "given", "code", "said"),
    [
        (("new-token", "x", "root"), "", 2, "sender, viewer, operator"),
        (("new-token", "a/b", "viewer"), "", 2, "a name has"),
        (("hash-password", "alice", "admin"), "correct horse battery\n", 2, "sender, viewer, operator"),
        (("hash-password", "alice", "viewer"), "short\n", 1, "12 characters"),
        (("hash-password", "alice", "viewer"), "", 1, "12 characters"),
    ],
)
def test_what_would_be_no_line_of_the_file_is_refused(arguments, given, code, said):
    result = run(*arguments, given=given)
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr


def test_a_receiver_that_cannot_be_asked_is_an_error_and_no_traceback(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOGLM_CA_FILE", str(tmp_path / "none"))
    result = run("audit", "--url", "https://127.0.0.1:1")
    assert result.exit_code == 3
    assert "cannot be asked" in result.stderr
