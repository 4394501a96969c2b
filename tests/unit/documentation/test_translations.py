# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A translated page has the commands, files and links of its original, so that it cannot go stale in silence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from autoglm_recovery.knowledge.faults.classes import FAILURE_CLASSES

CHECKOUT = Path(__file__).parents[3]
BLOCK = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
TRANSLATED = {"docs/quick-start.md": "docs/quick-start.zh.md", "README.md": "README.zh.md"}
IDEOGRAPH = re.compile(r"[\u4e00-\u9fff]")


def text(path: str) -> str:
    return (CHECKOUT / path).read_text("utf-8")


def links(path: str) -> set[str]:
    """Return where a page leads, but for the other language and for anchors of its own."""
    inline = re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", text(path)))
    return {each for each in inline if not each.startswith("#")} - {Path(each).name for each in [*PAIRS, *PAIRS_BACK]}


PAIRS, PAIRS_BACK = [*TRANSLATED], [*TRANSLATED.values()]


def test_the_quick_start_has_the_same_commands_files_and_links() -> None:
    original, translation = "docs/quick-start.md", TRANSLATED["docs/quick-start.md"]
    assert BLOCK.findall(text(translation)) == BLOCK.findall(text(original))
    assert len(BLOCK.findall(text(original))) > 8
    assert links(translation) == links(original)


@pytest.mark.parametrize("original", TRANSLATED)
def test_a_page_and_its_translation_have_the_same_sections_and_name_each_other(original: str) -> None:
    translation = TRANSLATED[original]
    numbered = [re.findall(r"^## (\d+)\.", text(path), re.MULTILINE) for path in (original, translation)]
    assert numbered[0] == numbered[1]
    assert Path(translation).name in text(original)
    assert Path(original).name in text(translation)
    prose = BLOCK.sub("", text(translation))
    assert len(IDEOGRAPH.findall(prose)) > 500


def test_the_classes_are_told_in_the_same_order_and_the_repaired_ones_are_the_same() -> None:
    rows = r"^\| `(\w+)` \| .+ \| (.+) \|$"
    (ours, theirs) = (re.findall(rows, text(path), re.MULTILINE) for path in ("README.md", "README.zh.md"))
    repaired = [
        [(name, "**" in said, re.findall(r"`(\w+)`", said)) for name, said in each if name in FAILURE_CLASSES]
        for each in (ours, theirs)
    ]
    assert len(repaired[0]) == len(FAILURE_CLASSES)
    assert repaired[0] == repaired[1]


def test_what_readme_has_in_a_block_is_in_its_translation_word_for_word_or_not_at_all() -> None:
    ours = set(BLOCK.findall(text("README.md")))
    shown = BLOCK.findall(text("README.zh.md"))
    assert len(shown) >= 5
    assert [block for block in shown if block not in ours] == []
