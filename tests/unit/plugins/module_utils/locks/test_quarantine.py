# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose mark of a quarantine stands, and that what cannot be read counts as one."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.locks import quarantine
from ansible_collections.autoglm.recovery.plugins.module_utils.locks.quarantine import Quarantine, QuarantineUnreadable

ALICE = quarantine.mark(who="alice on ops-1", reason="new memory", since=1000.0, until=2000.0)
SEVEN = quarantine.mark(who="incident 7 (root on a)", reason="Xid 79", since=1500.0, incident="7", details=("GPU-1",))


def test_the_first_order_stands_and_somebody_else_s_is_not_written_over() -> None:
    assert quarantine.after_order(None, SEVEN, force=False) == SEVEN
    assert quarantine.after_order(ALICE, SEVEN, force=False) == ALICE


def test_a_person_s_word_replaces_any_and_the_host_is_out_since_the_first() -> None:
    stands = quarantine.after_order(SEVEN, ALICE, force=True)
    assert (stands.who, stands.reason, stands.since) == ("alice on ops-1", "new memory", 1500.0)


def test_an_incident_says_anew_what_it_has_said() -> None:
    again = quarantine.mark(who="incident 7 (root on ops-2)", reason="Xid 79 again", since=9000.0, incident="7")
    assert quarantine.after_order(SEVEN, again, force=False).reason == "Xid 79 again"


@pytest.mark.parametrize(
    ("mark", "incident", "force", "lifted"),
    [
        (SEVEN, "7", False, True),
        (SEVEN, "8", False, False),
        (SEVEN, "", False, False),
        (SEVEN, "", True, True),
        (ALICE, "7", False, False),
        (ALICE, "", False, False),  # two that are nobody are not one
        (ALICE, "", True, True),
    ],
)
def test_only_its_own_incident_or_a_person_lifts_a_mark(
    mark: Quarantine, incident: str, force: bool, lifted: bool
) -> None:
    why = quarantine.why_not_lift(mark, incident, force)
    assert (why is None) is lifted
    assert why is None or mark.reason in why


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = str(tmp_path / "made" / "quarantine")
    assert quarantine.read(path) is None
    for mark in (ALICE, SEVEN):
        quarantine.write(path, mark)
        assert quarantine.read(path) == mark
    quarantine.lift(path)
    quarantine.lift(path)
    assert quarantine.read(path) is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "[]", "x", '{"who": 1}', "[" * 100000),
        quarantine.as_text(ALICE).replace("1000.0", "NaN"),
        quarantine.as_text(ALICE).replace("1000.0", "true"),
        quarantine.as_text(ALICE).replace("2000.0", '"soon"'),
    ],
)
def test_a_mark_that_cannot_be_read_is_no_absence_of_one(tmp_path: Path, text: str) -> None:
    path = tmp_path / "quarantine"
    path.write_text(text)
    with pytest.raises(QuarantineUnreadable):
        quarantine.read(str(path))


def test_a_mark_that_is_no_plain_file_is_no_absence_of_one(tmp_path: Path) -> None:
    (tmp_path / "quarantine").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(QuarantineUnreadable):
        quarantine.read(str(tmp_path / "quarantine"))


def test_texts_of_anybody_become_one_plain_line() -> None:
    mark = quarantine.mark(who="a\nb", reason="x\x1b[2J" + "y" * 5000, since=0.0, details=("1\n2",) * 100)
    assert mark.who == "a b"
    assert "\x1b" not in mark.reason
    assert len(mark.reason) <= quarantine.LONGEST_TEXT
    assert (mark.details[0], len(mark.details)) == ("1 2", 32)
    assert "\n" not in mark.said()


def test_it_says_since_when_by_whom_until_when_and_why() -> None:
    assert ALICE.said() == (
        "under quarantine since 1970-01-01 00:16:40 UTC by alice on ops-1, "
        "meant until 1970-01-01 00:33:20 UTC: new memory"
    )
