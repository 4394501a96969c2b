# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each role says of itself what is so: its argument specs, its defaults and its README have the same variables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = sorted((Path(__file__).parents[3] / "roles").iterdir())
each_role = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def options(role: Path) -> dict[str, dict[str, Any]]:
    """Return what all entry points of a role may be told."""
    specs = read(role / "meta/argument_specs.yml")["argument_specs"]
    return {name: option for spec in specs.values() for name, option in spec["options"].items()}


@each_role
def test_defaults_are_those_of_the_argument_specs(role: Path) -> None:
    """What is required has none."""
    declared = {name: option["default"] for name, option in options(role).items() if not option.get("required")}
    assert read(role / "defaults/main.yml") == declared


@each_role
def test_what_a_role_may_be_told_begins_with_its_name(role: Path) -> None:
    assert [name for name in options(role) if not name.startswith(f"{role.name}_")] == []


@each_role
def test_the_readme_has_every_variable_and_entry_point(role: Path) -> None:
    text = (role / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert sorted(rows) == sorted(options(role))
    entries = set(read(role / "meta/argument_specs.yml")["argument_specs"]) - {"main"}
    assert {name for name in entries if f"tasks_from: {name}" not in text} == set()


@each_role
def test_an_entry_point_has_its_file(role: Path) -> None:
    entries = read(role / "meta/argument_specs.yml")["argument_specs"]
    assert [name for name in entries if not (role / f"tasks/{name}.yml").exists()] == []
