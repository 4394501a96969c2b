# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running commands: exit codes, absence, hanging."""

from __future__ import annotations

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.host import command
from ansible_collections.autoglm.recovery.plugins.module_utils.host.command import run


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


@pytest.mark.parametrize("stream", [1, 2])
def test_of_a_line_without_end_only_the_last_of_it_is_held(monkeypatch: pytest.MonkeyPatch, stream: int) -> None:
    monkeypatch.setattr(command, "MOST_BYTES", 2**20)
    outcome = run(["sh", "-c", f"(head -c 16777216 /dev/zero; echo the end) >&{stream}"], 60.0)
    said = (outcome.stdout, outcome.stderr)[stream - 1]
    assert (len(said), said[-8:], outcome.rc, outcome.cut) == (2**20, b"the end\n", 0, True)
    assert outcome.complaint() == "sh said more than 1048576 bytes"


def test_what_is_said_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "MOST_BYTES", 2**20)
    outcome = run(["yes"], 0.3)
    assert (outcome.rc, outcome.complaint()) == (None, "yes did not end within 0.3 s")
    assert len(outcome.stdout) <= 2**20
