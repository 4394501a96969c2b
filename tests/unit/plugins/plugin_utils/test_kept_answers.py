# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An answer that is kept stands for a new one for as long as was said, and never longer."""

from __future__ import annotations

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.prometheus.asking import CannotAsk, Telling
from ansible_collections.autoglm.recovery.plugins.plugin_utils.kept_answers import (
    Ages,
    Counted,
    counted,
    entries_of,
    kept_answer,
)

OLD, NEW = Telling(({"labels": {"host": "old"}, "url": ""},), (), ()), Telling((), (), ())
NOW = 1_800_000_000.0


def refused() -> Telling:
    """Stand for a server that does not answer."""
    raise CannotAsk("http://a: nothing listens there")


@pytest.mark.parametrize(
    ("age", "fresh", "telling"),
    [
        (29.0, 30, OLD),
        (30.0, 30, NEW),
        (1e9, 0, OLD),
        (1.0, None, NEW),
        # Kept by a clock that was ahead.
        (-1.0, 30, NEW),
    ],
)
def test_a_young_answer_is_used_in_place_of_asking(age: float, fresh: float | None, telling: Telling) -> None:
    found = counted(lambda: NEW, Counted(OLD, NOW - age), Ages(fresh, 60), NOW)
    assert (found.telling, found.instead) == (telling, "")


def test_an_old_answer_is_used_for_want_of_a_new_one_and_says_why() -> None:
    found = counted(refused, Counted(OLD, NOW - 60), Ages(30, 60), NOW)
    assert (found.telling, found.at, found.instead) == (OLD, NOW - 60, "http://a: nothing listens there")


@pytest.mark.parametrize(
    ("kept", "stale", "said"),
    [
        (None, 60.0, "and no earlier answer is kept"),
        (Counted(OLD, NOW - 61), 60.0, "and the last answer that is kept is 61 s old, which is too old"),
        (Counted(OLD, NOW + 5), 60.0, "which is too old"),
        (Counted(OLD, NOW - 31), 0.0, "nothing listens there"),
    ],
)
def test_without_one_it_is_an_error(kept: Counted | None, stale: float, said: str) -> None:
    with pytest.raises(CannotAsk, match=said):
        counted(refused, kept, Ages(30, stale), NOW)


def test_what_is_kept_is_read_again_and_anything_else_is_nothing() -> None:
    assert kept_answer(Counted(OLD, NOW).as_plain()) == Counted(OLD, NOW)
    for other in (None, [], {}, {"at": NOW}, {"at": "x", "telling": OLD.as_plain()}, {"at": NOW, "telling": {"up": 1}}):
        assert kept_answer(other) is None
    assert entries_of("what another plugin has kept") == {}
