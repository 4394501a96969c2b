# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""README and the recipes tell the truth: what is repaired today, and the files that a change has to touch."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from autoglm_recovery.knowledge.faults.classes import (
    ACTIONS,
    COSTS_NOTHING,
    DEFAULT_LADDERS,
    FAILURE_CLASSES,
    ROOT_CAUSE_ORDER,
    destroys,
)
from tests.support.tooling.failure_pages import shipped, taken

CHECKOUT = Path(__file__).parents[3]
README = (CHECKOUT / "README.md").read_text("utf-8")
RECIPES = (CHECKOUT / "docs/extending.md").read_text("utf-8")
SHIPPED = shipped() & set(ACTIONS)
RENDERED = "".join(path.read_text("utf-8") for path in (CHECKOUT / "src/autoglm_recovery/rules").glob("*.j2"))
RENDERED += (CHECKOUT / "src/autoglm_recovery/exporter/alerts.py").read_text("utf-8")


def in_words(action: str) -> str:
    """Return how README calls an action: what costs nothing repairs nothing either."""
    if action == "shed_load":
        return f"relieved by `{action}`"
    if action == "isolate_and_snapshot":
        return f"**kept for a look** by `{action}`, which calls a person"
    if action == "quarantine_node":
        return f"**taken out of use** by `{action}`"
    return f"given time by `{action}`" if destroys(action) == COSTS_NOTHING else f"**repaired** by `{action}`"


def section(heading: str) -> str:
    """Return what README says below a heading."""
    return README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


TODAY = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", section("What it repairs today"), re.MULTILINE))


def test_readme_begins_with_what_is_repaired_class_by_class() -> None:
    assert set(TODAY) == set(FAILURE_CLASSES)
    headings = re.findall(r"^## (.+)$", README, re.MULTILINE)
    assert headings[0] == "What it repairs today"


@pytest.mark.parametrize("failure_class", FAILURE_CLASSES)
def test_readme_says_of_a_class_what_is_done_today(failure_class: str) -> None:
    actions, said = taken(failure_class), TODAY[failure_class]
    words = ", then ".join(map(in_words, actions))
    if any(destroys(action) > COSTS_NOTHING for action in actions):
        assert said == words
    else:
        assert said.endswith(f"{words}, then a person is called" if words else "a person is called")
    ours = re.search(rf'failure_class: {failure_class}\b|", "{failure_class}", "|"{failure_class}":', RENDERED)
    assert said.startswith("noticed") <= bool(ours), "no rule of ours notices it"


def test_pages_have_each_class_at_its_place() -> None:
    order = re.search(
        r"\*\*The deepest class names the cause\*\*: ([^.;]+)[.;]", (CHECKOUT / "docs/decisions.md").read_text("utf-8")
    )
    assert order is not None
    assert tuple(order[1].replace("\n", " ").replace(",", " ").split()) == ROOT_CAUSE_ORDER
    ladders = (CHECKOUT / "docs/policy.md").read_text("utf-8").partition("\n## Failure classes and their ladders\n")[2]
    told = {
        name: tuple(re.findall(r"`(\w+)`", ladder))
        for names, ladder in re.findall(
            r"^\| ((?:`\w+`(?:, )?)+) \| ([^|]+) \|$", ladders.partition("\n## ")[0], re.MULTILINE
        )
        for name in re.findall(r"`(\w+)`", names)
    }
    assert told == DEFAULT_LADDERS


def test_each_file_of_a_recipe_is_where_it_says() -> None:
    """NAME and ACTION stand for each that there is: one at least has the file."""
    named = set(re.findall(r"`((?:plugins|playbooks|roles|src|tests|docs)/[\w./]+)`", RECIPES))
    assert len(named) > 40
    patterns = {each: each.replace("NAME", "*").replace("ACTION", "*") for each in named}
    assert [each for each, pattern in patterns.items() if not list(CHECKOUT.glob(pattern))] == []


def test_each_table_that_a_recipe_names_is_in_the_file_before_it() -> None:
    for file, rest in re.findall(r"`([\w./]+\.py)`([^`\n]*(?:`[\w ]+`[^`]*)*)", RECIPES):
        text = (CHECKOUT / file).read_text("utf-8") if (CHECKOUT / file).exists() else None
        for table in re.findall(r"`(_?[A-Z][A-Z_]+)`", rest):
            assert text is None or re.search(rf"^{table}\b", text, re.MULTILINE), f"{file} has no {table}"
