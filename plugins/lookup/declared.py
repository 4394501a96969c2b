# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: declared
author:
  - autoglm.recovery maintainers (@autoglm)
version_added: 0.2.0
short_description: Read a variable as the inventory declares it, whatever the host says
description:
  - Returns the value that inventory, C(group_vars), C(host_vars) and extra variables give a variable of a host.
  - Facts are left out, those in a fact cache too. With fact injection, which is Ansible's default, a host that answers
    with a fact named as a variable of the inventory would replace it, and so name the hosts, commands, paths and
    guards of the rest of the run.
  - What C(set_fact), C(register) and C(include_vars) have set is left out for the same reason.
  - A template in the inventory that needs a fact is an error; hosts describe nothing of themselves here.
options:
  _terms:
    description:
      - The names. The first that is declared counts.
    required: true
  host:
    description:
      - The inventory name of the host. The one at hand if it is left out.
    type: str
  default:
    description:
      - What is returned if none of them is declared.
    type: raw
    default: ""
"""

EXAMPLES = r"""
- name: Show the services that the inventory declares for this host
  ansible.builtin.debug:
    msg: "{{ lookup('autoglm.recovery.declared', 'autoglm_services', default=[]) }}"
"""

RETURN = r"""
_raw:
  description:
    - One value, of the type that is declared.
  type: list
  elements: raw
"""

from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible_collections.autoglm.recovery.plugins.plugin_utils.declarations import Declarations


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[Any]:
        """Return the first of the variables that the inventory declares."""
        self.set_options(var_options=variables, direct=kwargs)
        variables = variables or {}
        declared = Declarations.of_run(variables).of_host(self.get_option("host") or variables["inventory_hostname"])
        for name in terms:
            if name in declared:
                return [declared[name]]
        return [self.get_option("default")]
