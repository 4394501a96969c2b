# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which modules the playbooks have hosts run, read out of their files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.lab.places import CHECKOUT

PLAYBOOKS = CHECKOUT / "playbooks"
# Holds the tasks and variables that our playbooks share with those of a site's own.
ROLE = CHECKOUT / "roles/check_target"
# Those that install and take away: roles are played there by their own names and variables, and nothing launches them.
INSTALL = frozenset({"site", "uninstall"})
OTHERS = sorted(path for path in PLAYBOOKS.glob("*.yml") if path.stem not in INSTALL)
# Those whose plays are for hosts of an inventory; awx_setup has localhost alone.
OF_HOSTS = [path.stem for path in OTHERS if path.stem != "awx_setup"]
# Actions that no host has a part in.
ON_THE_CONTROLLER = frozenset(
    f"ansible.builtin.{name}"
    for name in ("assert", "debug", "fail", "group_by", "import_tasks", "include_tasks", "meta", "pause", "set_fact")
)
_INCLUDES = ("ansible.builtin.import_tasks", "ansible.builtin.include_tasks")
_BLOCKS = ("block", "rescue", "always")


class _Loader(yaml.SafeLoader):
    """Reads a playbook; what is tagged !unsafe is no template and reads nothing."""


_Loader.add_constructor("!unsafe", lambda _loader, _node: None)


@cache
def load(path: Path) -> Any:
    """What a file holds."""
    return yaml.load(path.read_text("utf-8"), Loader=_Loader)  # noqa: S506 - a SafeLoader


def actions(playbook: str) -> Iterator[tuple[str, Any]]:
    """Every action of a playbook with its options, also in the files of tasks that it includes."""
    for play in load(PLAYBOOKS / f"{playbook}.yml"):
        yield from actions_of(play)


def actions_of_role() -> Iterator[tuple[str, Any]]:
    """The same of the role, as it is named by a playbook and by the tasks of one."""
    for file in ("main.yml", "go_on.yml"):
        yield from _actions(load(ROLE / "tasks" / file), ROLE / "tasks")


def first_actions(playbook: str) -> Iterator[tuple[str, Any]]:
    """Those of the first play of a playbook."""
    return actions_of(load(PLAYBOOKS / f"{playbook}.yml")[0])


def asked_of_hosts(playbook: str) -> list[str]:
    """The short names of the modules that hosts run in a playbook, as their files on a host are called."""
    modules = set()
    for action, options in actions(playbook):
        if action not in ON_THE_CONTROLLER:
            modules.add((options["module"] if action == "autoglm.recovery.ask" else action).rpartition(".")[2])
    return sorted(modules)


def actions_of(play: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The same of one play."""
    for part in ("pre_tasks", "tasks", "post_tasks", "handlers"):
        yield from _actions(play.get(part) or [], PLAYBOOKS)


def _actions(
    tasks: list[dict[str, Any]], folder: Path, within: frozenset[Path] = frozenset()
) -> Iterator[tuple[str, Any]]:
    """Those of tasks in a file of a folder, below which and beside which other files are named.

    within: the files in which these tasks are; one that includes itself, to try again, has no other actions then.
    """
    for task in tasks:
        for part in _BLOCKS:
            yield from _actions(task.get(part) or [], folder, within)
        named = [name for name in task if "." in name]
        if not named:
            if "block" not in task:
                raise ValueError(f"a task has no action by its full name: {task}")
            continue
        (action,) = named
        yield action, task[action]
        if action in _INCLUDES:
            file = task[action] if isinstance(task[action], str) else task[action]["file"]
            if "{{" not in file:  # or it is the caller's
                path = Path(os.path.normpath(folder / file))
                if path not in within:
                    yield from _actions(load(path), path.parent, within | {path})
