# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a stranger writes is one printable line of the length that was asked for."""

from __future__ import annotations

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.host.command import CommandResult
from ansible_collections.autoglm.recovery.plugins.module_utils.host.plain import one_line, plain, quoted
from hypothesis import given
from hypothesis import strategies as st

ANYTHING = st.text(st.characters())


@given(text=ANYTHING, longest=st.integers(10, 60))
def test_whatever_is_written_is_one_printable_line_and_no_longer_than_asked(text: str, longest: int) -> None:
    for line in (one_line(text, longest), quoted(text, longest)):
        assert line.isprintable()
        assert len(line) <= longest


@given(text=ANYTHING)
def test_what_is_plain_already_stays_as_it_is(text: str) -> None:
    assert plain(plain(text)) == plain(text)
    assert one_line(one_line(text)) == one_line(text)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\tb\r\n  c ", "a b c"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("node-a\u202eb", "node-a\\u202eb"),
        ("node-a\u3164", "node-a\\u3164"),
        (ValueError("no\nsuch file"), "no such file"),
    ],
)
def test_nothing_in_a_line_moves_the_cursor_or_hides(text: object, line: str) -> None:
    assert one_line(text) == line


def test_what_was_cut_says_so() -> None:
    assert one_line("a" * 20, 20) == "a" * 20
    assert one_line("a" * 21, 20) == "a" * 17 + "..."
    assert quoted("a" * 10**6, 20) == "'" + "a" * 16 + "..."


def test_a_program_does_not_paint_on_the_terminal_of_whoever_reads_its_complaint() -> None:
    assert CommandResult(1, b"", b"\x1b[2Jall is\nwell").complaint() == "exit status 1: \\x1b[2Jall is well"
