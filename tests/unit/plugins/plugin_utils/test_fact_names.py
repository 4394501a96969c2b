# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which facts stand in for variables of the inventory."""

from __future__ import annotations

from typing import Any

import pytest
from ansible import constants
from ansible.plugins.loader import become_loader, connection_loader, shell_loader
from ansible.vars.clean import clean_facts
from ansible_collections.autoglm.recovery.plugins.plugin_utils.fact_names import replaced

USUAL = {
    "ansible_distribution": "Debian",
    "ansible_user_id": "root",
    "ansible_user_dir": "/root",
    "ansible_ssh_host_key_rsa_public": "AAAA",
    "ansible_system_vendor": "x",
    "module_setup": True,
    "gather_subset": ["all"],
}


@pytest.mark.parametrize(
    ("facts", "declared", "named"),
    [
        (USUAL, {}, []),
        ({"autoglm_pools": {}}, {}, ["autoglm_pools"]),
        ({"check_target_seconds": 1}, {}, ["check_target_seconds"]),
        (
            {"management": "203.0.113.1"},
            {"management": "192.0.2.1"},
            ["management"],
        ),
        ({"management": "192.0.2.1"}, {"management": "192.0.2.1"}, []),
        (
            {"ansible_sftp_executable": "/tmp/x", "ansible_su_exe": "/tmp/x"},
            {},
            ["ansible_sftp_executable", "ansible_su_exe"],
        ),
    ],
)
def test_what_stands_in(facts: dict[str, Any], declared: dict[str, Any], named: list[str]) -> None:
    assert replaced(facts, declared) == named


def test_every_option_that_ansible_lets_through_is_named() -> None:
    """Facts named as these say how, and by which programs of the controller, hosts are reached."""
    names = set()
    for kind, loader in (("connection", connection_loader), ("shell", shell_loader), ("become", become_loader)):
        for plugin in loader.all(class_only=True):
            for option in constants.config.get_configuration_definitions(kind, plugin._load_name).values():
                names |= {entry["name"] for entry in option.get("vars") or ()}
    passed = {name for name in clean_facts(dict.fromkeys(names, "x")) if name.startswith("ansible_")}
    assert "ansible_sftp_executable" in passed
    assert passed - set(replaced(dict.fromkeys(passed, "x"), {})) == set()
