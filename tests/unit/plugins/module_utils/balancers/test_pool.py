# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who serves, and how many must."""

from __future__ import annotations

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.pool import parse_needed
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "total", "needed"),
    [("0", 3, 0), ("2", 3, 2), ("50%", 3, 2), ("50%", 4, 2), ("100%", 4, 4), ("1%", 4, 1), ("0%", 4, 0), (" 1 ", 9, 1)],
)
def test_a_number_or_a_share_rounded_up(text: str, total: int, needed: int) -> None:
    assert parse_needed(text).of(total) == needed


@pytest.mark.parametrize("text", ["", "-1", "1.5", "101%", "half", "50 %", "1\n2", "%"])
def test_what_is_neither(text: str) -> None:
    with pytest.raises(ValueError, match="min_available"):
        parse_needed(text)


@given(st.integers(0, 100), st.integers(0, 1000))
def test_a_share_is_never_less_than_asked(percent: int, total: int) -> None:
    assert parse_needed(f"{percent}%").of(total) * 100 >= percent * total
