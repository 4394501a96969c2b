#!/usr/bin/python

# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: drill_fault
short_description: Break an inference service on purpose, for a drill
version_added: 0.2.0
description:
  - Really breaks a service, as a class of failures does, so that a fleet can be seen to notice and to repair it.
  - Whoever uses it by itself breaks what the task names. The playbook C(autoglm.recovery.drill), which C(autoglm drill)
    runs, first sees that the inventory has declared the host for drills and that the service is well.
author:
  - autoglm.recovery maintainers (@autoglm)
extends_documentation_fragment:
  - autoglm.recovery.attributes
  - autoglm.recovery.attributes.action_group
  - autoglm.recovery.service
attributes:
  action_group:
    membership: [autoglm.recovery.recovery, autoglm.recovery.service]
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: partial
    details:
      - With O(state=ended) it is.
options:
  state:
    description:
      - Whether the service is broken, or a drill is ended that nobody has healed. What was stopped by a signal goes on
        then; a process that was killed is for whoever runs the service to start.
    type: str
    choices: [injected, ended]
    required: true
  fault:
    description:
      - How it is broken. V(crash) kills its main process. V(unresponsive) stops its main process by a signal, so that
        it is there and answers nothing. V(deadlock) stops the process of the engine behind an API that lives on, which
        vLLM has. Needed with O(state=injected).
    type: str
    choices: [crash, unresponsive, deadlock]
  timeout:
    description:
      - Seconds for each question to what runs the service.
    type: float
    default: 30.0
seealso:
  - module: autoglm.recovery.inference_health
"""

EXAMPLES = r"""
- name: Stop the test server as a hang would
  autoglm.recovery.drill_fault:
    unit: llama-test.service
    state: injected
    fault: unresponsive

- name: Let it go on if nobody has healed it
  autoglm.recovery.drill_fault:
    unit: llama-test.service
    state: ended
"""

RETURN = r"""
pids:
  description: The processes that were sent a signal; in check mode those that would be.
  type: list
  elements: int
  returned: success
  sample: [4711]
at:
  description: When, in seconds since 1970 by the host's clock.
  type: float
  returned: success
  sample: 1764518400.25
"""

from ansible_collections.autoglm.recovery.plugins.module_utils import minimum_python

minimum_python.check()  # before what an older Python cannot import

# isort: split
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.autoglm.recovery.plugins.module_utils.host.unread import Unread
from ansible_collections.autoglm.recovery.plugins.module_utils.locks import host_lock
from ansible_collections.autoglm.recovery.plugins.module_utils.services import drilling, registry
from ansible_collections.autoglm.recovery.plugins.module_utils.services.protocol import ServiceError


def change(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Do what is asked. Raises ServiceError, Unread and ValueError."""
    status = registry.require_service(params, params["timeout"]).status()
    if params["state"] == "ended":
        pids = drilling.held_back(status) if check_mode else drilling.let_go(status)
    elif check_mode:
        pids = [drilling.victim(status, params["fault"])]
    else:
        pids = [drilling.inject(status, params["fault"])]
    return {"changed": bool(pids), "pids": pids, "at": time.time()}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **registry.argument_spec(),
            "state": {"type": "str", "choices": ["injected", "ended"], "required": True},
            "fault": {"type": "str", "choices": list(drilling.FAULTS)},
            "timeout": {"type": "float", "default": 30.0},
        },
        required_if=[("state", "injected", ["fault"])],
        mutually_exclusive=[registry.NAMES],
        required_one_of=[registry.NAMES],
        supports_check_mode=True,
    )
    host_lock.at_work()
    try:
        result = change(module.params, module.check_mode)
    except (ServiceError, Unread, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
