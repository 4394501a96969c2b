# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Matchers in Alertmanager's syntax."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.policy.matchers import LONGEST_MATCHED_VALUE, parse_matchers


def matches(text: str, **labels: str) -> bool:
    """Tell whether all matchers of a text match."""
    return all(matcher.matches(labels) for matcher in parse_matchers(text))


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ('a="x"', {"a": "x"}, True),
        ('a="x"', {"a": "xx"}, False),
        ("a=x", {"a": "x"}, True),
        ('a!="x"', {}, True),
        ('a=~"x.*"', {"a": "xyz"}, True),
        ('a=~"x"', {"a": "xyz"}, False),  # anchored, as in Alertmanager
        ('a!~"x.*"', {"a": "xyz"}, False),
        ('a=""', {}, True),  # an absent label is empty text
        ('{a="x", b=~"y|z"}', {"a": "x", "b": "z"}, True),
        ('{a="x", b=~"y|z"}', {"a": "x", "b": "q"}, False),
        (r'a="say \"hi\""', {"a": 'say "hi"'}, True),
        ('a="b,c"', {"a": "b,c"}, True),
        (r'a=~"\\d+"', {"a": "42"}, True),
    ],
)
def test_matching(text, labels, expected):
    assert matches(text, **labels) is expected


@pytest.mark.parametrize("text", ["", "{}", "a", 'a="x" b="y"', "a==x", '="x"', 'a=~"("', "a=x,,b=y"])
def test_what_cannot_be_read_is_refused(text):
    with pytest.raises(ValueError, match=r"\S"):
        parse_matchers(text)


def test_a_hostile_value_does_not_reach_the_regular_expression():
    assert not matches('a=~"a+"', a="a" * (LONGEST_MATCHED_VALUE + 1))


def test_no_value_makes_an_expression_of_the_policy_take_long():
    # Python's own engine takes hours for it.
    assert not matches('a=~"(a+)+b"', a="a" * LONGEST_MATCHED_VALUE)


@pytest.mark.parametrize("text", ['a=~"(?!x).*"', r'a=~"(a)\\1"'])
def test_what_alertmanager_does_not_know_is_refused(text):
    with pytest.raises(ValueError, match="not a regular expression"):
        parse_matchers(text)


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text):
    try:
        assert parse_matchers(text)
    except ValueError as error:
        assert str(error)
