# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: replaced_by_facts
author:
  - autoglm.recovery maintainers (@autoglm)
version_added: 0.2.0
short_description: Name the variables that facts of a host replace
description:
  - With fact injection, which is Ansible's default, facts rank above the inventory. Those that a host answered with,
    also long ago into a fact cache, then stand in for variables of the inventory.
  - Names those that do, and those that say how a host is reached. Returns nothing where injection is off.
options:
  _terms:
    description:
      - Inventory names of hosts.
    required: true
"""

EXAMPLES = r"""
- name: Go on only if this host does not replace what the inventory says of it
  ansible.builtin.assert:
    that: query('autoglm.recovery.replaced_by_facts', inventory_hostname) | length == 0
"""

RETURN = r"""
_raw:
  description:
    - One text for each variable, C(HOST NAME).
  type: list
  elements: str
"""

from typing import Any

from ansible import constants
from ansible.plugins.lookup import LookupBase
from ansible.vars.clean import clean_facts
from ansible_collections.autoglm.recovery.plugins.plugin_utils import fact_names
from ansible_collections.autoglm.recovery.plugins.plugin_utils.declarations import Declarations


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        """Compare each host's facts with its declarations."""
        self.set_options(var_options=variables, direct=kwargs)
        if not constants.INJECT_FACTS_AS_VARS:  # type: ignore[attr-defined]  # made as the module is imported
            return []
        declarations = Declarations.of_run(variables or {})
        return [
            f"{host} {name}"
            for host in terms
            for name in fact_names.replaced(
                clean_facts(declarations.facts_of(host)), declarations.of_host(host).as_written
            )
        ]
