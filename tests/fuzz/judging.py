# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts one input to a parser, and asserts what must hold of every parser, whatever it is given."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
import tracemalloc
from collections.abc import Iterator

from tests.fuzz.target import Refused, Target

# Time is that of this thread or process on a processor, so that a busy machine changes nothing.  A parser that takes
# time in proportion takes milliseconds.
LONGEST_S = 8.0
_SMALL, _LARGE = 16 << 10, 64 << 10
# Four times the input takes four times as long, or a little more; sixteen times if each byte is compared with each.
_MOST_TIMES = 9.0
_WORTH_MEASURING_S = 0.06
_MEMORY_A_BYTE, _MEMORY = 1024, 24 << 20


class TooSlow(BaseException):
    """No parser may catch it."""


def judge(target: Target, data: bytes) -> object:
    """Read one input.  Raises AssertionError for what must not be, TooSlow, or what the parser must not raise."""
    with _limited():
        found = _read(target, data)
        again = _read(target, data)
    if isinstance(found, Refused):
        assert isinstance(again, Refused), f"{target.name} refuses the same bytes once and once not"
        said = str(found.error)
        assert said, f"{target.name} refuses without a reason"
        assert len(said) <= target.longest_error, f"{target.name} refuses in {len(said)} characters"
        return found
    shown = _shown(found)
    assert shown == _shown(again), f"{target.name} reads the same bytes in two ways"
    most = target.growth * len(data) + (16 << 10)
    assert len(shown) <= most, f"{target.name} makes {len(shown)} characters of {len(data)} bytes"
    if target.holds is not None:
        target.holds(data, found)
    return found


def judge_growth(target: Target, small: bytes, large: bytes) -> None:
    """Read two inputs of which one is four times as large, and see that time and memory are in proportion."""
    before, after = _seconds(target, small), _seconds(target, large)
    if after > _WORTH_MEASURING_S and after > _MOST_TIMES * before:
        # Once more, and the quickest of each counts: what else the machine does only ever adds.
        before = max(before, min(_seconds(target, small) for _ in range(3)))
        after = min(after, *(_seconds(target, large) for _ in range(3)))
        times = f"{before * 1000:.1f} ms for {len(small)} bytes and {after * 1000:.1f} ms for {len(large)}"
        assert after <= _MOST_TIMES * before, f"{target.name} takes {times}"
    tracemalloc.start()
    try:
        with _limited():
            _read(target, large)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= _MEMORY + _MEMORY_A_BYTE * len(large), f"{target.name} takes {peak} bytes of memory for {len(large)}"


def sizes(target: Target) -> tuple[int, int]:
    """Two sizes of which one is four times the other, as far as its caller lets so much through."""
    large = min(_LARGE, target.largest)
    return min(_SMALL, large // 4), large


def _read(target: Target, data: bytes) -> object:
    try:
        return target.read(data)
    except target.refuses as error:
        return Refused(error)


def _seconds(target: Target, data: bytes) -> float:
    with _limited():
        begun = time.thread_time()
        _read(target, data)
        return time.thread_time() - begun


def _shown(found: object) -> str:
    # A figure of thousands of digits is one that a parser took without a bound.
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return repr(found)
    finally:
        sys.set_int_max_str_digits(limit)


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """End what takes too long: the engine of regular expressions lets signals in, in the main thread."""

    def end(_number: int, _frame: object) -> None:
        raise TooSlow(f"more than {LONGEST_S:g} s")

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
