# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task registers or sets as a fact outranks a role's own variable of that name, for all tasks that follow."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROLES = sorted(path for path in (Path(__file__).parents[3] / "roles").iterdir() if (path / "tasks").is_dir())
REGISTERED = re.compile(r"^\s*register: (\w+)$", re.MULTILINE)
FACTS = re.compile(r"^(\s*)ansible\.builtin\.set_fact:\n((?:\1  .*\n?)+)", re.MULTILINE)


def described(role: Path) -> set[str]:
    """Return the variables of a role, of all its files."""
    files = [path for place in ("vars", "defaults") for path in (role / place).rglob("*.yml")]
    return {name for file in files for name in yaml.safe_load(file.read_text("utf-8")) or {}}


def written(text: str) -> set[str]:
    """Return what tasks register, or set as facts."""
    facts = (re.findall(rf"^{indent}  (\w+):", block, re.MULTILINE) for indent, block in FACTS.findall(text))
    return {*REGISTERED.findall(text), *(name for names in facts for name in names)}


def test_both_ways_of_writing_are_seen() -> None:
    facts = "  ansible.builtin.set_fact:\n    c: 1\n    d: >-\n      e\n"
    text = f"- ansible.builtin.command: x\n  register: a\n- name: b\n{facts}"
    assert written(text) == {"a", "c", "d"}


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_no_task_of_a_role_writes_over_a_variable_of_it(role: Path) -> None:
    tasks = {path.name: written(path.read_text("utf-8")) for path in (role / "tasks").rglob("*.yml")}
    assert {name: both for name, found in tasks.items() if (both := found & described(role))} == {}
