#!/usr/bin/python

# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: incident
short_description: Approve, reject, retry, close or cancel an incident of a receiver
version_added: 0.2.0
description:
  - Gives one order about one incident, as a person may in the console or by C(autoglm incidents), and tells where the
    incident stands afterwards. The receiver's audit log keeps whose token it was, and O(comment).
  - An order that has been given already is not given again. An incident that is closed is not closed again, and an
    order that was the last one about the incident counts as given once the incident's state does not allow it any more.
  - An order that the incident's state does not allow makes the task fail, in check mode as well.
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
      - Reads the incident and says what would be ordered. Whether the token's owner may order is found out only by
        ordering.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - Where the incident has come back to a state that allows the order, such as another action that is held, the
        order is given again, because it is a new one.
options:
  id:
    description:
      - The incident's number, as M(autoglm.recovery.incident_info) tells it.
    type: int
    required: true
  action:
    description:
      - V(approve) lets a held action run.
      - V(reject) refuses a held action and closes the incident.
      - V(retry) climbs the ladder again from its first rung, for an incident that is held, escalated or unproven.
      - V(close) ends an incident, whatever was proven. A run that is under way is ended.
      - V(cancel) ends the run that is under way and leaves the incident with a person. The run needs a while to end.
    type: str
    choices: [approve, reject, retry, close, cancel]
    required: true
  comment:
    description:
      - Why, for the audit log and the incident's timeline. At most 1000 characters.
    type: str
    default: ""
seealso:
  - module: autoglm.recovery.incident_info
  - module: autoglm.recovery.pause
"""

EXAMPLES = r"""
- name: Close the incidents of a host that is taken out of the fleet
  delegate_to: localhost
  module_defaults:
    group/autoglm.recovery.receiver:
      url: https://receiver.example.org:9470
      token_file: /etc/autoglm/operator.token
  block:
    - name: Find them
      autoglm.recovery.incident_info:
        host: "{{ inventory_hostname }}"
      register: found

    - name: Close what has not ended
      autoglm.recovery.incident:
        id: "{{ item.id }}"
        action: close
        comment: decommissioned
      loop: "{{ found.incidents | rejectattr('state', 'in', ['closed', 'resolved']) }}"
      loop_control:
        label: "{{ item.id }}"

- name: Approve what an on-call engineer said yes to
  autoglm.recovery.incident:
    id: 42
    action: approve
    comment: ticket 4711
  delegate_to: localhost

- name: Wait until it is over
  autoglm.recovery.incident_info:
    id: 42
  register: one
  until: one.incidents[0].state in ['resolved', 'closed', 'escalated', 'unproven']
  retries: 60
  delay: 10
  failed_when: one.incidents[0].state != 'resolved'
  delegate_to: localhost
"""

RETURN = r"""
incident:
  description:
    - The incident after the order, without its alerts, runs, notices and timeline. In check mode, before it.
    - The keys are those of RV(autoglm.recovery.incident_info#module:incidents).
  type: dict
  returned: success
  sample: {"id": 42, "state": "open", "failure_class": "oom", "host": "gpu-7", "service": "llama"}
reason:
  description: Where the incident stood before, and why the order was not given if it was not.
  type: str
  returned: success
  sample: "incident 42 is closed already"
status:
  description: The HTTP status by which the receiver refused, or null where there was no answer or nothing was asked.
  type: int
  returned: failure
  sample: 409
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
from ansible_collections.autoglm.recovery.plugins.module_utils.receiver_api.standing import (
    LEADS_TO,
    POSSIBLE,
    last_order,
    shown,
    standing,
)


def argument_spec() -> dict[str, Any]:
    return {
        **receiver_arguments(),
        "id": {"type": "int", "required": True},
        "action": {"type": "str", "choices": list(POSSIBLE), "required": True},
        "comment": {"type": "str", "default": ""},
    }


def order(receiver: ReceiverClient, number: int, action: str, comment: str, check_mode: bool) -> dict[str, Any]:
    """Give the order unless it was given; the keys of the result. Raises ReceiverError and ValueError."""
    if number < 1:
        raise ValueError(f"id: incidents are numbered from 1, not {number}")
    before = receiver.incident(number)
    found = standing(action, before)
    if not found.to_give:
        after, lines = before, _diff_lines(before["state"], last_order(before))
    elif check_mode:
        after, lines = before, _diff_lines(LEADS_TO[action], f"{action} by whoever this token is of")
    else:
        after = receiver.order(number, action, comment)
        lines = _diff_lines(after["state"], last_order(after))
    return {
        "changed": found.to_give,
        "incident": shown(after),
        "reason": found.reason,
        "diff": {"before": _diff_lines(before["state"], last_order(before)), "after": lines},
    }


def _diff_lines(state: str, ordered: "str | None") -> str:
    return f"state: {state}\nlast order: {ordered or 'none'}\n"


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
        result = order(receiver_of(params), params["id"], params["action"], comment, module.check_mode)
    except ValueError as error:
        module.fail_json(msg=str(error), status=None)
    except ReceiverError as error:
        module.fail_json(msg=str(error), status=error.status)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
