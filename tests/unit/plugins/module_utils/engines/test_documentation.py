# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/engines.md says what the adapters say."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.adapter import ACTS
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.registry import ENGINES

DOCS = Path(__file__).parents[5] / "docs/engines.md"


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, the table's own head first."""
    section = DOCS.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|") and not line.startswith("|---")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("heading", ["How each is tested", "What is asked", "Orders"])
def test_every_engine_has_a_row(heading: str) -> None:
    assert {row[0].strip("`") for row in rows(heading)[1:]} == set(ENGINES)


def test_orders_that_an_engine_never_has_are_the_ones_it_explains() -> None:
    head, *body = rows("Orders")
    assert [cell.strip("`") for cell in head[1:]] == list(ACTS)
    for row in body:
        never = {act for act, cell in zip(ACTS, row[1:], strict=True) if cell == "no"}
        assert never == set(ENGINES[row[0].strip("`")].cannot), row[0]


def test_every_option_is_told() -> None:
    told = {(row[0].strip("`"), name.strip(" `")) for row in rows("`engine_options`")[1:] for name in row[1].split(",")}
    assert told == {(name, option) for name, adapter in ENGINES.items() for option in adapter.options}
