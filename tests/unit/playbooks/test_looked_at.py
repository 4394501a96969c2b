# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No answer of a host reaches Ansible unseen: hosts run modules of ours, or those of Ansible by way of ask."""

from __future__ import annotations

import pytest

from tests.lab.places import CHECKOUT
from tests.support.servers import plays

GUARDED = {f"autoglm.recovery.{path.stem}" for path in (CHECKOUT / "plugins/action").glob("[a-z]*.py")}


@pytest.mark.parametrize("playbook", plays.OF_HOSTS)
def test_whatever_hosts_are_asked_has_its_answer_looked_at(playbook: str) -> None:
    assert {action for action, _ in plays.actions(playbook)} - plays.ON_THE_CONTROLLER - GUARDED == set()


def test_whatever_the_role_asks_hosts_has_its_answer_looked_at() -> None:
    assert {action for action, _ in plays.actions_of_role()} - plays.ON_THE_CONTROLLER - GUARDED == set()


def test_every_file_of_tasks_belongs_to_a_playbook() -> None:
    """One that none includes would be looked at by no test."""
    kept = [str(options) for playbook in plays.OF_HOSTS for _action, options in plays.actions(playbook)]
    kept += [str(options) for _action, options in plays.actions_of_role()] + ["main.yml", "go_on.yml"]
    tasks = [*(plays.PLAYBOOKS / "tasks").glob("*.yml"), *(plays.ROLE / "tasks").glob("*.yml")]
    unknown = [path.name for path in tasks if path.name not in "".join(kept)]
    assert unknown == []


def test_what_is_asked_through_ask_is_seen() -> None:
    assert plays.asked_of_hosts("look_at_hosts") == ["command", "drain_inference", "uri"]
    assert plays.asked_of_hosts("try_run") == []
