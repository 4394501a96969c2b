# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which names the playbooks read. A lint check: somebody's inventory may use any name that is not ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta
import pytest
import yaml

PLAYBOOKS = Path(__file__).parents[3] / "playbooks"
FILES = sorted(PLAYBOOKS.rglob("*.yml"))

# What is an expression without braces around it.
EXPRESSIONS = frozenset(("when", "that", "until", "changed_when", "failed_when"))
# What Ansible gives itself, whatever an inventory or a host says; ansible_eda is what Event-Driven Ansible gives.
ANSIBLES = frozenset(
    (
        *("ansible_check_mode", "ansible_eda", "ansible_failed_result", "ansible_failed_task", "ansible_limit"),
        *(
            "ansible_play_batch",
            "ansible_play_hosts",
            "ansible_play_hosts_all",
            "ansible_play_name",
            "ansible_playbook_python",
        ),
        *("groups", "inventory_hostname"),
        *("item", "lookup", "now", "omit", "playbook_dir", "query", "range"),
    )
)
# What only awx_setup has. It acts on no host of the inventory.
SETUP = "awx_"


class _Loader(yaml.SafeLoader):
    """Reads a playbook; what is tagged !unsafe is no template and reads nothing."""


_Loader.add_constructor("!unsafe", lambda _loader, _node: None)


class _AnyFilter(dict):
    """Jinja asks whether filters and tests exist; Ansible's are not here."""

    def get(self, _name: object, _default: object = None) -> object:  # type: ignore[override]
        return str

    def __contains__(self, _name: object) -> bool:
        return True


def load(path: Path) -> Any:
    return yaml.load(path.read_text("utf-8"), Loader=_Loader)  # noqa: S506 - a SafeLoader


def texts(value: Any, key: str = "") -> Iterator[str]:
    """Every template in a playbook, as one with braces."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from texts(name)
            yield from texts(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner, key)
    elif isinstance(value, str):
        yield "{{ (" + value + ") }}" if key in EXPRESSIONS else value


def read(path: Path) -> set[str]:
    environment = jinja2.Environment(autoescape=False)  # noqa: S701 - nothing is rendered
    environment.filters = environment.tests = _AnyFilter()
    return set().union(*(jinja2.meta.find_undeclared_variables(environment.parse(text)) for text in texts(load(path))))


def bound(value: Any) -> Iterator[str]:
    """Every name that playbooks give a value above inventory and facts before anything reads it."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "vars" and isinstance(inner, dict):
                yield from inner
            if name == "register" or (name == "loop_control" and "loop_var" in inner):
                yield inner if name == "register" else inner["loop_var"]
            yield from bound(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from bound(inner)


BOUND = {name for path in FILES for name in bound(load(path))} | {
    name for path in FILES if path.parent.name == "vars" for name in load(path)
}


def test_there_are_playbooks() -> None:
    assert {"restart_process.yml", "rolling_restart.yml", "awx_setup.yml", "run.yml"} <= {path.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PLAYBOOKS)))
def test_every_name_is_ours_or_ansibles(path: Path) -> None:
    """Short names come from the command line alone: lookup('autoglm.recovery.extra_var', NAME)."""
    allowed = ("autoglm_", SETUP) if path.name == "awx_setup.yml" else ("autoglm_",)
    assert sorted(name for name in read(path) - ANSIBLES if not name.startswith(allowed)) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PLAYBOOKS)))
def test_none_of_ours_is_left_to_the_inventory_or_the_host(path: Path) -> None:
    """It has a value in vars/, in vars:, or by register; what the inventory says is read with lookup declared.

    One that a task sets with set_fact has its first value in vars/, or a host could give it one before.
    """
    assert sorted(name for name in read(path) - BOUND if name.startswith(("autoglm_", SETUP))) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PLAYBOOKS)))
def test_other_hosts_are_never_read_through_hostvars(path: Path) -> None:
    """hostvars[X] holds what X says of itself."""
    assert "hostvars" not in read(path)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ({"when": "force | default(false)"}, {"force"}),
        ({"loop": "{{ services | selectattr('pool', 'equalto', pool) }}"}, {"services", "pool"}),
        ({"assert": {"that": ["a == 1", "b is defined"]}}, {"a", "b"}),
        ({"msg": "{% for host in groups['all'] %}{{ hostvars[host].x }}{% endfor %}"}, {"groups", "hostvars"}),
    ],
)
def test_the_check_sees_names(text: Any, found: set[str], tmp_path: Path) -> None:
    (tmp_path / "one.yml").write_text(yaml.safe_dump(text))
    assert read(tmp_path / "one.yml") == found
