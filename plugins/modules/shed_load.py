#!/usr/bin/python

# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: shed_load
short_description: Take a part of a server's load away at its balancer, and bring it back step by step
version_added: 0.2.0
description:
  - With O(state=shed) lowers the weight of a server, and how many requests at once it gets at most, to a share of what
    was in force. Requests in flight go on, and the server is never taken to nothing.
  - With O(state=raised) brings one step of it back, with O(state=restored) all of it. Both do nothing where no note
    says that load was shed, and overrule nobody who has set something else meanwhile.
  - Keeps a note on the host on which it runs, with what was in force before. It is written before the balancer is told
    and removed when the server has the whole again, so that a later task finds what one that was killed has left.
  - Refuses where too few of the other servers serve with their whole load, or too much of the pool would be reduced.
  - Every change is verified by reading it back. Where the balancer refuses in the middle, what was in force is put
    back.
  - HAProxy has weights and C(maxconn), C(nginx) has weights and C(max_conns), Envoy and commands have weights only.
    Target files and Kubernetes have neither, and are refused. So are weights where the balancer goes by none, as with
    C(balance static-rr) or C(lb_policy RANDOM).
  - What waits for a server at its limit waits in the order that the balancer's own configuration gives it. Priorities,
    such as C(set-priority-class) in HAProxy, are not touched.
  - Runs on a host that reaches the balancer. Use C(delegate_to) where that is not the server's own.
author:
  - autoglm.recovery maintainers (@autoglm)
requirements:
  - The Python package C(kubernetes), where O(balancer.kind=kubernetes), which is refused for want of weights.
  - The Python package C(PyYAML), where O(balancer.file) is YAML.
extends_documentation_fragment:
  - autoglm.recovery.attributes
  - autoglm.recovery.attributes.action_group
  - autoglm.recovery.balancer
attributes:
  action_group:
    membership: [autoglm.recovery.balancer, autoglm.recovery.recovery]
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - With O(state=raised) each task goes one step further up, until the server has the whole again.
options:
  server:
    required: true
  state:
    description:
      - V(shed) takes the server down to O(share). V(raised) is one step up, V(restored) the whole.
      - V(queried) tells what is in force and what the note says, and changes nothing.
    type: str
    choices: [shed, raised, restored, queried]
    required: true
  share:
    description:
      - How many percent of its load the server keeps, of what was in force before anything was shed.
      - A weight of 1 cannot become less, so give the servers of a pool weights such as 100.
    type: int
    default: 50
  steps:
    description:
      - In how many steps it comes back with O(state=raised).
    type: int
    default: 3
  limit:
    description:
      - The most requests at once for a server that has no limit of its own, while it is shed.
        What it has more is sent to the others, and waits in the balancer where they are at limits too.
      - Without it a server without a limit gets none.
    type: int
  min_available:
    description:
      - How many other servers must serve with their whole load, as a number or as a share of the pool such as V(50%).
        One at least, whatever is given.
    type: str
    default: "1"
  max_reduced:
    description:
      - How many percent of the pool may be reduced at most, this server among them. One server always may.
    type: int
    default: 50
  count_unchecked:
    description:
      - Whether servers count for O(min_available) of whose health the balancer knows nothing. Better than this
        is O(peers).
    type: bool
    default: false
  peers:
    description:
      - The engines of the other servers of the pool, for a balancer that does not know their health.
        A dictionary of the server's name in the balancer to the base URL of its O(engine).
    type: dict
    default: {}
  engine:
    description:
      - The inference engine that listens at O(peers), such as V(vllm). Required with O(peers).
    type: str
  engine_options:
    description:
      - What O(engine) needs to be told beside its address, as M(autoglm.recovery.inference_health) has it.
    type: dict
    default: {}
  api_key:
    description:
      - Sent to the engines as a bearer token with each question.
    type: str
  validate_certs:
    description:
      - Whether the certificates of engines with C(https) are verified.
    type: bool
    default: true
  ca_path:
    description:
      - File of certificates that are trusted in place of those of the system.
    type: path
  engine_timeout:
    description:
      - Seconds for each single question to an engine.
    type: float
    default: 5.0
  note_dir:
    description:
      - The directory of the notes, as an absolute path. It is made where it is missing, for its owner alone.
      - Nobody but root, and whoever runs the module, may be able to write in it or to replace it.
        All tasks must name the same one.
    type: path
    default: /var/lib/autoglm/shed/balancers
  service:
    description:
      - The service whose load it is. It stands in the note, for people.
    type: str
    default: ""
  incident:
    description:
      - The incident for which it is shed. It stands in the note.
    type: str
    default: ""
  cause:
    description:
      - The failure class for which it is shed. It stands in the note, so that whoever brings the load back knows
        what has to be over.
    type: str
    default: ""
  who:
    description:
      - Whose run it is. It stands in the note.
    type: str
    default: ""
  why:
    description:
      - The reason, for people. It stands in the note.
    type: str
    default: ""
seealso:
  - module: autoglm.recovery.drain_inference
"""

EXAMPLES = r"""
- name: Half of its load for a server that throttles
  autoglm.recovery.shed_load:
    state: shed
    share: 50
    server: node-a
    balancer:
      kind: haproxy
      socket: /run/haproxy-admin.sock
      backend: llm
    cause: thermal
    why: the fan of node-a is being replaced
  delegate_to: balancer.example.org

- name: One step of it back
  autoglm.recovery.shed_load:
    state: raised
    server: node-a
    balancer:
      kind: haproxy
      socket: /run/haproxy-admin.sock
      backend: llm
  delegate_to: balancer.example.org
"""

RETURN = r"""
outcome:
  description:
    - V(shed) or V(raised) is what was asked for. V(whole) means that nothing is shed any more, or was.
    - V(queried) means that RV(after) and RV(note) tell how it stands.
    - V(refused) means that nothing was changed. V(failed) means that RV(reasons) and RV(after) say how things stand.
  type: str
  returned: always
  sample: shed
reasons:
  description: What was decided and why, in order.
  type: list
  elements: str
  returned: always
  sample:
    - "it keeps 50%: weight 100 -> 50"
share:
  description: How many percent of its load the server has now, 100 where nothing is shed.
  type: int
  returned: always
  sample: 50
before:
  description:
    - What was in force before this task. Null where it was not asked.
    - A C(weight) of null means that this balancer goes by none, a C(limit) of null that there is none.
  type: dict
  returned: always
  sample: {"limit": 8, "weight": 100}
after:
  description: The same, when the task ended.
  type: dict
  returned: always
  sample: {"limit": 4, "weight": 50}
note:
  description: The note as it is now, with what was in force before anything was shed. Null where there is none.
  type: dict
  returned: always
  sample:
    before: {"limit": 8, "weight": 100}
    cause: thermal
    ceiling: null
    first: 50
    incident: "7"
    ours: [{"limit": 4, "weight": 50}]
    service: llama
    share: 50
    since: "2026-11-30T03:12:44Z"
    who: incident 7
    why: GPU 3 throttles
pool:
  description: All servers of the pool at the last look.
  type: list
  elements: dict
  returned: always
  sample:
    - {"admin": "active", "backup": false, "health": "up", "name": "b", "pending": false, "says": "UP", "weight": 1}
"""

from ansible_collections.autoglm.recovery.plugins.module_utils import minimum_python

minimum_python.check()  # before what an older Python cannot import

# isort: split
import os
import time
import traceback
from dataclasses import asdict
from typing import Any, Optional

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers import pool, shed_notes, shedding
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.protocol import check_name
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.registry import balancer_spec, open_balancer
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.shares import (
    WHOLE,
    ServerLoad,
    ShedNote,
    ShedRules,
)
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.protocol import Engine
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.registry import open_engine
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.transport import HttpTransport
from ansible_collections.autoglm.recovery.plugins.module_utils.host import clocks
from ansible_collections.autoglm.recovery.plugins.module_utils.host.libraries import MissingLibrary
from ansible_collections.autoglm.recovery.plugins.module_utils.host.plain import one_line

_BETWEEN = {"share": (1, 99), "steps": (1, 99), "max_reduced": (1, 100), "limit": (1, 1_000_000)}
_ABOUT = ("service", "incident", "cause", "who", "why")
_LONGEST_WORDS = 500


def argument_spec() -> dict[str, Any]:
    return {
        "state": {"type": "str", "choices": ["shed", "raised", "restored", "queried"], "required": True},
        "server": {"type": "str", "required": True},
        "balancer": balancer_spec(),
        "share": {"type": "int", "default": 50},
        "steps": {"type": "int", "default": 3},
        "limit": {"type": "int"},
        "min_available": {"type": "str", "default": "1"},
        "max_reduced": {"type": "int", "default": 50},
        "count_unchecked": {"type": "bool", "default": False},
        "peers": {"type": "dict", "default": {}},
        "engine": {"type": "str"},
        "engine_options": {"type": "dict", "default": {}},
        "api_key": {"type": "str", "no_log": True},
        "validate_certs": {"type": "bool", "default": True},
        "ca_path": {"type": "path"},
        "engine_timeout": {"type": "float", "default": 5.0},
        "note_dir": {"type": "path", "default": shed_notes.DIRECTORY},
        **{name: {"type": "str", "default": ""} for name in _ABOUT},
    }


def act(params: dict[str, Any], check_mode: bool) -> shedding.ShedOutcome:
    """Do what was asked. Raises ValueError for options that cannot be."""
    for name, (least, most) in _BETWEEN.items():
        if params[name] is not None and not least <= params[name] <= most:
            raise ValueError(f"{name} must be from {least} to {most}, not {params[name]}")
    if params["peers"] and not params["engine"]:
        raise ValueError("peers need engine, which says what listens there")
    if not os.path.isabs(params["note_dir"]):
        raise ValueError(f"note_dir must be an absolute path, which {params['note_dir']!r} is not")
    rules = ShedRules(
        params["share"],
        params["steps"],
        params["limit"],
        pool.parse_needed(params["min_available"]),
        params["max_reduced"],
        params["count_unchecked"],
    )
    about = {name: one_line(params[name], _LONGEST_WORDS) for name in _ABOUT}
    context = shedding.ShedContext(
        open_balancer(params["balancer"]),
        check_name("server", params["server"]),
        shed_notes.ShedNotes(params["note_dir"], shed_notes.pool_of(params["balancer"])),
        {name: _open_engine(params, str(url)) for name, url in params["peers"].items()},
        {**about, "since": clocks.iso_second(time.time())},
    )
    return shedding.act(context, params["state"], rules, check_mode)


def _open_engine(params: dict[str, Any], url: str) -> Engine:
    transport = HttpTransport(params["validate_certs"], params["ca_path"])
    timeout, key, options = params["engine_timeout"], params["api_key"], params["engine_options"]
    return open_engine(params["engine"], url, timeout=timeout, api_key=key, options=options, transport=transport)


def result_of(outcome: shedding.ShedOutcome) -> dict[str, Any]:
    """The keys of the module's result."""
    return {
        "changed": outcome.changed,
        "outcome": outcome.outcome,
        "reasons": outcome.reasons,
        "share": outcome.note.share if outcome.note else WHOLE,
        "before": asdict(outcome.before) if outcome.before else None,
        "after": asdict(outcome.after) if outcome.after else None,
        "note": asdict(outcome.note) if outcome.note else None,
        "pool": [asdict(member) for member in outcome.pool],
        "diff": {
            "before": _diff_side(outcome.before, outcome.note_before),
            "after": _diff_side(outcome.after, outcome.note),
        },
    }


def _diff_side(setting: Optional[ServerLoad], note: Optional[ShedNote]) -> dict[str, Any]:
    if setting is None:
        return {}
    return {"weight": setting.weight, "limit": setting.limit, "share": note.share if note else WHOLE}


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    try:
        outcome = act(module.params, module.check_mode)
    except MissingLibrary as error:
        why = missing_required_lib(error.package, reason=error.needed)
        module.fail_json(msg=why, exception=traceback.format_exc())
    except ValueError as error:
        module.fail_json(msg=str(error))
    result = result_of(outcome)
    if not outcome.ok:
        module.fail_json(msg=f"{module.params['server']}: {outcome.outcome}: {'; '.join(outcome.reasons)}", **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
