# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page about the house draws the rooms that there are, in the order that ``make lint`` holds them to."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3]
RECEIVER = CHECKOUT / "src/autoglm_recovery/receiver"
PAGE = (CHECKOUT / "docs/architecture.md").read_text("utf-8")


def layers(contract: str) -> list[str]:
    """Return the rooms of a contract, from top to bottom, and those that stand side by side in any order."""
    settings = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    (found,) = (each["layers"] for each in settings["contracts"] if each["id"] == contract)
    return [room for layer in found for room in layer.split(" : ")]


def drawn(head: str) -> Iterator[str]:
    """Return the folders that are drawn one step below a line of the picture."""
    lines = iter(PAGE.splitlines())
    next(each for each in lines if each.strip().startswith(head))
    first = next(lines)
    depth = len(first) - len(first.lstrip())
    for line in (first, *lines):
        if len(line) - len(line.lstrip()) < depth:
            return
        if inside := re.match(rf" {{{depth}}}([a-z_]+)/ ", line):
            yield inside[1]


def test_the_receivers_rooms_are_drawn_as_they_are() -> None:
    rooms = {path.parent.name for path in RECEIVER.glob("*/__init__.py")}
    assert list(drawn("receiver/")) == layers("receiver")
    assert set(layers("receiver")) == rooms


@pytest.mark.parametrize(("head", "contract"), [("gpu/", "gpu"), ("faults/", "faults")])
def test_the_knowledge_is_drawn_as_it_is(head: str, contract: str) -> None:
    assert list(drawn("plugins/module_utils/")) == [room for room in layers("knowledge") if room != "minimum_python"]
    assert list(drawn(head)) == [room for room in layers(contract) if room not in ("examine", "classes")]


def test_the_files_that_pages_name_exist() -> None:
    named = {
        (page.name, name)
        for page in (CHECKOUT / "docs").glob("*.md")
        for name in re.findall(r"`(?:receiver/)?([a-z_]+/[a-z_/]+\.py)`", page.read_text("utf-8"))
    }
    assert len(named) > 50
    looked = [CHECKOUT / each for each in (".", "plugins", "plugins/module_utils", "src/autoglm_recovery", "tests")]
    looked.append(RECEIVER)
    assert {(page, name) for page, name in named if not any((room / name).exists() for room in looked)} == set()


def test_packages_of_module_utils_are_empty() -> None:
    """Sanity of ansible-core before 2.19 refuses any other; what a room is for is drawn in docs/architecture.md."""
    files = list((CHECKOUT / "plugins/module_utils").rglob("__init__.py"))
    assert files
    assert [file for file in files if file.stat().st_size] == []
