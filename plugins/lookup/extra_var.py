# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: extra_var
author:
  - autoglm.recovery maintainers (@autoglm)
version_added: 0.2.0
short_description: Read a variable only if it was given on the command line
description:
  - Returns the value of an extra variable, which is what C(-e) of C(ansible-playbook), the C(extravars) of
    ansible-runner, and the prompts, surveys and templates of AWX give.
  - A variable of the same name in the inventory, in C(group_vars) or C(host_vars), in facts, registered, or set with
    C(set_fact) is not seen. So a playbook can take short names such as C(force) from the person who starts it without
    meaning what somebody's inventory calls so.
options:
  _terms:
    description:
      - The names. The first that was given counts.
    required: true
  default:
    description:
      - What is returned if none of them was given.
    type: raw
    default: ""
  given:
    description:
      - Return whether one of them was given, and evaluate none. What is in a variable that holds what strangers wrote,
        such as the C(ansible_eda) of Event-Driven Ansible, would otherwise be read as a template by ansible-core 2.18
        and older, C(is defined) included.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Say whom the person who started this means
  ansible.builtin.debug:
    msg: "{{ lookup('autoglm.recovery.extra_var', 'autoglm_target_host', 'target', default='nobody') }}"

- name: Do something that only a person may wish for
  ansible.builtin.debug:
    msg: a person asked
  when: not lookup('autoglm.recovery.extra_var', 'ansible_eda', given=true)
"""

RETURN = r"""
_raw:
  description:
    - One value, of the type that was given.
  type: list
  elements: raw
"""

from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible.utils.vars import load_extra_vars


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[Any]:
        """Return the first of the variables that is an extra variable."""
        self.set_options(var_options=variables, direct=kwargs)
        if self._loader is None or self._templar is None:
            raise AnsibleError("a lookup is asked without a loader or a templar, which Ansible gives to each")
        given = load_extra_vars(loader=self._loader)
        if self.get_option("given"):
            return [any(name in given for name in terms)]
        for name in terms:
            if name in given:
                return [self._templar.template(given[name])]
        return [self.get_option("default")]
