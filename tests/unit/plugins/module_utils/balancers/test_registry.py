# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry is the one list of balancers: whoever is in it has its options, its test and its place on the page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.autoglm.recovery.plugins.doc_fragments.balancer import ModuleDocFragment
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers import registry
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.options import COMMON
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.registry import BALANCERS, balancer_spec

CHECKOUT = Path(__file__).parents[5]
PAGE = (CHECKOUT / "docs/balancers.md").read_text("utf-8")
DOCUMENTED = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]["balancer"]["suboptions"]


def table(heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading of the page, its head first."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|") and not line.startswith("|---")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_file_that_holds_a_balancer_is_registered() -> None:
    folder = Path(registry.__file__).parent
    holding = {
        path.stem
        for path in folder.glob("*.py")
        if path.name != "protocol.py" and "    def opened(cls" in path.read_text("utf-8")
    }
    assert holding == set(BALANCERS)


def test_the_documented_options_are_those_of_the_registry() -> None:
    assert DOCUMENTED["kind"]["choices"] == sorted(BALANCERS)
    assert set(DOCUMENTED) == {"kind", *COMMON, *(option for kind in BALANCERS.values() for option in kind.options)}


@pytest.mark.parametrize("name", BALANCERS)
def test_a_balancer_has_what_it_needs_and_shares_options_as_they_are(name: str) -> None:
    kind = BALANCERS[name]
    whole = balancer_spec()["options"]
    assert set(kind.needs) <= set(kind.options)
    assert {option: whole[option] for option in kind.options} == kind.options, "another kind has it otherwise"
    assert not set(kind.options) & set(COMMON)


@pytest.mark.parametrize("name", BALANCERS)
def test_a_balancer_has_its_test_and_a_fuzzing_target(name: str) -> None:
    assert (Path(__file__).parent / f"test_{name}.py").exists()
    targets = (CHECKOUT / "tests/fuzz/targets").glob("*.py")
    assert any(re.search(rf"\b{name}\b", path.read_text("utf-8")) for path in targets)


def test_every_balancer_has_a_column_and_a_row_on_the_page() -> None:
    assert {cell.lower() for cell in table("What each can do")[0][1:]} == set(BALANCERS)
    assert {row[0].lower() for row in table("Would it work?")[1:]} == set(BALANCERS)
