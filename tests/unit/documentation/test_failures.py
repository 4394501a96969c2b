# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each failure class has its page, with what the code's tables say of it, and what it names is there."""

from __future__ import annotations

import re

import pytest

from autoglm_recovery.knowledge.faults.classes import ACTIONS, DEFAULT_LADDERS, FAILURE_CLASSES
from tests.support.tooling.failure_pages import FOLDER, shipped, taken, with_facts

from .test_extending import TODAY

HEADINGS = ["How it is seen", "What is done today", "What proves it", "What is not there yet"]


def test_there_is_a_page_for_each_class_and_the_index_has_them_all() -> None:
    assert {path.stem for path in FOLDER.glob("*.md")} - {"README"} == set(FAILURE_CLASSES)
    index = (FOLDER / "README.md").read_text("utf-8")
    listed = re.findall(r"^- \[`(\w+)`\]\((\w+)\.md\): (.+)$", index, re.MULTILINE)
    assert sorted(name for name, _, _ in listed) == sorted(FAILURE_CLASSES)
    for name, file, title in listed:
        assert name == file
        assert (FOLDER / f"{file}.md").read_text("utf-8").startswith(f"# `{name}`: {title}\n")


@pytest.mark.parametrize("failure_class", FAILURE_CLASSES)
def test_its_table_is_that_of_the_code(failure_class: str) -> None:
    page = (FOLDER / f"{failure_class}.md").read_text("utf-8")
    due = "run python -m tests.support.tooling.failure_pages"
    assert page == with_facts(page, failure_class), due
    headings = re.findall(r"^## (.+)$", page, re.MULTILINE)
    assert [each for each in headings if each in HEADINGS] == (
        HEADINGS if failure_class != "unknown" else [*HEADINGS[:2], HEADINGS[3]]
    )


@pytest.mark.parametrize("failure_class", FAILURE_CLASSES)
def test_what_is_done_is_what_readme_says(failure_class: str) -> None:
    climbed = taken(failure_class)
    assert re.findall(r"by `(\w+)`", TODAY[failure_class]) == climbed


@pytest.mark.parametrize("failure_class", FAILURE_CLASSES)
def test_each_missing_rung_is_named_as_missing_and_no_other(failure_class: str) -> None:
    page = (FOLDER / f"{failure_class}.md").read_text("utf-8")
    named = set(re.findall(r"`(\w+)`", page.partition("\n## What is not there yet\n")[2])) & set(ACTIONS)
    ladder = set(DEFAULT_LADDERS[failure_class]) or {"safe_shutdown"}
    assert named == ladder - shipped()
