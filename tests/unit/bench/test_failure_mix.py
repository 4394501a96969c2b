# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The published failure mixes, told to exporter and receiver: nothing is destroyed that its cause does not ask for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoglm_recovery.knowledge.faults.classes import ACTIONS, FAILURE_CLASSES
from autoglm_recovery.receiver.fleet.own_playbooks import runnable
from bench.failure_mix import Way, read_mix, seen, wrong

CHECKOUT = Path(__file__).parents[3]
FIXTURES = CHECKOUT / "tests/fixtures/kernel"
ROWS = [row for path in FIXTURES.glob("*.jsonl") for row in path.read_text("utf-8").splitlines()]
WRITTEN = {json.loads(row)["line"] for row in ROWS}
MIXES, CAUSES = read_mix()
WAYS = [way for ways in CAUSES.values() for way in ways]
NAMES = [f"{cause}-{number}" for cause, ways in CAUSES.items() for number in range(len(ways))]

# What is installed decides how far a ladder is climbed: what is here now, and all that the design names.
INSTALLED = {"installed": runnable({}), "all": frozenset(ACTIONS)}

of_each_way = pytest.mark.parametrize("way", WAYS, ids=NAMES)


@of_each_way
@pytest.mark.parametrize("playbooks", INSTALLED.values(), ids=INSTALLED)
def test_nothing_is_destroyed_that_its_cause_does_not_ask_for(way: Way, playbooks) -> None:
    assert seen(way, playbooks).wrong == ()


@of_each_way
def test_each_is_taken_for_what_it_is(way: Way) -> None:
    expected = None if way.failure_class in {"none", "missed"} else way.failure_class
    assert seen(way, INSTALLED["all"]).failure_class == expected


@of_each_way
def test_what_an_action_repairs_ends_without_a_person_once_its_playbook_is_there(way: Way) -> None:
    if way.repaired_by:
        assert seen(way, INSTALLED["all"]).end == "repaired"


@of_each_way
def test_each_line_is_one_that_a_kernel_wrote(way: Way) -> None:
    assert set(way.lines) <= WRITTEN


@of_each_way
def test_it_names_what_there_is(way: Way) -> None:
    assert way.failure_class in {*FAILURE_CLASSES, "none", "missed"}
    assert way.repaired_by | way.fitting <= set(ACTIONS)


def test_every_counted_cause_shows_itself_in_some_way() -> None:
    assert MIXES
    assert {cause for mix in MIXES.values() for cause in mix["counts"]} == set(CAUSES)


def test_an_action_that_its_cause_does_not_ask_for_would_be_named() -> None:
    crash = Way("crash", "", repaired_by=frozenset({"restart_process"}))
    assert list(wrong(["restart_process", "reset_gpu", "reboot_node"], crash)) == ["reset_gpu", "reboot_node"]
