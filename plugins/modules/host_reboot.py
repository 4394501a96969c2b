#!/usr/bin/python

# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: host_reboot
short_description: Reboot a host once, or say why not
version_added: 0.2.0
description:
  - Orders the reboot of a host by systemd, waits until it is back with another boot id, and keeps a note on the host
    of what was ordered. The playbook C(autoglm.recovery.reboot_node) drains and stops the services around it, and
    proves that the host is well.
  - It looks itself, each time. Refused are a host that runs the playbook itself (the same boot id), one whose boot id
    cannot be read or whose init is not systemd, one that shuts down or is planned to (C(shutdown)), one for which
    somebody holds an inhibitor of C(block) on C(shutdown), and one of which any of this could not be read. No
    O(force) passes that.
  - The note is written before the order and outlives the reboot. Where it says that a reboot was ordered and the host
    has another boot id since, a run before was killed on its way. Then nothing is ordered, and RV(outcome=go_on) says
    that the proof comes next.
  - A host that was rebooted less than O(min_interval) ago is not rebooted again, unless O(force).
  - Ansible's own module of this kind gathers facts of the host, which the playbooks of this collection take from none.
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
  diff_mode:
    support: full
    details:
      - Shows the note.
  idempotent:
    support: partial
    details:
      - O(state=ordered) orders nothing while its reboot is on its way, or has happened and nothing is proven.
requirements:
  - root, and systemd as the init of the host.
options:
  state:
    description:
      - V(planned) changes nothing, and says what V(ordered) would do.
      - V(ordered) writes the note and orders the reboot, which begins two seconds later.
      - V(awaited) waits on the controller until the host has another boot id than O(boot), over new connections.
      - V(proven) and V(unproven) note what came of it. A host that was not rebooted since is not noted as either.
      - V(queried) reads the note.
    type: str
    choices: [planned, ordered, awaited, proven, unproven, queried]
    required: true
  reason:
    description:
      - Why, in a sentence. Needed with O(state=ordered); with O(state=unproven) what is wrong.
    type: str
    default: ""
  gpus:
    description:
      - The GPUs that were read before, by UUID, to be found again.
    type: list
    elements: str
    default: []
  gpu_count:
    description:
      - How many GPUs the host has at least, also those that could not be read.
    type: int
    default: 0
  services:
    description:
      - The names of the services that ran.
    type: list
    elements: str
    default: []
  boot:
    description:
      - The id of the boot that is to end. Needed with O(state=awaited).
    type: str
    default: ""
  wait:
    description:
      - Seconds until the host must be back, with O(state=awaited). Bare metal needs up to half an hour.
    type: int
    default: 1800
  min_interval:
    description:
      - Seconds after a reboot in which there is no second one.
    type: int
    default: 1800
  force:
    description:
      - A person's word for a second reboot within O(min_interval), or where nobody has proven the last one.
    type: bool
    default: false
  incident:
    description:
      - The incident for which it is done. Left out for a person's.
    type: str
    default: ""
  who:
    description:
      - Who orders it. The controller says who started the run if it is left out.
    type: str
    default: ""
  controller_boot:
    description:
      - Which boot the controller runs in. The controller gives it.
    type: str
    default: ""
  timeout:
    description:
      - Seconds for each question to systemd.
    type: float
    default: 10.0
  note:
    description:
      - The file of the note, in a directory that only root can change.
    type: path
    default: /var/lib/autoglm/reboot/note.json
seealso:
  - module: autoglm.recovery.quarantine
  - module: autoglm.recovery.gpu_reset
"""

EXAMPLES = r"""
- name: Say whether the host may be rebooted
  autoglm.recovery.host_reboot:
    state: planned

- name: Reboot it
  autoglm.recovery.host_reboot:
    state: ordered
    reason: the driver asks for it
  register: rebooted

- name: Wait until it is back
  autoglm.recovery.host_reboot:
    state: awaited
    boot: "{{ rebooted.note.boot }}"
"""

RETURN = r"""
outcome:
  description:
    - V(order) where the reboot is ordered, or would be; V(on_its_way) where it was, and the host still shuts down.
    - V(go_on) where it has happened and nothing is proven yet.
    - V(refused), which fails the task.
    - Of the states other than V(planned) and V(ordered) V(queried).
  type: str
  returned: always
  sample: order
words:
  description: Why.
  type: str
  returned: always
  sample: nothing stands against it
boot:
  description: The id of this boot. Null where it cannot be read.
  type: str
  returned: always
  sample: 5d2f1a9e-7d0e-4b58-8c52-3a6f0d5b1c11
note:
  description: The last reboot that was ordered, after this task. Null where there is none.
  type: dict
  returned: always
  contains:
    boot:
      description: The id of the boot that was to end.
      type: str
      sample: 5d2f1a9e-7d0e-4b58-8c52-3a6f0d5b1c11
    at:
      description: When it was ordered, in seconds since 1970.
      type: float
      sample: 1795888800.5
    who:
      description: Who has ordered it.
      type: str
      sample: alice on ops-1
    why:
      description: Why.
      type: str
      sample: the driver asks for it
    incident:
      description: The incident for which it was ordered, empty for a person's.
      type: str
      sample: ""
    gpus:
      description: The GPUs that were read before.
      type: list
      elements: str
      sample: [GPU-00000000-0000-4000-8000-000000000003]
    gpu_count:
      description: How many there were at least.
      type: int
      sample: 8
    services:
      description: The services that ran.
      type: list
      elements: str
      sample: [chat]
    state:
      description: V(ordered), V(proven) or V(unproven).
      type: str
      sample: ordered
    words:
      description: What was wrong afterwards.
      type: str
      sample: ""
"""

from ansible_collections.autoglm.recovery.plugins.module_utils import minimum_python

minimum_python.check()  # before what an older Python cannot import

# isort: split
import time
from dataclasses import asdict
from typing import Any, Optional

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.autoglm.recovery.plugins.module_utils.host import command
from ansible_collections.autoglm.recovery.plugins.module_utils.locks import host_lock
from ansible_collections.autoglm.recovery.plugins.module_utils.rebooting import note as notes
from ansible_collections.autoglm.recovery.plugins.module_utils.rebooting import plan, reading
from ansible_collections.autoglm.recovery.plugins.module_utils.rebooting.note import RebootNote

QUERIED = plan.RebootDecision("queried", "")


class NotOrdered(Exception):
    """Systemd has not taken the order, and the note is as it was; or nobody knows that, and the note stays."""


def argument_spec() -> dict[str, Any]:
    names = {"type": "list", "elements": "str", "default": []}
    text = {"type": "str", "default": ""}
    return {
        "state": {
            "type": "str",
            "choices": ["planned", "ordered", "awaited", "proven", "unproven", "queried"],
            "required": True,
        },
        **dict.fromkeys(("reason", "boot", "incident", "who", "controller_boot"), text),
        **dict.fromkeys(("gpus", "services"), names),
        "gpu_count": {"type": "int", "default": 0},
        "wait": {"type": "int", "default": 1800},
        "min_interval": {"type": "int", "default": 1800},
        "force": {"type": "bool", "default": False},
        "timeout": {"type": "float", "default": 10.0},
        "note": {"type": "path", "default": notes.PATH},
    }


def ordered_note(params: dict[str, Any], boot: str, now: float) -> RebootNote:
    """Make the note of the reboot that is asked for."""
    told = {name: params[name] for name in ("who", "incident", "gpus", "services", "gpu_count")}
    told.update(boot=boot, at=now, why=params["reason"], state=notes.ORDERED, words="")
    return notes.make(told)


def order(params: dict[str, Any], check_mode: bool) -> tuple[plan.RebootDecision, plan.HostSeen, Optional[RebootNote]]:
    """Decide, and order the reboot where nothing stands against it. Raises NoteUnreadable, NotOrdered and OSError."""
    before = notes.read(params["note"])
    seen = reading.look(command.run, params["timeout"])
    now = time.time()
    asked = plan.RebootAsked(params["controller_boot"], now, params["min_interval"], params["force"])
    decision = plan.decide(seen, before, asked)
    if params["state"] == "planned" or decision.outcome != plan.ORDER or seen.boot is None:
        return decision, seen, before
    wanted = ordered_note(params, seen.boot, now)
    if not check_mode:
        notes.put(params["note"], wanted)
        answer = reading.order(command.run, params["timeout"])
        if answer.rc is None:
            raise NotOrdered(f"{answer.complaint()}; it may reboot all the same, and its note says so")
        if answer.rc != 0:
            notes.put(params["note"], before)
            raise NotOrdered(answer.complaint())
    return decision, seen, wanted


def close(params: dict[str, Any], check_mode: bool) -> tuple[plan.RebootDecision, plan.HostSeen, Optional[RebootNote]]:
    """Read the note, and write what came of the reboot if that is asked for. Raises NoteUnreadable and OSError."""
    before = notes.read(params["note"])
    seen = plan.HostSeen(reading.boot(), systemd=True)
    if params["state"] not in (notes.PROVEN, notes.UNPROVEN):
        return QUERIED, seen, before
    after = plan.after_proof(before, seen.boot, params["state"], params["reason"])
    if after != before and not check_mode:
        notes.put(params["note"], after)
    return QUERIED, seen, after


def main() -> None:
    module = AnsibleModule(
        argument_spec=argument_spec(),
        required_if=[("state", "ordered", ["reason"]), ("state", "awaited", ["boot"])],
        supports_check_mode=True,
    )
    host_lock.at_work()
    params = module.params
    failed = {"outcome": plan.REFUSED, "boot": None, "note": None}
    if params["state"] == "ordered" and not params["reason"].strip():
        module.fail_json(msg="Refused, nothing was changed: reason: say why", words="", **failed)
    if params["min_interval"] < 0 or params["gpu_count"] < 0 or not 0 < params["timeout"] < float("inf"):
        module.fail_json(msg="min_interval, gpu_count and timeout must not be below 0", words="", **failed)
    try:
        before = notes.read(params["note"])
        work = order if params["state"] in ("planned", "ordered") else close
        decision, seen, after = work(params, module.check_mode)
    except NotOrdered as error:
        module.fail_json(msg=f"The reboot could not be ordered: {error}", words=str(error), **failed)
    except (notes.NoteUnreadable, OSError) as error:
        words = f"{params['note']}: {error.strerror}" if isinstance(error, OSError) else str(error)
        module.fail_json(msg=f"Refused, nothing was changed by this step: {words}", words=words, **failed)
    told: dict[str, Any] = {
        "outcome": decision.outcome,
        "words": decision.words,
        "boot": seen.boot,
        "note": None if after is None else asdict(after),
    }
    if decision.outcome == plan.REFUSED:
        module.fail_json(msg=f"Refused, nothing was changed by this step: {decision.words}", **told)
    texts = ["" if each is None else notes.as_text(each) for each in (before, after)]
    module.exit_json(
        changed=after != before,
        diff={"before": texts[0], "after": texts[1], "before_header": params["note"]},
        **told,
    )


if __name__ == "__main__":
    main()
