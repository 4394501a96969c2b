# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which names the playbooks read. A lint check: somebody's inventory may use any name that is not ours."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.servers.plays import INSTALL, OTHERS, PLAYBOOKS, ROLE, load
from tests.support.servers.variables import (
    DECLARED,
    ENTRIES,
    EXTRA_VAR,
    FILES,
    files_of,
    given,
    given_by,
    is_table,
    looked_up,
    read,
)

PLAYS = [path.stem for path in OTHERS]

# What Ansible gives itself, whatever an inventory or a host says.  Not ansible_eda, which holds what strangers wrote:
# only the lookup extra_var tells whether it was given without evaluating it.
ANSIBLES = frozenset(
    (
        *("ansible_check_mode", "ansible_failed_result", "ansible_failed_task", "ansible_limit"),
        *(
            "ansible_play_batch",
            "ansible_play_hosts",
            "ansible_play_hosts_all",
            "ansible_play_name",
            "ansible_playbook_python",
        ),
        *("groups", "inventory_hostname"),
        *("item", "lookup", "now", "omit", "playbook_dir", "query", "range", "role_path"),
    )
)
# What only awx_setup has. It acts on no host of the inventory.
SETUP = "awx_"
# The parts of a play in which names are looked for. Roles, for one, would bring files that nothing here reads.
READ = {
    "become",
    "connection",
    "gather_facts",
    "hosts",
    "module_defaults",
    "name",
    "order",
    "serial",
    "tasks",
    "vars",
    "vars_files",
}
# What lookups may name: any extra variable, what the inventory says of ours, and how Ansible reaches a host.
LOOKUPS = {
    EXTRA_VAR: "[a-z]",
    DECLARED: "autoglm_",
    "vars": "ansible_",
    "autoglm.recovery.replaced_by_facts": r"\?",
    "ansible.builtin.config": "[A-Z]",
    "ansible.builtin.fileglob": r"\?",
}
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PLAYBOOKS.parent)))


def ours(path: Path) -> tuple[str, ...]:
    """What ours begin with: those of a role that a playbook gives it with the name of the role."""
    if path.name == "awx_setup.yml":
        return ("autoglm_", SETUP)
    return ("autoglm_", f"{ROLE.name}_") if ROLE in path.parents else ("autoglm_",)


def bound(name: str) -> set[str]:
    """Every name that a playbook or a role gives a value above inventory and facts before anything reads it.

    Not one that a task notes with set_fact: it has its first value in vars/, or a host could give it one before.
    """
    return {one for path in files_of(name) for by, one in given_by(path) if by != "set_fact"}


def reached(name: str) -> set[str]:
    """Every name that the tasks of a playbook or a role read, and those that the values of these read in turn."""
    files = files_of(name)
    values = [pair for path in files if is_table(path) for pair in load(path).items()]
    found: set[str] = set()
    waiting = set().union(*(read(load(path)) for path in files if not is_table(path)))
    while waiting:
        found |= waiting
        waiting = set().union(*(read(value) for one, value in values if one in waiting)) - found
    return found


def test_everything_in_the_folder_is_read() -> None:
    assert {"restart_process.yml", "rolling_restart.yml", "awx_setup.yml", "run.yml"} <= {path.name for path in FILES}
    unread = {path.relative_to(PLAYBOOKS) for path in PLAYBOOKS.rglob("*") if path.is_file() and path not in FILES}
    assert unread == {Path(f"{name}.yml") for name in INSTALL}
    assert set(FILES) == set().union(*map(files_of, ENTRIES))


@pytest.mark.parametrize("playbook", PLAYS)
def test_every_play_is_read_whole(playbook: str) -> None:
    for play in load(PLAYBOOKS / f"{playbook}.yml"):
        assert play.keys() - READ == set()
        assert [
            file for file in play.get("vars_files", []) if Path(os.path.normpath(PLAYBOOKS / file)) not in FILES
        ] == []


@each_file
def test_every_name_is_ours_or_ansibles(path: Path) -> None:
    """Short names come from the command line alone: lookup('autoglm.recovery.extra_var', NAME)."""
    assert sorted(name for name in read(load(path)) - ANSIBLES if not name.startswith(ours(path))) == []


@each_file
def test_every_name_that_is_given_a_value_is_ours(path: Path) -> None:
    """Or the next task that reads it would read somebody's where this one was left out."""
    theirs = {("vars", "ansible_python_interpreter")}
    assert sorted(one for one in given_by(path) - theirs if not one[1].startswith(ours(path))) == []


@each_file
def test_no_lookup_reads_another_s_name(path: Path) -> None:
    wrong = [one for one in looked_up(load(path)) if not re.match(LOOKUPS.get(one[0], "$."), one[1])]
    assert wrong == []


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_none_of_ours_is_left_to_the_inventory_or_the_host(name: str) -> None:
    """It has a value in this playbook: in vars/, in vars: or by register. Lookup declared reads the inventory's."""
    assert sorted(one for one in reached(name) - bound(name) if one.startswith(("autoglm_", SETUP))) == []


@each_file
def test_nobody_asks_whether_one_of_ours_is_there(path: Path) -> None:
    """Where no task has registered it yet, somebody's inventory would answer."""
    assert re.findall(r"\b(?:autoglm|awx)_\w+ is (?:not )?(?:un)?defined", path.read_text("utf-8")) == []


@each_file
def test_other_hosts_are_never_read_through_hostvars(path: Path) -> None:
    """hostvars[X] holds what X says of itself."""
    assert "hostvars" not in read(load(path))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ({"when": "force | default(false)"}, {"force"}),
        ({"loop": "{{ services | selectattr('pool', 'equalto', pool) }}"}, {"services", "pool"}),
        ({"assert": {"that": ["a == 1", "b is defined"]}}, {"a", "b"}),
        ({"ansible.builtin.debug": {"var": "force"}}, {"force"}),
        ({"msg": "{% for host in groups['all'] %}{{ hostvars[host].x }}{% endfor %}"}, {"groups", "hostvars"}),
    ],
)
def test_the_check_sees_names(text: Any, found: set[str]) -> None:
    assert read(text) == found


def test_the_check_sees_what_is_looked_up() -> None:
    text = "{{ lookup('vars', 'force') ~ query('declared', 'a', 'b', default=c) ~ lookup('varnames', d) }}"
    found = {("vars", "force"), ("declared", "a"), ("declared", "b"), ("varnames", "?")}
    assert set(looked_up({"msg": text})) == found


def test_the_check_sees_what_is_given_a_value() -> None:
    tasks = """
      - block:
          - ansible.builtin.set_fact: {a: 1, cacheable: true}
          - ansible.builtin.command: x
            register: b
            vars: {c: 1}
            loop_control: {loop_var: d, index_var: e, label: f}
    """
    play = [{"vars_prompt": [{"name": "g"}], "vars": {"h": {"i": 1}}, "tasks": yaml.safe_load(tasks)}]
    assert sorted(name for _by, name in given(play)) == ["a", "b", "c", "d", "e", "g", "h"]
