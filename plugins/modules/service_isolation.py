#!/usr/bin/python

# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: service_isolation
short_description: Cut a service off from the network, or freeze it, and keep it for a look
version_added: 0.2.0
description:
  - Keeps a service in which somebody else's program runs from talking to anybody, without ending any process of it, so
    that its memory, its files and its connections can be looked at. It is never stopped, started or removed.
  - A service that is in a network namespace of its own, as most containers are, is cut off by rules of C(nft) in that
    namespace, which drop all that comes in and goes out, of connections that are established too. Its own loopback
    stays. Where a process may send bare packets (C(CAP_NET_RAW)), they are kept from each interface too.
  - Where rules cannot hold all of it, it is frozen instead, by SIGSTOP to each of its processes. That is so where it
    has the host's network; where a process of it is in another network namespace, may undo rules (C(CAP_NET_ADMIN),
    C(CAP_SYS_ADMIN)), or has an RDMA device or a socket of the host's network open; where the host has no C(nft) or
    C(nsenter); and where the rules do not hold when they are tried.
  - Processes of it are those of its control group or its mark, of its main process's session, the descendants of all
    these, and those of its PID namespace where it has one.
  - It is called isolated only by what is read afterwards, which is the rules as the kernel has them, and an attempt to
    send a packet out of the namespace; or that each process is stopped.
  - What could not be read is refused, and nothing is changed. A unit with C(WatchdogSec) is not frozen, since systemd
    would kill it for that.
  - A note on the host says since when, how, by whom and why. It is there before the first rule, so that a run that was
    killed is gone on with by the next one.
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
    support: full
    details:
      - Shows the note.
  idempotent:
    support: full
requirements:
  - root. Without C(nft) (nftables) and C(nsenter) (util-linux) on the host a service is frozen.
options:
  state:
    description:
      - V(isolated) cuts the service off, or freezes it.
      - V(connected) removes the rules that this module has made and no others, lets go on what it has frozen, and
        removes the note.
      - V(queried) reads the note, and whether it holds.
    type: str
    choices: [isolated, connected, queried]
    required: true
  reason:
    description:
      - Why, in a sentence. Needed with O(state=isolated).
    type: str
    default: ""
  may_freeze:
    description:
      - Whether a service that cannot be cut off is frozen. Otherwise the task fails, and it talks on.
    type: bool
    default: true
  incident:
    description:
      - The incident for which it is ordered. Left out for a person's.
    type: str
    default: ""
  who:
    description:
      - Who orders it. The controller says who started the run if it is left out.
    type: str
    default: ""
  timeout:
    description:
      - Seconds for each command, and to read what could block.
    type: float
    default: 10.0
  note_dir:
    description:
      - The directory of the notes, which only root can change. It is made where it is missing.
    type: path
    default: /var/lib/autoglm/isolation
notes:
  - Not held up are what passes the network altogether, such as files and sockets of the host that are mounted into a
    container, or C(vsock) to a hypervisor.
  - A service that dies nevertheless and is started anew by its own manager is another one, in another namespace. Run
    the task again then.
  - Whatever else is in the same network namespace, as other containers of a pod are, is cut off with it. The rules are
    removed with the last service for which they are there.
  - The rules end with the namespace, and a freeze with its processes. Neither outlives a reboot; the note does.
seealso:
  - module: autoglm.recovery.crash_snapshot
  - module: autoglm.recovery.quarantine
"""

EXAMPLES = r"""
- name: Cut a container off, or freeze it
  autoglm.recovery.service_isolation:
    container: vllm
    state: isolated
    reason: a shell was started in it

- name: Say whether that holds
  autoglm.recovery.service_isolation:
    container: vllm
    state: queried
  register: kept

- name: Give it its network back
  autoglm.recovery.service_isolation:
    container: vllm
    state: connected
"""

RETURN = r"""
outcome:
  description:
    - V(cut) or V(freeze), as it was or would be isolated; V(connected) where it is not isolated.
    - V(refused), which fails the task.
  type: str
  returned: always
  sample: cut
isolated:
  description:
    - Whether it was read to be isolated after this task. Null in check mode where something would be changed, and where
      nothing was ordered, it was refused, or its main process is gone.
  type: bool
  returned: always
  sample: true
words:
  description: Why, or what was done.
  type: str
  returned: always
  sample: all of it is in a network namespace of its own
processes:
  description: The processes of the service, by number.
  type: list
  elements: int
  returned: always
  sample: [4711, 4720]
note:
  description: The note after this task. Null if there is none.
  type: dict
  returned: always
  contains:
    label:
      description: The service, for people.
      type: str
      sample: podman container vllm
    how:
      description: V(cut) or V(freeze).
      type: str
      sample: cut
    namespace:
      description: The network namespace that has the rules, by device and inode. Empty where there are none.
      type: str
      sample: "4:4026532281"
    pid:
      description: Its main process then.
      type: int
      sample: 4711
    since:
      description: Since when, in seconds since 1970.
      type: float
      sample: 1795888800.5
    who:
      description: Who has ordered it.
      type: str
      sample: alice on ops-1
    why:
      description: Why.
      type: str
      sample: a shell was started in it
    incident:
      description: The incident for which it was ordered, empty for a person's.
      type: str
      sample: ""
"""

from ansible_collections.autoglm.recovery.plugins.module_utils import minimum_python

minimum_python.check()  # before what an older Python cannot import

# isort: split
from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.autoglm.recovery.plugins.module_utils.host.unread import Unread
from ansible_collections.autoglm.recovery.plugins.module_utils.isolation import acting, plan
from ansible_collections.autoglm.recovery.plugins.module_utils.isolation import note as notes
from ansible_collections.autoglm.recovery.plugins.module_utils.isolation.acting import IsolationOrder, IsolationSubject
from ansible_collections.autoglm.recovery.plugins.module_utils.isolation.cutting import NotCut
from ansible_collections.autoglm.recovery.plugins.module_utils.locks import host_lock
from ansible_collections.autoglm.recovery.plugins.module_utils.services import registry

REFUSED = "Refused, nothing was changed by this step"


def argument_spec() -> dict[str, Any]:
    text = {"type": "str", "default": ""}
    return {
        **registry.argument_spec(),
        "state": {"type": "str", "choices": ["isolated", "connected", "queried"], "required": True},
        **dict.fromkeys(("reason", "incident", "who"), text),
        "may_freeze": {"type": "bool", "default": True},
        "timeout": {"type": "float", "default": 10.0},
        "note_dir": {"type": "path", "default": notes.DIRECTORY},
    }


def act(params: dict[str, Any], check_mode: bool) -> acting.IsolationResult:
    """Do what is asked. Raises ValueError and what acting raises."""
    service = registry.require_service(params, params["timeout"])
    if params["state"] == "isolated" and not params["reason"].strip():
        raise ValueError("reason: say why")
    note = notes.path_of(params["note_dir"], service.kind, service.name)
    subject = IsolationSubject(service, note, params["timeout"])
    if params["state"] == "queried":
        return acting.query(subject)
    if params["state"] == "connected":
        return acting.connect(subject, check_mode)
    order = IsolationOrder(params["who"], params["reason"], params["incident"], params["may_freeze"])
    return acting.isolate(subject, order, check_mode)


def main() -> None:
    module = AnsibleModule(
        argument_spec=argument_spec(),
        mutually_exclusive=[registry.NAMES],
        required_one_of=[registry.NAMES],
        supports_check_mode=True,
    )
    host_lock.at_work()
    failed: dict[str, Any] = {"outcome": plan.REFUSED, "isolated": None, "processes": [], "note": None}
    try:
        done = act(module.params, module.check_mode)
    except (acting.NotIsolated, NotCut) as error:
        # What was begun is noted: the next run goes on with it.
        holds = False if module.params["state"] == "isolated" else None
        module.fail_json(msg=f"NOT as it was ordered: {error}", words=str(error), **{**failed, "isolated": holds})
    except (notes.IsolationNoteUnreadable, Unread, ValueError, OSError) as error:
        words = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
        module.fail_json(msg=f"{REFUSED}: {words}", words=words, **failed)
    told: dict[str, Any] = {
        "outcome": done.outcome,
        "isolated": done.holds,
        "words": done.words,
        "processes": list(done.processes),
        "note": None if done.note is None else asdict(done.note),
    }
    if done.outcome == plan.REFUSED:
        module.fail_json(msg=f"{REFUSED}: {done.words}", **told)
    texts = ["" if each is None else notes.as_text(each) for each in (done.before, done.note)]
    module.exit_json(changed=done.changed, diff={"before": texts[0], "after": texts[1]}, **told)


if __name__ == "__main__":
    main()
