#!/usr/bin/python

# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: pause
short_description: Pause all actions of a receiver, or let them be begun again
version_added: 0.2.0
description:
  - While a receiver is paused it begins no action on the whole fleet, also over restarts. It goes on taking alerts in
    and opening incidents, and runs that are under way go on to their end.
  - The switch is one for all replicas of a receiver. To keep single hosts out of it, use a maintenance window of the
    policy or a silence in Alertmanager.
author:
  - autoglm.recovery maintainers (@autoglm)
extends_documentation_fragment:
  - autoglm.recovery.attributes
  - autoglm.recovery.attributes.action_group
  - autoglm.recovery.receiver
attributes:
  action_group:
    membership: [autoglm.recovery.receiver]
  check_mode:
    support: full
    details:
      - Reads the switch and says whether it would be turned. Whether the token's owner may turn it is found out only by
        turning it.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  state:
    description:
      - V(paused) begins no action from now on, and V(resumed) lets actions be begun again.
      - V(queried) changes nothing and tells how the switch stands.
    type: str
    choices: [paused, resumed, queried]
    required: true
  comment:
    description:
      - Why, for the audit log and the console. At most 1000 characters.
      - A switch that stands as wanted is not turned again, and keeps what was said when it was turned.
    type: str
    default: ""
seealso:
  - module: autoglm.recovery.incident_info
  - module: autoglm.recovery.incident
"""

EXAMPLES = r"""
- name: Patch the fleet while nothing else repairs it
  hosts: localhost
  gather_facts: false
  module_defaults:
    group/autoglm.recovery.receiver:
      url: https://receiver.example.org:9470
      token_file: /etc/autoglm/operator.token
  tasks:
    - name: Patch, and let actions be begun again whatever comes of it
      block:
        - name: Begin no action
          autoglm.recovery.pause:
            state: paused
            comment: patching, ticket 4711

        - name: Wait for the runs that are under way
          autoglm.recovery.incident_info:
            state: running
          register: running
          until: running.incidents | length == 0
          retries: 60
          delay: 10
      always:
        - name: Let actions be begun again
          autoglm.recovery.pause:
            state: resumed
            comment: patched
"""

RETURN = r"""
paused:
  description: Whether all actions are paused now. In check mode, before it.
  type: bool
  returned: success
  sample: true
since:
  description: When the switch was last turned, in ISO 8601 with a zone. Null if it never was.
  type: str
  returned: success
  sample: "2026-11-30T03:20:00+00:00"
by:
  description: Who turned it last.
  type: str
  returned: success
  sample: alice (bearer, 192.0.2.7)
reason:
  description: What they said about it.
  type: str
  returned: success
  sample: patching, ticket 4711
status:
  description: The HTTP status by which the receiver refused, or null where there was no answer.
  type: int
  returned: failure
  sample: 403
"""

from ansible_collections.autoglm.recovery.plugins.module_utils import minimum_python

minimum_python.check()  # before what an older Python cannot import

# isort: split
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.autoglm.recovery.plugins.module_utils.receiver_api.arguments import (
    KEY_NEEDS_CERTIFICATE,
    TOKEN_ONCE,
    comment_of,
    receiver_arguments,
    receiver_of,
)
from ansible_collections.autoglm.recovery.plugins.module_utils.receiver_api.client import ReceiverClient, ReceiverError

ORDERS = {"paused": "pause", "resumed": "resume"}


def argument_spec() -> dict[str, Any]:
    return {
        **receiver_arguments(),
        "state": {"type": "str", "choices": [*ORDERS, "queried"], "required": True},
        "comment": {"type": "str", "default": ""},
    }


def turn(receiver: ReceiverClient, state: str, comment: str, check_mode: bool) -> dict[str, Any]:
    """Bring the switch into the state; the keys of the result. Raises ReceiverError."""
    before = receiver.switch()
    wanted = state == "paused"
    if state == "queried" or before["paused"] == wanted:
        line = _diff_line(before["paused"])
        return {"changed": False, **before, "diff": {"before": line, "after": line}}
    after = before if check_mode else receiver.turn(ORDERS[state], comment)
    if not check_mode and after["paused"] != wanted:
        raise ReceiverError(f"the receiver answered that it is done, but actions are not {state}: was it turned back?")
    return {"changed": True, **after, "diff": {"before": _diff_line(before["paused"]), "after": _diff_line(wanted)}}


def _diff_line(paused: bool) -> str:
    return f"actions: {'paused' if paused else 'not paused'}\n"


def main() -> None:
    module = AnsibleModule(
        argument_spec=argument_spec(),
        mutually_exclusive=list(TOKEN_ONCE),
        required_by=KEY_NEEDS_CERTIFICATE,
        supports_check_mode=True,
    )
    params = module.params
    try:
        comment = comment_of(params)
        result = turn(receiver_of(params), params["state"], comment, module.check_mode)
    except ValueError as error:
        module.fail_json(msg=str(error), status=None)
    except ReceiverError as error:
        module.fail_json(msg=str(error), status=error.status)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
