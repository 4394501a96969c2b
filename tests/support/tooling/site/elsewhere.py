# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Ansible's own documentation is, for what antsibull-docs refers to: nobody is asked while the site is built."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes

ANSIBLE = "https://docs.ansible.com/ansible/latest/"
VARIABLES = f"{ANSIBLE}reference_appendices/config.html#envvar-"
# What each page of a plugin may refer to.
_PAGES = {
    "action_plugins": "plugins/action.html#action-plugins",
    "ansible_configuration_settings": "reference_appendices/config.html#ansible-configuration-settings",
    "common_return_values": "reference_appendices/common_return_values.html#common-return-values",
    "inventory_plugins": "plugins/inventory.html#inventory-plugins",
    "general_precedence_rules": "reference_appendices/general_precedence.html#general-precedence-rules",
}
_PLUGIN = re.compile(r"ansible_collections\.([a-z0-9_]+)\.([a-z0-9_]+)\.(\w+)")
# The collections that docs.ansible.com has.
_ITS_NAMESPACES = frozenset({"ansible", "awx", "community", "containers", "kubernetes"})


def address(label: str) -> str | None:
    """Return where a label leads, or nothing where nobody is known to have it."""
    if label in _PAGES:
        return ANSIBLE + _PAGES[label]
    plugin = _PLUGIN.fullmatch(label)
    if plugin is None or plugin[1] not in _ITS_NAMESPACES:
        return None
    return f"{ANSIBLE}collections/{plugin[1]}/{plugin[2]}/{plugin[3]}.html"


def resolve(_app: Any, _environment: Any, node: Any, content: nodes.Element) -> nodes.reference | None:
    """Make a link of a reference that no page of ours answers; Sphinx warns of those that nobody does."""
    kind, named = node.get("reftype"), node["reftarget"]
    found = VARIABLES + named if kind == "envvar" else address(named)
    if found is None:
        return None
    link = nodes.reference("", "", internal=False, refuri=found)
    link += content
    return link
