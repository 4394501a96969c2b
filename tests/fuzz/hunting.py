# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hypothesis looks for an input of which something does not hold, and makes it small."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from random import Random

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz.judging import TooSlow, judge, judge_growth, sizes
from tests.fuzz.mutation import WHOLE, mutated, pumped
from tests.fuzz.sweeping import taken
from tests.fuzz.target import CHECKOUT, Target

CORPUS = CHECKOUT / "tests/fuzz/corpus"

_PART = st.integers(0, WHOLE - 1)
_STEPS = st.lists(st.tuples(st.integers(0, 11), _PART, _PART, st.integers(0, 1023)), min_size=1, max_size=5)


def hunt(target: Target, examples: int, seed: int | None = None) -> None:
    """Try mutated specimens.  seed: for a search that is another one each time; without, it is always the same.

    Raises what judge() raises, for the smallest input that was found.
    """
    last = b""

    @_settings(examples, seed)
    @given(which=st.integers(0, len(target.seeds) - 1), steps=_STEPS)
    def search(which: int, steps: list[tuple[int, int, int, int]]) -> None:
        nonlocal last
        last = mutated(target.seeds, which, steps, target.words, target.largest)
        judge(target, last)

    _run(search, target, seed, lambda: last)


def hunt_growth(target: Target, examples: int, seed: int | None = None) -> None:
    """Try specimens in which a part is repeated.  Raises what judge_growth() raises."""
    last = b""
    small, large = sizes(target)

    @_settings(examples, seed)
    @given(which=st.integers(0, len(target.seeds) - 1), place=_PART, length=st.integers(0, 40))
    def search(which: int, place: int, length: int) -> None:
        nonlocal last
        last = pumped(target.seeds, which, place, length, large)
        judge_growth(target, pumped(target.seeds, which, place, length, small), last)

    _run(search, target, seed, lambda: last)


def sweep(target: Target, examples: int, seed: int | None = None) -> None:
    """Try numbers and values of specimens replaced one at a time, each by each hostile one; all if there are no more.

    seed: for a choice that is another one each time.  Raises Found.
    """

    def choose(total: int, most: int) -> list[int]:
        if seed is None:
            return [at * total // most for at in range(most)]
        return Random(seed).sample(range(total), most)  # noqa: S311 - told, so that it can be repeated

    for data in taken(target.seeds, examples, choose):
        try:
            judge(target, data[: target.largest])
        except (Exception, TooSlow) as error:
            raise Found(target, data[: target.largest]) from error


def corpus(target: Target) -> list[Path]:
    """What once went wrong, and what the search keeps."""
    return sorted(path for path in (CORPUS / target.name).glob("*") if path.is_file())


def keep(target: Target, data: bytes) -> Path:
    """Write an input into the corpus, where the suite finds it."""
    path = CORPUS / target.name / hashlib.sha256(data).hexdigest()[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


class Found(Exception):
    """An input of which something does not hold; its cause says what."""

    def __init__(self, target: Target, data: bytes) -> None:
        super().__init__(f"{target.name}: {data[:400]!r}{f'... ({len(data)} bytes)' if len(data) > 400 else ''}")
        self.data = data


def _run(search: Callable[[], None], target: Target, seed: int | None, last: Callable[[], bytes]) -> None:
    try:
        (hypothesis.seed(seed)(search) if seed is not None else search)()
    except (Exception, TooSlow) as error:
        # Hypothesis ends with the smallest input.
        raise Found(target, last()) from error


def _settings(examples: int, seed: int | None) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=seed is None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
