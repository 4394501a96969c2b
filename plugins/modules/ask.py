#!/usr/bin/python

# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: ask
short_description: Run a module of Ansible's own, and take nothing but data from the answer
version_added: 0.1.0
description:
  - Ansible takes more than data out of a module's answer. C(ansible_facts) become variables that rank above the
    inventory, C(add_host) gives hosts other variables, fact injection on or off. A host that is not what it was could
    so name a program that the controller runs.
  - This runs the module, and looks at the answer first, as is done for each module of this collection. A host that
    answers with anything of that kind leaves the run as one that cannot be reached does, and the answer is dropped.
  - Everything else is as with the module itself, its results too.
author:
  - autoglm.recovery maintainers (@autoglm)
extends_documentation_fragment:
  - autoglm.recovery.attributes
attributes:
  check_mode:
    support: partial
    details:
      - As far as the module that is named.
  diff_mode:
    support: partial
    details:
      - As far as the module that is named.
  idempotent:
    support: partial
    details:
      - As far as the module that is named.
options:
  module:
    description:
      - The module, by its full name.
    type: str
    required: true
    choices:
      - ansible.builtin.command
      - ansible.builtin.uri
  options:
    description:
      - The module's options. The free text of M(ansible.builtin.command) is C(_raw_params).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Does it answer
  autoglm.recovery.ask:
    module: ansible.builtin.uri
    options:
      url: http://127.0.0.1:8080/health
  register: answer
"""

RETURN = r"""# Those of the module that is named."""

from ansible_collections.autoglm.recovery.plugins.module_utils import minimum_python

minimum_python.check()  # before what an older Python cannot import

# isort: split
from ansible.module_utils.basic import AnsibleModule

CHOICES = ["ansible.builtin.command", "ansible.builtin.uri"]


def main() -> None:
    """Fail: the action plugin of this name runs the other module in this one's place."""
    module = AnsibleModule(
        argument_spec={
            "module": {"type": "str", "required": True, "choices": CHOICES},
            "options": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    module.fail_json(msg="ask is nothing on a host: its action plugin on the controller runs the module that is named")


if __name__ == "__main__":
    main()
