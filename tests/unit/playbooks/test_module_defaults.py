# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a service is, is said once in a play: to every module that asks services, and to no other one."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.lab.places import CHECKOUT
from tests.support.servers import plays

OURS = "autoglm.recovery"
GROUPS: dict[str, list[str]] = yaml.safe_load((CHECKOUT / "meta/runtime.yml").read_text("utf-8"))["action_groups"]
RUN = plays.load(plays.ROLE / "vars/main/run.yml")
# The groups that have defaults, and the names of run.yml that these are.
GIVEN = {"engine": "autoglm_engine_options", "service": "autoglm_service_options"}
DEFAULTS = {f"group/{OURS}.{group}": f"{{{{ {name} }}}}" for group, name in GIVEN.items()}
OF_SERVICES = {f"{OURS}.{module}" for group in GIVEN for module in GROUPS[group]}
# What an inventory's service has no key for.
NOT_OF_A_SERVICE = {"validate_certs"}


def each_play() -> list[Any]:
    """Return every play for hosts, under the name of its playbook."""
    return [
        pytest.param(play, id=f"{playbook}:{number}")
        for playbook in plays.OF_HOSTS
        for number, play in enumerate(plays.load(plays.PLAYBOOKS / f"{playbook}.yml"))
    ]


@pytest.mark.parametrize("play", each_play())
def test_a_play_has_the_defaults_where_it_asks_services_and_no_others(play: dict[str, Any]) -> None:
    asks = {action for action, _options in plays.actions_of(play)} & OF_SERVICES
    assert play.get("module_defaults", {}) == (DEFAULTS if asks else {})


def test_plays_are_seen_to_ask_services() -> None:
    asking = [one for one in each_play() if one.values[0].get("module_defaults")]
    assert [one.id for one in asking] == [
        "check_service:0",
        "clear_queue_and_reset:0",
        "drill:0",
        "isolate_and_snapshot:0",
        "quarantine_node:0",
        "reboot_node:0",
        "reset_gpu:0",
        "restart_process:0",
        "retry_with_backoff:0",
        "return_node:0",
        "rolling_restart:2",
        "rolling_restart:3",
        "safe_shutdown:0",
        "shed_load:0",
        "switch_comm_path:0",
    ]


def test_nothing_inside_of_a_play_has_defaults_of_its_own() -> None:
    """The last word would be anywhere."""
    files = [path for folder in (plays.PLAYBOOKS, plays.ROLE) for path in (folder / "tasks").glob("*.yml")]
    assert len(files) > 20
    assert [path.name for path in files if "module_defaults" in path.read_text("utf-8")] == []
    begun = [play for playbook in plays.OF_HOSTS for play in plays.load(plays.PLAYBOOKS / f"{playbook}.yml")]
    assert [play["name"] for play in begun if "module_defaults" in str(play["tasks"])] == []


def options_of(group: str) -> set[str]:
    """Return the options of a group that an inventory may have for a service."""
    text = (CHECKOUT / f"plugins/doc_fragments/{group}.py").read_text("utf-8").partition('DOCUMENTATION = r"""')[2]
    return set(yaml.safe_load(text.partition('"""')[0])["options"]) - NOT_OF_A_SERVICE


@pytest.mark.parametrize(("group", "name"), GIVEN.items())
def test_every_option_of_a_group_that_a_service_may_have_is_given(group: str, name: str) -> None:
    _before, _in, selected = RUN[name].partition("'in', [")
    assert {one.strip(" '") for one in selected.partition("]")[0].split(",")} == options_of(group)


@pytest.mark.parametrize("playbook", plays.OF_HOSTS)
def test_no_task_says_again_what_the_defaults_say(playbook: str) -> None:
    """Left out by omit it would have the default all the same."""
    for action, options in plays.actions(playbook):
        if action in OF_SERVICES:
            assert options.keys() & (options_of("engine") | options_of("service")) == set(), action
