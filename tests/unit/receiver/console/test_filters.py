# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A filter is a link, and a link is a filter."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.knowledge.faults.classes import FAILURE_CLASSES
from autoglm_recovery.receiver.console.filters import GROUPS, Filter, read_filter
from autoglm_recovery.receiver.values.model import IncidentState

words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=60).map(str.strip)
numbers = st.none() | st.integers(1, 2**63 - 1)
filters = st.builds(
    Filter,
    state=st.sampled_from(["", *GROUPS, *IncidentState]).map(str),
    failure_class=st.sampled_from(["", *FAILURE_CLASSES]),
    host=words,
    pool=words,
    text=words,
    before=numbers,
    after=st.none(),
)


@given(filters)
def test_what_a_filter_says_as_a_link_is_read_back_as_the_same(chosen):
    read, wrong = read_filter(dict(parse_qsl(chosen.query().removeprefix("?"))))
    assert (read, wrong) == (chosen, ())


@given(st.dictionaries(st.sampled_from(["state", "class", "host", "pool", "q", "before", "after", "x"]), st.text()))
def test_rubbish_is_told_and_narrows_nothing(given_):
    read, wrong = read_filter(given_)
    assert read.states == () or set(read.states) <= set(IncidentState)
    for name, value in (("state", read.state), ("class", read.failure_class)):
        asked = given_.get(name, "").strip()
        assert value == asked or (value == "" and any(name in text for text in wrong))


def test_a_wrong_word_is_answered_with_the_right_ones():
    _, (wrong,) = read_filter({"state": "resolvd"})
    assert "'resolvd'" in wrong
    assert "resolved" in wrong


@pytest.mark.parametrize("number", ["0", "-1", "x", "1" * 30, "\u0661", "1.0"])
def test_a_page_begins_at_a_number(number):
    read, wrong = read_filter({"before": number})
    assert read.before is None
    assert wrong


def test_before_and_after_at_once_is_before():
    read, _ = read_filter({"before": "5", "after": "1"})
    assert (read.before, read.after) == (5, None)


def test_a_change_keeps_the_rest():
    assert Filter(state="held", host="a b").query(before=7) == "?state=held&host=a+b&before=7"
    assert Filter().query() == ""
    assert not Filter(before=7).narrows
    assert Filter(text="x").narrows
