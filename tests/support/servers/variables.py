# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which variables playbooks read, where from, and to which they give a value; read out of their files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta
from jinja2 import nodes

from .plays import OTHERS, PLAYBOOKS, ROLE, load

_TABLES = ("vars", "defaults")
_OF_ROLE = {path for folder in ("tasks", *_TABLES) for path in (ROLE / folder).rglob("*.yml")}
# What is run, and the files in which Ansible begins to read it.
ENTRIES = {path.stem: {path} for path in OTHERS} | {ROLE.name: _OF_ROLE}
FILES = sorted({*OTHERS, *PLAYBOOKS.rglob("*/*.yml"), *_OF_ROLE})
EXTRA_VAR, DECLARED = "autoglm.recovery.extra_var", "autoglm.recovery.declared"

# What is an expression without braces around it.
_EXPRESSIONS = frozenset(("when", "that", "until", "changed_when", "failed_when", "break_when", "var"))


class _AnyFilter(dict):  # type: ignore[type-arg]
    """Jinja asks whether filters and tests exist; Ansible's are not here."""

    def get(self, _name: object, _default: object = None) -> object:
        return str

    def __contains__(self, _name: object) -> bool:
        return True


def read(value: Any) -> set[str]:
    """Names that the templates in a value read."""
    return set().union(*(jinja2.meta.find_undeclared_variables(tree) for tree in _templates(value)))


def looked_up(value: Any) -> Iterator[tuple[str, str]]:
    """Every lookup as (plugin, term), a term at a time; "?" stands for what no text in the template says."""
    for tree in _templates(value):
        for call in tree.find_all(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name in ("lookup", "query", "q"):
                plugin, *terms = [one.value if isinstance(one, nodes.Const) else "?" for one in call.args]
                yield from ((plugin, term) for term in terms or ["?"])


def given(value: Any) -> Iterator[tuple[str, str]]:
    """Every name that tasks and plays give a value, as (by what, name)."""
    if isinstance(value, list):
        for inner in value:
            yield from given(inner)
    elif isinstance(value, dict):
        for key, inner in value.items():
            by = str(key).rpartition(".")[2]
            if by in ("vars", "set_fact") and isinstance(inner, dict):
                yield from ((by, name) for name in inner if name != "cacheable")
            elif by == "register":
                yield by, inner
            elif by == "loop_control":
                yield from ((by, inner[option]) for option in ("loop_var", "index_var") if option in inner)
            elif by == "vars_prompt":
                yield from ((by, prompt["name"]) for prompt in inner)
            yield from given(inner)


def given_by(path: Path) -> set[tuple[str, str]]:
    """The same of a file."""
    content = load(path)
    return {("vars", name) for name in content} if is_table(path) else set(given(content))


def is_table(path: Path) -> bool:
    """Whether a file is one table of names, and no list of plays or tasks."""
    return any(part in _TABLES for part in path.relative_to(PLAYBOOKS.parent).parts)


def files_of(name: str) -> set[Path]:
    """The files of a playbook or a role, and those of tasks and variables that they name, each beside itself."""
    found: set[Path] = set()
    waiting = ENTRIES[name]
    while waiting:
        found |= waiting
        named = {path.parent / text for path in waiting for text in _texts(load(path)) if text.endswith(".yml")}
        waiting = {Path(os.path.normpath(path)) for path in named} & set(FILES) - found
    return found


def _templates(value: Any) -> Iterator[nodes.Template]:
    environment = jinja2.Environment(autoescape=False)  # noqa: S701 - nothing is rendered
    environment.filters = environment.tests = _AnyFilter()
    return (environment.parse(text) for text in _texts(value))


def _texts(value: Any, key: str = "") -> Iterator[str]:
    """Every text in a value, a bare expression as a template with braces."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts(name)
            yield from _texts(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, key)
    elif isinstance(value, str):
        yield "{{ (" + value + ") }}" if key in _EXPRESSIONS else value
