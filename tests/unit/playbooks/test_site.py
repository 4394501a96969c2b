# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""site.yml plays each role that installs something on the hosts of its group; uninstall.yml takes the same away."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoglm_recovery.policy.own import RESERVED
from tests.support.servers.plays import INSTALL, PLAYBOOKS, load

CHECKOUT = PLAYBOOKS.parent
# A part of playbooks, and one of the roles of exporters.
INSTALL_NOTHING = {"check_target", "exporter_common"}
ROLES = {path.name for path in (CHECKOUT / "roles").iterdir()} - INSTALL_NOTHING
EXAMPLE = CHECKOUT / "examples/fleet"


def plays(playbook: str) -> list[dict[str, Any]]:
    """Return the plays of one of them that play a role."""
    return [play for play in load(PLAYBOOKS / f"{playbook}.yml") if "roles" in play]


def role_of(play: dict[str, Any]) -> str:
    """Return the role of a play, which has one only."""
    (role,) = play["roles"]
    return str(role["role"]).removeprefix("autoglm.recovery.")


def groups_of(inventory: Path) -> set[str]:
    """Return the groups of an inventory that site.yml would look at."""
    return {name for name in yaml.safe_load(inventory.read_text())["all"]["children"] if name.startswith("autoglm_")}


def test_both_play_every_role_that_installs_something_and_one_is_the_reverse_of_the_other() -> None:
    installed = [role_of(play) for play in plays("site")]
    assert set(installed) == ROLES
    assert [role_of(play) for play in plays("uninstall")] == installed[::-1]


@pytest.mark.parametrize("playbook", sorted(INSTALL))
def test_a_role_is_for_the_hosts_of_its_group_and_can_be_asked_for_alone(playbook: str) -> None:
    for play in plays(playbook):
        assert play["hosts"] == f"autoglm_{role_of(play)}"
        assert play["tags"] == [role_of(play)]


def test_nothing_goes_that_nobody_has_said_on_the_command_line() -> None:
    for play in plays("uninstall"):
        name = role_of(play)
        (role,) = play["roles"]
        assert role[f"{name}_state"] == "absent"
        asks = play["pre_tasks"][0]["ansible.builtin.assert"]
        assert "lookup('autoglm.recovery.extra_var', 'autoglm_uninstall')" in asks["that"]
        # Where a role can remove what was recorded, that is asked for too.
        defaults = yaml.safe_load((CHECKOUT / "roles" / name / "defaults/main.yml").read_text())
        assert (f"{name}_remove_data" in defaults) is (f"{name}_remove_data" in role)
        assert "autoglm_remove_data" in role.get(f"{name}_remove_data", "autoglm_remove_data")


def test_what_changes_one_host_after_another_does_so_in_both() -> None:
    one_by_one = {role_of(play) for play in plays("site") if play.get("serial") == 1}
    assert one_by_one == {"alertmanager_route", "receiver"}
    assert one_by_one == {role_of(play) for play in plays("uninstall") if play.get("serial") == 1}


def test_neither_is_an_action() -> None:
    assert set(RESERVED) >= INSTALL
    (setup,) = load(PLAYBOOKS / "awx_setup.yml")
    # The default of awx_actions is what is left, and AWX makes a template of each of these.
    listed = re.search(r"difference\(awx_not_launched \+ (\[.+?\])\)", setup["vars"]["awx_actions"])
    assert listed
    assert {*yaml.safe_load(listed[1]), *setup["vars"]["awx_not_launched"]} >= INSTALL


def test_the_groups_are_as_documented() -> None:
    page = (CHECKOUT / "docs/roles.md").read_text("utf-8").partition("\n## A fleet from one inventory\n")[2]
    table = "\n".join(re.findall(r"^\| `autoglm_.*$", page, re.MULTILINE))
    groups = {f"autoglm_{name}" for name in ROLES}
    assert set(re.findall(r"`(autoglm_\w+)`", table)) == groups
    head = (PLAYBOOKS / "site.yml").read_text("utf-8").partition("\n- name:")[0]
    assert set(re.findall(r"\bautoglm_[a-z_]+\b", head)) - {"autoglm_"} == groups
    asked = load(PLAYBOOKS / "site.yml")[-1]["tasks"][0]
    assert set(asked["vars"]["autoglm_groups"]) == groups


def test_the_example_and_the_page_have_groups_that_there_are() -> None:
    example = groups_of(EXAMPLE / "inventory.yml")
    assert example <= {f"autoglm_{name}" for name in ROLES}
    page = (CHECKOUT / "docs/roles.md").read_text("utf-8").partition("\n## A fleet from one inventory\n")[2]
    shown = yaml.safe_load(page.partition("```yaml\n")[2].partition("```")[0])
    assert {name for name in shown["all"]["children"] if name.startswith("autoglm_")} == example
