# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expressions of strangers, on texts of strangers: they mean what Alertmanager takes them for, and are done in time."""

from __future__ import annotations

import time

import pytest

from autoglm_recovery.policy.expressions import LONGEST, compile_expression, fits
from autoglm_recovery.policy.matchers import LONGEST_MATCHED_VALUE

ENDLESS_FOR_PYTHON = [
    r"(a+)+b",
    r"(a*)*b",
    r"(a|ab)+c",
    r"(a|a?)+b",
    r"((a?){30})b",
    r"(?:a+b?)*c",
    r"(a+){2,9}b",
    r".*.*.*.*x",
    r"a?a?a?a?a?a?a?a?b",
    r"(a|aa)(a|aa)(a|aa)(a|aa)b",
    # These take their time for no text at all.
    r"(?:|^)" * 28 + r"\bx",
    r"(?:^)?" * 28 + r"\bx",
    r"(?:(?:(?:^){10}){10}){10}x",
]
# About as large as may be.
LARGEST = [r"(?:a?){1000}" * 10 + "x", r"(?:a{0,100}b?)" * 100 + "x", r"(?:é?){200}" * 36 + "x"]
TOO_LARGE = [
    *(r"(?:(?:(?:^){200}){200}){200}x", r"(?:a{0,1000}b?)" * 200, r"(?:a?){1000}" * 43, r"a{1000}" * 2000),
    *("a" * (LONGEST + 1), "(" * LONGEST),
]


@pytest.mark.parametrize("expression", [*ENDLESS_FOR_PYTHON, *LARGEST])
def test_no_expression_takes_long_for_any_text(expression: str) -> None:
    compiled = compile_expression(expression)
    for text in ("", "a", "a" * 60, "a" * LONGEST_MATCHED_VALUE):
        begun = time.thread_time()
        assert not fits(compiled, text)
        assert time.thread_time() - begun < 5


@pytest.mark.parametrize("expression", TOO_LARGE)
def test_one_that_would_take_long_is_refused_in_time(expression: str) -> None:
    begun = time.thread_time()
    with pytest.raises(ValueError, match=r"\w") as refused:
        compile_expression(expression)
    assert time.thread_time() - begun < 5
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("expression", [r"(a)\1", r"(?=a+b)a*", r"(?!x).*", "(", "\ud800", r"\x{110000}"])
def test_what_alertmanager_does_not_know_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        compile_expression(expression)


@pytest.mark.parametrize(
    ("expression", "text", "expected"),
    [
        ("node-.", "node-a", True),
        ("node", "node-a", False),
        ("a|node", "node-a", False),  # anchored around all alternatives
        (r"\pL+-[[:digit:]]", "élan-1", True),
        (r"\d", "٣", False),  # Python's digits are Unicode's
        (r"\Qa.b\E", "a.b", True),
        (r"a\z", "a", True),
        (r"a$", "a\n", False),
        (r"(?m)a$", "a\nb", False),
        (r"a.b", "a\nb", False),
        (r"(?s)a.b", "a\nb", True),
        (r"(?i)GPU", "gpu", True),
        (r"(?U)(?P<x>a+)b", "aab", True),
        ("", "", True),
        (".*", "", True),
        ("a?", "\ud800", False),
    ],
)
def test_an_expression_means_what_alertmanager_takes_it_for(expression: str, text: str, expected: bool) -> None:
    assert fits(compile_expression(expression), text) is expected


def test_names_by_the_thousand_have_room() -> None:
    compiled = compile_expression("|".join(f"node-{number:04}" for number in range(1500)))
    assert fits(compiled, "node-1499")
    assert not fits(compiled, "node-1500")
