# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A class name means one thing, and so does a word: the glossary names the file and the class where each lives.

Outside of plugins/ docstrings and comments are written for whoever reads the file, without Ansible's markup. What a
function raises is a sentence of its docstring that names the class.
"""

from __future__ import annotations

import ast
import builtins
import functools
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3]
GLOSSARY = (CHECKOUT / "docs/glossary.md").read_text("utf-8")
ROOTS = tuple(
    CHECKOUT / each for each in ("src/autoglm_recovery/receiver", "src/autoglm_recovery", "plugins/module_utils")
)
# What Ansible looks a plugin up by: each file of a plugin has a class of this name.
ANSIBLES_OWN = frozenset({"ActionModule", "FilterModule", "LookupModule", "ModuleDocFragment"})


def source_files() -> Iterator[Path]:
    """Return every Python file that is shipped; the link to plugins/module_utils in src/ is not followed."""
    yield from (path for path in (CHECKOUT / "plugins").rglob("*.py"))
    knowledge = CHECKOUT / "src/autoglm_recovery/knowledge"
    yield from (path for path in (CHECKOUT / "src").rglob("*.py") if knowledge not in path.parents)


@functools.cache
def parsed_sources() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text("utf-8")) for path in sorted(source_files())}


def places_of_classes() -> dict[str, list[str]]:
    """Return in which files a class of each name is defined at the top of the file."""
    places: dict[str, list[str]] = defaultdict(list)
    for path, tree in parsed_sources().items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(path.relative_to(CHECKOUT)))
    return places


def test_no_two_public_classes_have_the_same_name() -> None:
    places = places_of_classes()
    assert len(places) > 400
    public = {name: files for name, files in places.items() if not name.startswith("_") and name not in ANSIBLES_OWN}
    assert {name: files for name, files in public.items() if len(files) > 1} == {}


def glossary() -> Iterator[tuple[str, str]]:
    """Return each word that the glossary defines, and what it says about where the word lives."""
    for line in GLOSSARY.splitlines():
        if line.startswith("| **"):
            word, _meaning, where = (cell.strip() for cell in line.strip("|").split(" | "))
            yield word, where


def defined(tree: ast.Module) -> Iterator[str]:
    """Return the names that a file defines at its top: classes, functions and constants."""
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


@pytest.mark.parametrize(("word", "where"), list(glossary()))
def test_what_the_glossary_names_is_where_it_says(word: str, where: str) -> None:
    places = re.findall(r"`([a-z_/]+\.py)`: `(\w+)`", where)
    assert places, f"{word}: the last column names no file with a class or a function"
    for file, name in places:
        found = [root / file for root in ROOTS if (root / file).exists()]
        assert found, f"{word}: there is no {file}"
        assert name in set(defined(ast.parse(found[0].read_text("utf-8")))), f"{word}: {file} defines no {name}"


def test_the_glossary_defines_each_word_once() -> None:
    words = [word for word, _where in glossary()]
    assert len(words) >= 25
    assert sorted(words) == sorted(set(words))


# --- markup ----------------------------------------------------------------------------------------------------------

# What Ansible's documentation is written in: ``code``, *emphasis*, V(value) ...
ANSIBLES_MARKUP = re.compile(r"(?<![\w.])[BCILMOPV]\(")


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Return each docstring and each comment of a file, with the line where it begins."""
    text = path.read_text("utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def test_ansibles_markup_is_for_what_ansible_renders() -> None:
    knowledge = CHECKOUT / "src/autoglm_recovery/knowledge"
    paths = [path for room in ("src", "tests", "bench") for path in (CHECKOUT / room).rglob("*.py")]
    suspects = [
        path
        for path in paths
        if knowledge not in path.parents and path != Path(__file__) and ANSIBLES_MARKUP.search(path.read_text("utf-8"))
    ]
    found = [
        f"{path.relative_to(CHECKOUT)}:{line}"
        for path in suspects
        for line, text in prose(path)
        if ANSIBLES_MARKUP.search(text)
    ]
    assert len(paths) > 500
    assert found == []


# --- exceptions ------------------------------------------------------------------------------------------------------

FIELD_OF_A_DOCSTRING = re.compile(r":raises?\b|:param\b|:returns?:|^\s*(?:Raises|Returns|Args):", re.MULTILINE)
RAISES = re.compile(r"\b[Rr]aises ((?:`*[A-Za-z_.]*[A-Z]\w+`*(?:, and |, or |, | and | or )?)+)")
CLASS_NAME = re.compile(r"(?:\w+\.)*[A-Z]\w+")


def docstrings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield ast.get_docstring(node) or ""


def names_in_code(tree: ast.Module) -> Iterator[str]:
    """Return the names that a file uses, imports or defines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield node.asname or node.name
        elif isinstance(node, ast.ClassDef):
            yield node.name


def test_what_a_function_raises_is_a_sentence_that_names_the_class() -> None:
    classes = {*places_of_classes(), *vars(builtins)}
    fields, unknown, named = [], [], 0
    for path, tree in parsed_sources().items():
        where = str(path.relative_to(CHECKOUT))
        text = "\n".join(docstrings(tree))
        fields += [f"{where}: {found[0]}" for found in FIELD_OF_A_DOCSTRING.finditer(text)]
        raised = {name for found in RAISES.finditer(text) for name in CLASS_NAME.findall(found[1])}
        named += len(raised)
        # A dotted name says itself where it comes from.
        strange = {name for name in raised - classes if "." not in name}
        unknown += [f"{where}: {name}" for name in sorted(strange and strange - set(names_in_code(tree)))]
    assert named > 200
    assert fields == []
    assert unknown == []
