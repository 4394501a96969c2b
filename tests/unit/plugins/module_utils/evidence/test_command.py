# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running commands: exit codes, absence, hanging."""

from __future__ import annotations

from ansible_collections.autoglm.recovery.plugins.module_utils.evidence.command import run


def test_success_has_no_complaint() -> None:
    outcome = run(["sh", "-c", "echo out; echo err >&2"], 10.0)
    assert (outcome.rc, outcome.stdout, outcome.complaint()) == (0, b"out\n", "")


def test_failure_tells_the_error_text_on_one_line() -> None:
    assert run(["sh", "-c", "printf 'a\\nb' >&2; exit 3"], 10.0).complaint() == "exit status 3: a b"


def test_a_missing_program() -> None:
    assert "cannot be run" in run(["/does/not/exist"], 10.0).complaint()


def test_a_command_that_hangs_with_its_children_is_ended() -> None:
    outcome = run(["sh", "-c", "echo begun; sleep 1000 & sleep 1000"], 0.3)
    assert outcome.rc is None
    assert outcome.complaint() == "sh did not end within 0.3 s"


def test_output_is_plain_english(monkeypatch) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert run(["sh", "-c", "echo $LC_ALL"], 10.0).stdout == b"C\n"
