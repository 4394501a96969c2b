#!/usr/bin/python

# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: host_lock
short_description: Let one run at a time act on a host
version_added: 0.2.0
description:
  - A run takes the host before it looks at anything, keeps it before each step that changes something, and gives it
    back at its end. A person's run and a receiver's exclude each other so, wherever they were started.
  - The lock is the host's, whatever inventories call it, and whatever service a run is about.
  - It is a lease. A run that was killed or frozen loses the host when the O(seconds) that it has asked for last are
    over. A run from the same controller finds out that the process of the other one is gone, and takes the host at
    once. In either case it waits for a task of the other run that is still being executed.
  - A run of a receiver takes the host from an older run on the same target, which has a lower O(token).
  - A host under quarantine is refused as well, where O(quarantine) is given; see M(autoglm.recovery.quarantine).
  - Nothing else passes it. To free a host by hand, look who is at work there, then remove C(/run/autoglm/locks/host).
author:
  - autoglm.recovery maintainers (@autoglm)
extends_documentation_fragment:
  - autoglm.recovery.attributes
  - autoglm.recovery.attributes.action_group
attributes:
  action_group:
    membership: [autoglm.recovery.recovery]
  check_mode:
    support: full
    details:
      - In check mode nothing is taken. A host that another run holds is refused.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  state:
    description:
      - V(taken) takes the host, or fails saying who holds it.
      - V(kept) fails if the run does not hold it any more.
      - V(released) gives it back, if the run holds it.
    type: str
    choices: [taken, kept, released]
    default: taken
  host:
    description:
      - The inventory name of the target.
    type: str
    required: true
  seconds:
    description:
      - How long what comes next may take, at most.
    type: int
    default: 300
  wait:
    description:
      - Seconds to wait for a host that another run holds.
    type: int
    default: 0
  token:
    description:
      - The fencing token of the run, which the receiver gives as C(autoglm_incident.fence). A person's run has none.
    type: int
  who:
    description:
      - Whose run it is, for the message that others get. The controller says who started it if it is left out.
    type: str
    default: ""
  run:
    description:
      - What names the run. The controller gives its own process.
    type: str
    default: ""
  process:
    description:
      - Where the run's process is. The controller gives it.
    type: dict
    default: {}
  ended:
    description:
      - The O(run) of a holder whose process is known to be gone. The controller gives it.
    type: str
    default: ""
  quarantine:
    description:
      - The file of the mark that the host is under quarantine, whose module is M(autoglm.recovery.quarantine). With
        O(state=taken) a host with this mark is not taken, and one whose mark cannot be read is not either.
    type: path
  directory:
    description:
      - Where the lock is kept. It belongs to root and should not outlive a reboot.
    type: path
    default: /run/autoglm/locks
"""

EXAMPLES = r"""
- name: Take the host for this run
  autoglm.recovery.host_lock:
    host: "{{ inventory_hostname }}"

- name: Go on only if this run still has it, for a step of at most two minutes
  autoglm.recovery.host_lock:
    state: kept
    host: "{{ inventory_hostname }}"
    seconds: 120

- name: Give it back
  autoglm.recovery.host_lock:
    state: released
    host: "{{ inventory_hostname }}"
"""

RETURN = r"""
quarantined:
  description: Whether the run was refused because the host is under quarantine.
  type: bool
  returned: on failure
  sample: false
holder:
  description:
    - Who holds the host, where this run was refused. None if nobody does. For a host under quarantine C(who) says so.
  type: dict
  returned: on failure
  contains:
    run:
      description: What names the run.
      type: str
      sample: 5f1c0a3b9d2e4f60
    who:
      description: Whose run it is.
      type: str
      sample: alice on ops-1
    host:
      description: What the run calls this host.
      type: str
      sample: node-a
    token:
      description: Its fencing token, none for a person's.
      type: int
      sample: 1795888800000000
    since:
      description: Since when it holds the host, in seconds since 1970.
      type: float
      sample: 1795888800.5
    until:
      description: Until when at most, in seconds since the host booted.
      type: float
      sample: 5021.5
    boot:
      description: The boot of the host.
      type: str
      sample: 5d2f1a9e-7d0e-4b58-8c52-3a6f0d5b1c11
    process:
      description: Where its process is.
      type: dict
      sample: {pid: 1234}
"""

from ansible_collections.autoglm.recovery.plugins.module_utils import minimum_python

minimum_python.check()  # before what an older Python cannot import

# isort: split
import time
from dataclasses import asdict, replace
from typing import Any, Optional

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.autoglm.recovery.plugins.module_utils.locks import host_lock, quarantine
from ansible_collections.autoglm.recovery.plugins.module_utils.locks.holding import Holder
from ansible_collections.autoglm.recovery.plugins.module_utils.locks.quarantine import Quarantine

_LOOK_EVERY_S = 0.5


def asking(params: dict[str, Any]) -> Holder:
    """Make the run's own record of its arguments."""
    return Holder(
        run=params["run"],
        who=params["who"],
        host=params["host"],
        token=params["token"],
        since=time.time(),
        until=host_lock.now() + params["seconds"],
        boot=host_lock.boot(),
        process=params["process"],
    )


def under_quarantine(params: dict[str, Any]) -> Optional[Quarantine]:
    """Read the mark that the host is under quarantine; None if it is not.

    Asked once the host is taken: a run that writes the mark holds the host meanwhile.
    """
    if not params["quarantine"]:
        return None
    try:
        return quarantine.read(params["quarantine"])
    except quarantine.QuarantineUnreadable as error:
        raise host_lock.HostLockUnusable(str(error)) from error


def take_for_use(params: dict[str, Any], check_mode: bool) -> tuple[bool, Optional[Quarantine]]:
    """Take the host, unless it is under quarantine; it is not held then."""
    taken = take(params, check_mode)
    try:
        marked = under_quarantine(params)
    except host_lock.HostLockUnusable:
        give_back(params, check_mode)
        raise
    if marked is not None:
        give_back(params, check_mode)
    return taken, marked


def give_back(params: dict[str, Any], check_mode: bool) -> None:
    if not check_mode:
        host_lock.release(params["run"], params["directory"])


def take(params: dict[str, Any], check_mode: bool) -> bool:
    """Take the host within the time that there is, and say whether it was not held before."""
    deadline = time.monotonic() + params["wait"]
    while True:
        try:
            before = host_lock.take(asking(params), params["ended"] or None, params["directory"], check_mode)
        except host_lock.HostHeld:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_LOOK_EVERY_S)
        else:
            return before is None or before.run != params["run"]


def act(params: dict[str, Any], check_mode: bool) -> tuple[bool, Optional[Quarantine]]:
    """Do what is asked, and say whether anything changed, and what keeps the run out though nobody holds the host."""
    if params["state"] == "taken":
        return take_for_use(params, check_mode)
    if check_mode:
        return False, None  # it was not taken
    if params["state"] == "released":
        return host_lock.release(params["run"], params["directory"]), None
    host_lock.keep(asking(params), params["directory"])
    return False, None


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["taken", "kept", "released"], "default": "taken"},
            "host": {"type": "str", "required": True},
            "seconds": {"type": "int", "default": 300},
            "wait": {"type": "int", "default": 0},
            "token": {"type": "int", "no_log": False},
            "who": {"type": "str", "default": ""},
            "run": {"type": "str", "default": ""},
            "process": {"type": "dict", "default": {}},
            "ended": {"type": "str", "default": ""},
            "quarantine": {"type": "path"},
            "directory": {"type": "path", "default": host_lock.DIRECTORY},
        },
        supports_check_mode=True,
    )
    if module.params["seconds"] < 1 or module.params["wait"] < 0:
        module.fail_json(msg="seconds must be 1 or more, and wait 0 or more", holder=None)
    if not module.params["run"]:
        module.fail_json(msg="no run was named: the action plugin host_lock of this collection does that", holder=None)
    try:
        changed, marked = act(module.params, module.check_mode)
    except host_lock.HostHeld as error:
        module.fail_json(
            msg=f"Refused, nothing was changed by this step: {host_lock.in_words(error)}",
            holder=None if error.holder is None else asdict(error.holder),
        )
    except host_lock.HostLockUnusable as error:
        module.fail_json(msg=f"Refused, nothing was changed by this step: {error}", holder=None)
    if marked is not None:
        host = module.params["host"]
        # In the holder's place, so that a receiver waits as it does for one.
        holder = replace(asking(module.params), run="", who=f"nobody: {marked.said()}", since=marked.since, process={})
        msg = (
            f"Refused, nothing was changed by this step: {host} is {marked.said()}. return_node gives it back once "
            "it is well; no option passes this."
        )
        module.fail_json(msg=msg, holder=asdict(holder), quarantined=True)
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
