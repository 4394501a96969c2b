# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever stands in for something real is in tests/FAKES.md: what it stands for, its sources, its differences."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3]
PAGE = (CHECKOUT / "tests/FAKES.md").read_text("utf-8")


def _named(path: Path) -> Iterator[str]:
    """Name what a file has of fakes: by their own names, and as servers whose answers are made up."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ClassDef):
            serves = any("RequestHandler" in ast.unparse(base) for base in node.bases)
            if serves or "fake" in node.name.lower() or "Scripted" in node.name:
                yield node.name
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("fake"):
            yield node.name
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "answering_http":
            yield ""


def _fakes() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in sorted((CHECKOUT / "tests").rglob("*.py")):
        if names := set(_named(path)):
            found[str(path.relative_to(CHECKOUT))] = names - {""}
    return found


FAKES = _fakes()


@pytest.mark.parametrize("path", FAKES)
def test_each_fake_has_its_line(path: str) -> None:
    folder, name = path.rsplit("/", 1)
    lines = [line for line in PAGE.split("\n|") if f"`{path}`" in line or (folder in line and f"`{name}`" in line)]
    assert lines, f"{path} has a fake ({', '.join(FAKES[path]) or 'a server of made-up answers'}) and no line there"
    lacking = {each for each in FAKES[path] if not any(f"`{each}`" in line for line in lines)}
    assert not lacking


def test_each_line_is_of_a_fake_that_is_there() -> None:
    paths = set(re.findall(r"`(tests/[\w./*-]+)`", PAGE))
    assert len(paths) > 20
    gone = {path for path in paths if not any(CHECKOUT.glob(path))}
    assert not gone
    names = {name for path in FAKES for name in FAKES[path]}
    said = {name for name in re.findall(r"`(\w*[Ff]ake\w*)`", PAGE) if not name.startswith("tests")}
    assert not said - names


@pytest.mark.parametrize("folder", [path.name for path in sorted((CHECKOUT / "tests/support").glob("fake_*"))])
def test_each_large_fake_has_a_page_with_its_sources_and_differences(folder: str) -> None:
    assert f"](support/{folder}/README.md)" in PAGE
    page = (CHECKOUT / "tests/support" / folder / "README.md").read_text("utf-8").lower()
    assert "source" in page
    assert "differ" in page
