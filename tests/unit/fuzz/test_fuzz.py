# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every parser of what others wrote returns or refuses as it documents, in time and memory in proportion to its input.

The search is the same in every run, so that a change is what makes it fail; `make fuzz` goes on from there.
"""

from __future__ import annotations

import pytest

from tests.fuzz.hunting import corpus, hunt, hunt_growth, sweep
from tests.fuzz.judging import judge
from tests.fuzz.registry import TARGETS
from tests.fuzz.target import Refused, Target

pytestmark = pytest.mark.slow

# With the rest of this file, nearly three minutes of one core.
EXAMPLES, OF_COSTLY = 300, 50
GROWN = 3
SWEPT = 12


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_specimens_are_read(target: Target) -> None:
    """A target whose specimens are refused would test the first lines of its parser only."""
    read = [judge(target, seed) for seed in target.seeds]
    assert any(not isinstance(each, Refused) for each in read)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_mutated_specimens_are_read_or_refused(target: Target) -> None:
    hunt(target, OF_COSTLY if target.costly else EXAMPLES)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_a_specimen_with_a_hostile_number_or_value_is_read_or_refused(target: Target) -> None:
    """Some of them; `make fuzz` takes each, where there are no thousands."""
    sweep(target, SWEPT)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_a_large_input_takes_time_and_memory_in_proportion(target: Target) -> None:
    hunt_growth(target, GROWN)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_what_once_went_wrong_does_not_again(target: Target) -> None:
    for path in corpus(target):
        judge(target, path.read_bytes())
