# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether SSH host keys are checked is for Ansible's own configuration to say, and it checks them unless told not to.

ansible-runner sets C(ANSIBLE_HOST_KEY_CHECKING=False) for every playbook whose environment does not name it
(C(config/_base.py) of 2.4), over C(ansible.cfg) too.  Who answers for a host's address would then get root's commands.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

VARIABLE = "ANSIBLE_HOST_KEY_CHECKING"


def leave_to_ansible(prepared: MutableMapping[str, str]) -> None:
    """Take what ansible-runner decided out of the environment that it has prepared; what people have set stays."""
    if VARIABLE not in os.environ:
        prepared.pop(VARIABLE, None)


__all__ = ["leave_to_ansible"]
