#!/usr/bin/python

# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: incident_info
short_description: Read the incidents of a receiver
version_added: 0.2.0
description:
  - Lists the incidents that a receiver has, the newest first, or shows one with its alerts, runs, notices and timeline.
  - What cannot be asked makes the task fail. There is never an empty list because nobody answered.
author:
  - autoglm.recovery maintainers (@autoglm)
extends_documentation_fragment:
  - autoglm.recovery.attributes
  - autoglm.recovery.attributes.action_group
  - autoglm.recovery.attributes.info_module
  - autoglm.recovery.receiver
attributes:
  action_group:
    membership: [autoglm.recovery.receiver]
options:
  id:
    description:
      - The number of one incident, which is then shown in full.
        If the receiver has no incident of this number, RV(incidents) is empty.
    type: int
  state:
    description:
      - Only incidents in this state.
    type: str
    choices: [open, waiting, running, verifying, held, escalated, unproven, resolved, closed]
  failure_class:
    description:
      - Only incidents of this failure class, which the receiver's policy has.
    type: str
  host:
    description:
      - Only incidents on this host, by its exact name in the receiver's inventory.
    type: str
  limit:
    description:
      - How many are listed at most, from 1 to 1000.
    type: int
    default: 100
  before:
    description:
      - Only incidents with a lower number. The last one's of a list gives the list that follows it.
    type: int
seealso:
  - module: autoglm.recovery.incident
  - module: autoglm.recovery.pause
"""

EXAMPLES = r"""
- name: Which incidents wait for a person
  autoglm.recovery.incident_info:
    url: https://receiver.example.org:9470
    token_file: /etc/autoglm/viewer.token
    state: held
  register: held
  delegate_to: localhost

- name: Wait until nothing is being repaired on the host that is to be patched
  autoglm.recovery.incident_info:
    host: "{{ inventory_hostname }}"
    state: running
  register: repairs
  until: repairs.incidents | length == 0
  retries: 30
  delay: 20
  delegate_to: localhost

- name: What happened in one
  autoglm.recovery.incident_info:
    id: 42
  register: one
  delegate_to: localhost
"""

RETURN = r"""
incidents:
  description: The incidents, the newest first.
  type: list
  elements: dict
  returned: success
  contains:
    id:
      description: Its number in this receiver's database.
      type: int
      sample: 42
    state:
      description: Where it stands.
      type: str
      sample: held
    reason:
      description: Why it stands there, for people.
      type: str
      sample: "autonomy is ask: a person approves restart_process"
    failure_class:
      description: What kind of thing failed.
      type: str
      sample: oom
    fault_mode:
      description: How the failure behaves.
      type: str
      sample: transient
    host:
      description: The host by its exact name in the receiver's inventory.
      type: str
      sample: gpu-7
    service:
      description: The service on it, if one is known.
      type: str
      sample: llama
    pool:
      description: The pool of the service.
      type: str
      sample: chat
    gpu:
      description: The GPU, if the alerts name one.
      type: str
      sample: null
    opened_at:
      description: When it was opened. All times are ISO 8601 with a zone.
      type: str
      sample: "2026-11-30T03:20:00+00:00"
    ended_at:
      description: When it ended.
      type: str
      sample: null
    alerts:
      description: Its alerts with their labels. With O(id) alone, as the four that follow.
      type: list
      elements: dict
    runs:
      description: The runs that were launched for it, the oldest first.
      type: list
      elements: dict
    notices:
      description: What people were told.
      type: list
      elements: dict
    timeline:
      description: What happened, in order.
      type: list
      elements: dict
    left_out:
      description: How many of each lie between the first and the newest that are shown.
      type: dict
status:
  description: The HTTP status by which the receiver refused, or null where there was no answer.
  type: int
  returned: failure
  sample: 401
"""

from ansible_collections.autoglm.recovery.plugins.module_utils import minimum_python

minimum_python.check()  # before what an older Python cannot import

# isort: split
from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.autoglm.recovery.plugins.module_utils.receiver_api.arguments import (
    KEY_NEEDS_CERTIFICATE,
    TOKEN_ONCE,
    receiver_arguments,
    receiver_of,
)
from ansible_collections.autoglm.recovery.plugins.module_utils.receiver_api.client import ReceiverClient, ReceiverError
from ansible_collections.autoglm.recovery.plugins.module_utils.receiver_api.standing import STATES

FILTERS = ("state", "failure_class", "host", "before")
_MOST_LISTED = 1000
_NO_SUCH_THING = 404


def argument_spec() -> dict[str, Any]:
    return {
        **receiver_arguments(),
        "id": {"type": "int"},
        "state": {"type": "str", "choices": list(STATES)},
        "failure_class": {"type": "str"},
        "host": {"type": "str"},
        "limit": {"type": "int", "default": 100},
        "before": {"type": "int"},
    }


def listed(receiver: ReceiverClient, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The incidents that are asked for. Raises ReceiverError, and ValueError for numbers that cannot be."""
    for name in ("id", "before"):
        if params[name] is not None and params[name] < 1:
            raise ValueError(f"{name}: incidents are numbered from 1, not {params[name]}")
    if not 1 <= params["limit"] <= _MOST_LISTED:
        raise ValueError(f"limit: a number from 1 to {_MOST_LISTED} is wanted, not {params['limit']}")
    if params["id"] is None:
        return receiver.incidents({name: params[name] for name in (*FILTERS, "limit") if params[name] is not None})
    try:
        return [receiver.incident(params["id"])]
    except ReceiverError as error:
        if error.known and error.status == _NO_SUCH_THING:
            return []
        raise


def main() -> None:
    module = AnsibleModule(
        argument_spec=argument_spec(),
        mutually_exclusive=[*TOKEN_ONCE, *(("id", name) for name in FILTERS)],
        required_by=KEY_NEEDS_CERTIFICATE,
        supports_check_mode=True,
    )
    try:
        incidents = listed(receiver_of(module.params), module.params)
    except ValueError as error:
        module.fail_json(msg=str(error), status=None)
    except ReceiverError as error:
        module.fail_json(msg=str(error), status=error.status)
    module.exit_json(changed=False, incidents=incidents)


if __name__ == "__main__":
    main()
