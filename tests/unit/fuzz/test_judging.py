# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The search finds what it is there for: each kind of bad parser is caught, and a good one is not."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from tests.fuzz.hunting import Found, hunt, hunt_growth, sweep
from tests.fuzz.judging import judge
from tests.fuzz.sweeping import NUMBERS, VALUES, Cases
from tests.fuzz.target import Refused, Target, text

SEEDS = (b"a=1, b=22, c=333\n", b"x=7\n")
_PAIR = re.compile(rb"([a-z])=([0-9]{1,6})")


def good(data: bytes) -> object:
    """A parser that does everything right."""
    if not data:
        raise ValueError("there is nothing")
    return [(name, int(value)) for name, value in _PAIR.findall(data)]


def target(read, holds=None) -> Target:
    return Target("it", read, lambda: SEEDS, (ValueError,), holds)


def test_a_good_parser_passes() -> None:
    hunt(target(good), 200)
    hunt_growth(target(good), 10)
    assert isinstance(judge(target(good), b""), Refused)


def number(data: bytes) -> object:
    return [int(word) for word in re.split(r"[^\w²]+", text(data)) if word.isdigit()]


def first(data: bytes) -> object:
    return data.split(b"=")[1]


def nested(data: bytes) -> object:
    return [len(data) and b"\xff" in data and {}[1]]


@pytest.mark.parametrize("read", [first, nested], ids=["IndexError", "KeyError"])
def test_an_error_that_is_not_documented_is_found(read) -> None:
    with pytest.raises(Found):
        hunt(target(read), 600)


def test_a_digit_that_int_refuses_is_found() -> None:
    with pytest.raises(Found) as found:
        hunt(Target("it", number, lambda: SEEDS), 2000)
    assert isinstance(found.value.__cause__, ValueError)


def deep(data: bytes) -> object:
    document = json.loads(data)
    return [document["a"], document["b"][0]["c"] + 1]


def test_each_number_and_each_value_of_a_specimen_is_replaced_by_each_hostile_one() -> None:
    seed = b'{"a": [1.5, "x"], "b": [{"c": 7}]}'
    cases = Cases(seed)
    assert len(cases) == 2 * len(NUMBERS) + 7 * len(VALUES)
    every = [cases[at] for at in range(len(cases))]
    assert b'{"a": [5_0, "x"], "b": [{"c": 7}]}' in every
    assert b'{"a": [1.5, "x"], "b": [{"c": 1e999}]}' in every
    assert b'{"a": [1.5, null], "b": [{"c": 7}]}' in every
    assert b"[]" in every
    with pytest.raises(Found):
        sweep(Target("it", deep, lambda: [seed], (ValueError, KeyError, IndexError)), 10_000)
    sweep(target(good), 10_000)


def test_some_cases_are_taken_from_everywhere_and_by_a_seed_from_elsewhere() -> None:
    seen: list[bytes] = []
    it = Target("it", seen.append, lambda: SEEDS)
    sweep(it, 10)
    first, seen[:] = seen[::2], []
    sweep(it, 10, seed=1)
    assert len(set(first)) == 10
    assert {data.startswith(b"a=1") or data.endswith(b"22, c=333\n") for data in first} == {True, False}
    assert set(seen) != set(first)


def test_a_document_in_each_line_is_one() -> None:
    every = Cases(b'no\n{"a": 1}\n{"b": 2}\n')
    assert b'no\n{"a": 1}\n{"b": []}\n' in [every[at] for at in range(len(every))]


def test_what_must_hold_is_asked_of_each_result() -> None:
    def holds(_data: bytes, found: object) -> None:
        assert len(found) <= 4  # type: ignore[arg-type]

    with pytest.raises(Found) as found:
        hunt(target(good, holds), 600)
    assert len(_PAIR.findall(found.value.data)) > 4


def test_a_result_that_changes_and_one_that_grows_are_told() -> None:
    count = itertools.count()
    with pytest.raises(AssertionError, match="in two ways"):
        judge(target(lambda _data: next(count)), b"a")
    with pytest.raises(AssertionError, match="makes 1000002 characters of 1 bytes"):
        judge(target(lambda _data: "a" * 10**6), b"a")


def test_time_that_grows_with_the_square_is_found_and_one_in_proportion_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    # A clock of the test's own: what a real one says of some milliseconds depends on who else is on the machine.
    spent = 0.0
    monkeypatch.setattr("tests.fuzz.judging.time", SimpleNamespace(thread_time=lambda: spent))

    def takes(seconds_of: Callable[[int], float]) -> Target:
        def read(data: bytes) -> None:
            nonlocal spent
            spent += seconds_of(len(data))

        return Target("it", read, lambda: SEEDS)

    with pytest.raises(Found) as found:
        hunt_growth(takes(lambda length: length**2 * 1e-9), 10)
    assert "ms for" in str(found.value.__cause__)
    hunt_growth(takes(lambda length: length * 1e-5), 10)


def test_an_expression_without_an_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.judging.LONGEST_S", 0.2)
    with pytest.raises(BaseException, match=r"more than 0\.2 s"):
        judge(target(lambda data: re.match(rb"(a+)+$", data)), b"a" * 60 + b"b")


def test_memory_is_in_proportion() -> None:
    with pytest.raises(Found) as found:
        hunt_growth(Target("it", lambda data: len(bytes(len(data) * 4000)), lambda: SEEDS), 2)
    assert "bytes of memory" in str(found.value.__cause__)
