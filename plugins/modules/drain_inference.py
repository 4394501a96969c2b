#!/usr/bin/python

# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: drain_inference
short_description: Take an inference server out of its balancer's traffic without losing a request, or bring it back
version_added: 0.1.0
description:
  - With O(state=drained) tells the load balancer to send nothing new to a server, and waits until nothing is in flight
    there, by the count of the balancer and by that of the engine. Then the server may be stopped and no user notices.
  - With O(state=active) waits until the engine is ready, makes the server active, all at once or in steps of its
    weight, and waits until the balancer's own checks do not call it down.
  - Refuses to take the pool below O(min_available), and puts the server back if the pool falls below it meanwhile,
    be it that another server died, or that another task drained one at the same time.
  - Every change is verified by reading it back. What could not be read is never taken for zero.
  - A task that was killed may be run again, and goes on where the other one was.
  - With O(state=queried) only asks whether a drain could be done, by this user on this host, and changes nothing.
  - Runs on a host that reaches the balancer. Use C(delegate_to) where that is not the server's own.
author:
  - autoglm.recovery maintainers (@autoglm)
requirements:
  - The Python package C(kubernetes), where O(balancer.kind=kubernetes).
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
    details:
      - Says what would be done, or refused, and does not wait.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  state:
    description:
      - V(drained) means out of traffic and nothing in flight. V(active) means that new requests go to it.
      - V(queried) reads the pool and fails where a drain could not be done, saying what to do in RV(obstacles).
        HAProxy is asked for the level of the socket; C(nginx) to test its configuration, and whether its master may be
        signalled; Kubernetes for the rights of the user, by SelfSubjectAccessReview. Files must be where this user can
        replace them, programs must be there, and so must O(server) where it is given. Engines are not asked.
    type: str
    choices: [drained, active, queried]
    required: true
  min_available:
    description:
      - How many servers of the pool must go on serving while this one is out, as a number such as V(2), or as a share
        of the pool such as V(50%), which is rounded up.
      - A server counts if it is active, has a weight above 0, is no backup, and the balancer's checks say it is up.
      - A server that is surely down may always be drained, because it takes nothing with it.
    type: str
    default: "1"
  count_unchecked:
    description:
      - Whether servers count for O(min_available) of whose health the balancer knows nothing.
      - C(nginx) and target files know of none. Better than this is O(peers).
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
      - The inference engine that listens at O(engine_url), such as V(vllm) or V(llama_cpp).
      - Required with O(engine_url) and with O(peers).
    type: str
  engine_options:
    description:
      - What O(engine) needs to be told beside its address, as M(autoglm.recovery.inference_health) has it.
    type: dict
    default: {}
  engine_url:
    description:
      - The base URL of the server's engine, as seen from the host on which the module runs. It is the second witness.
    type: str
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
  witnesses:
    description:
      - Who must count zero. A witness that can be read and counts more than zero is always heeded.
      - V(all) is each witness that can answer. One that never could, such as an engine without a URL, is not waited
        for, and one must be able to. One that should answer and does not is waited for, until O(deadline).
      - With V(any) one suffices. With V(balancer) or V(engine) it must be this one.
    type: str
    choices: [all, any, balancer, engine]
    default: all
  wait:
    description:
      - Whether to wait until nothing is in flight any more. With V(false) the server is only taken out of traffic, and
        RV(outcome) is C(leaving).
      - For a server behind several balancers. Only when all of them have been told can its engine come to rest, so tell
        each of them first, and then wait.
    type: bool
    default: true
  zeros:
    description:
      - How many looks in a row must see nothing in flight.
    type: int
    default: 2
  poll:
    description:
      - Seconds between two looks.
    type: float
    default: 0.5
  deadline:
    description:
      - Seconds until nothing may be in flight any more.
      - With O(state=active), seconds until the engine must be ready, and again until the balancer's checks see that.
    type: float
    default: 300.0
  remaining:
    description:
      - What to do with requests that are still in flight at the O(deadline), or of which nothing could be read by then.
      - V(fail) makes the server active again, if this task drained it, and fails.
      - V(wait) waits on for O(remaining_deadline), then does as V(fail).
      - V(abort) ends them through the engine, waits for O(remaining_deadline) at most, then does as V(fail).
        It does that at once where the engine cannot end requests.
    type: str
    choices: [fail, wait, abort]
    default: fail
  remaining_deadline:
    description:
      - Seconds more, after O(deadline).
    type: float
    default: 600.0
  require_ready:
    description:
      - Whether the engine must say that it is ready before O(state=active) changes anything. Needs O(engine_url).
    type: bool
    default: true
  weight:
    description:
      - The weight of an active server. Without it the weight stays as it is or, after a slow start,
        becomes what the balancer's configuration says.
    type: int
  slow_start:
    description:
      - Seconds in which an active server rises from its first share of O(weight) to the whole. V(0) is all at once.
    type: float
    default: 0.0
  slow_start_steps:
    description:
      - In how many steps. A weight of 1 has none, so give the servers of a pool weights such as 100.
    type: int
    default: 5
seealso:
  - module: autoglm.recovery.inference_health
"""

EXAMPLES = r"""
- name: Take the server out of traffic, and let its users finish
  autoglm.recovery.drain_inference:
    state: drained
    server: node-a
    balancer:
      kind: haproxy
      socket: /run/haproxy-admin.sock
      backend: llm
    min_available: 1
    engine: vllm
    engine_url: http://192.0.2.11:8000
  delegate_to: balancer.example.org

- name: Bring it back within a minute, as the inventory describes the pool
  autoglm.recovery.drain_inference:
    state: active
    server: "{{ inventory_hostname }}"
    balancer: "{{ autoglm_pools.chat.balancer }}"
    engine: vllm
    engine_url: http://192.0.2.11:8000
    weight: 100
    slow_start: 60
  delegate_to: balancer.example.org
  vars:
    autoglm_pools:
      chat:
        balancer: {kind: haproxy, socket: "192.0.2.1:9999", backend: llm}

- name: Could a drain be done, when it comes to that
  autoglm.recovery.drain_inference:
    state: queried
    balancer:
      kind: haproxy
      socket: /run/haproxy-admin.sock
      backend: llm
  delegate_to: balancer.example.org
"""

RETURN = r"""
outcome:
  description:
    - V(drained) or V(active) is what was asked for, or in check mode would be. V(leaving) is what O(wait=false) gives.
    - V(queried) means that a drain could be done.
    - V(refused) means that nothing was changed, with O(state=queried) because a drain could not be done.
      V(failed) means that RV(reasons) and RV(after) say how things stand.
  type: str
  returned: always
  sample: drained
reasons:
  description: What was decided and why, in order.
  type: list
  elements: str
  returned: always
  sample:
    - node-a is active and without it 1 of 2 serve
    - "balancer: HAProxy: 0 sessions, 0 queued; engine: engine: 0 running, 0 waiting"
before:
  description:
    - The server as the balancer had it before. C(admin) is C(active), C(drained) or C(maintenance), and C(health) is
      C(up), C(down) or C(unknown). C(pending) is true while the balancer was told so and does not do so yet.
      Null where it could not be read.
  type: dict
  returned: always
  sample:
    {"admin": "active", "backup": false, "health": "up", "name": "a", "pending": false, "says": "UP, L7OK", "weight": 1}
after:
  description: The same, when the task ended.
  type: dict
  returned: always
  sample:
    {"admin": "drained", "backup": false, "health": "up", "name": "a", "pending": false, "says": "DRAIN", "weight": 1}
pool:
  description: All servers of the pool at the last look.
  type: list
  elements: dict
  returned: always
  sample:
    - {"admin": "active", "backup": false, "health": "up", "name": "b", "pending": false, "says": "UP", "weight": 1}
in_flight:
  description:
    - What the two witnesses said at the last look. A C(value) of null could not be read, and its C(reason) says why.
  type: dict
  returned: always
  sample:
    balancer: {"kind": "read", "reason": "HAProxy: 0 sessions, 0 queued", "value": 0}
    engine: {"kind": "read", "reason": "engine: 0 running, 0 waiting", "value": 0}
obstacles:
  description: With O(state=queried), what would keep a drain from being done, and what to do about it.
  type: list
  elements: dict
  returned: always
  sample:
    - what: the socket /run/haproxy-admin.sock has level operator, and a drain needs level admin
      do: write level admin behind this stats socket in haproxy.cfg, and reload HAProxy
aborted:
  description: Whether requests were ended through the engine.
  type: bool
  returned: always
  sample: false
seconds:
  description: How long it took.
  type: float
  returned: always
  sample: 1.74
"""

from ansible_collections.autoglm.recovery.plugins.module_utils import minimum_python

minimum_python.check()  # before what an older Python cannot import

# isort: split
import math
import traceback
from dataclasses import asdict
from typing import Any, Optional

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers import (
    activation,
    draining,
    policy,
    pool,
    querying,
)
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.protocol import Count, PoolMember, check_name
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.registry import balancer_spec, open_balancer
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.protocol import Engine
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.registry import open_engine
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.transport import HttpTransport
from ansible_collections.autoglm.recovery.plugins.module_utils.host.libraries import MissingLibrary

# Smallest values that make sense; the rest of the argument spec cannot say so.
_AT_LEAST = {"zeros": 1, "poll": 0.01, "deadline": 0, "remaining_deadline": 0, "slow_start": 0, "slow_start_steps": 1}


def argument_spec() -> dict[str, Any]:
    return {
        "state": {"type": "str", "choices": ["drained", "active", "queried"], "required": True},
        "server": {"type": "str"},
        "balancer": balancer_spec(),
        "min_available": {"type": "str", "default": "1"},
        "count_unchecked": {"type": "bool", "default": False},
        "peers": {"type": "dict", "default": {}},
        "engine": {"type": "str"},
        "engine_options": {"type": "dict", "default": {}},
        "engine_url": {"type": "str"},
        "api_key": {"type": "str", "no_log": True},
        "validate_certs": {"type": "bool", "default": True},
        "ca_path": {"type": "path"},
        "engine_timeout": {"type": "float", "default": 5.0},
        "witnesses": {"type": "str", "choices": list(policy.WITNESSES), "default": "all"},
        "wait": {"type": "bool", "default": True},
        "zeros": {"type": "int", "default": 2},
        "poll": {"type": "float", "default": 0.5},
        "deadline": {"type": "float", "default": 300.0},
        "remaining": {"type": "str", "choices": list(policy.REMAINING), "default": "fail"},
        "remaining_deadline": {"type": "float", "default": 600.0},
        "require_ready": {"type": "bool", "default": True},
        "weight": {"type": "int"},
        "slow_start": {"type": "float", "default": 0.0},
        "slow_start_steps": {"type": "int", "default": 5},
    }


def act(params: dict[str, Any], check_mode: bool) -> draining.DrainOutcome:
    """Do what was asked. Raises ValueError for options that cannot be."""
    _check_params(params)
    server = None if params["server"] is None else check_name("server", params["server"])
    balancer = open_balancer(params["balancer"])
    if params["state"] == "queried":
        return querying.query(balancer, params["balancer"]["lock_dir"], server)
    rules = _rules_from(params)
    context = draining.DrainContext(
        balancer,
        params["server"],
        _open_engine(params, params["engine_url"]) if params["engine_url"] else None,
        {name: _open_engine(params, str(url)) for name, url in params["peers"].items()},
        poll=params["poll"],
    )
    if params["state"] == "drained":
        return draining.drain(context, rules, check_mode)
    plan = activation.ActivationPlan(
        params["weight"], params["slow_start"], params["slow_start_steps"], params["deadline"], params["require_ready"]
    )
    return activation.activate(context, plan, check_mode)


def _rules_from(params: dict[str, Any]) -> policy.DrainRules:
    return policy.DrainRules(
        pool.parse_needed(params["min_available"]),
        params["count_unchecked"],
        params["witnesses"],
        params["deadline"],
        params["remaining"],
        params["remaining_deadline"],
        params["zeros"],
        params["wait"],
    )


def _check_params(params: dict[str, Any]) -> None:
    for name, least in _AT_LEAST.items():
        if not least <= params[name] < math.inf:
            raise ValueError(f"{name} must be at least {least}, not {params[name]}")
    if params["weight"] is not None and not 1 <= params["weight"] <= 65535:
        raise ValueError(
            f"weight must be from 1 to 65535, not {params['weight']}; to get no traffic a server is drained"
        )
    if (params["peers"] or params["engine_url"]) and not params["engine"]:
        raise ValueError("engine_url and peers need engine, which says what listens there")
    if params["witnesses"] == "engine" and not params["engine_url"]:
        raise ValueError("witnesses=engine needs engine_url")


def _open_engine(params: dict[str, Any], url: str) -> Engine:
    transport = HttpTransport(params["validate_certs"], params["ca_path"])
    timeout, key = params["engine_timeout"], params["api_key"]
    options = params["engine_options"]
    return open_engine(params["engine"], url, timeout=timeout, api_key=key, options=options, transport=transport)


def result_of(outcome: draining.DrainOutcome, state: str, check_mode: bool) -> dict[str, Any]:
    """The keys of the module's result."""
    after = asdict(outcome.after) if outcome.after else None
    if check_mode and outcome.changed and after:
        after["admin"] = state
    return {
        "changed": outcome.changed,
        "outcome": outcome.outcome,
        "reasons": outcome.reasons,
        "before": asdict(outcome.before) if outcome.before else None,
        "after": after,
        "pool": [asdict(member) for member in outcome.pool],
        "in_flight": {"balancer": _count_document(outcome.balancer), "engine": _count_document(outcome.engine)},
        "obstacles": [asdict(obstacle) for obstacle in outcome.obstacles],
        "aborted": outcome.aborted,
        "seconds": outcome.seconds,
        "diff": {
            "before": _diff_side(outcome.before, outcome.in_flight_before, None),
            "after": _diff_side(outcome.after, None if check_mode else outcome.balancer, after),
        },
    }


def _count_document(count: Optional[Count]) -> Optional[dict[str, Any]]:
    return asdict(count) if count else None


def _diff_side(
    member: Optional[PoolMember], count: Optional[Count], predicted: Optional[dict[str, Any]]
) -> dict[str, Any]:
    """One side of the diff."""
    if member is None:
        return {}
    state = predicted["admin"] if predicted else member.admin
    shown: dict[str, Any] = {"server": member.name, "state": state, "health": member.health, "weight": member.weight}
    if count is not None:
        shown["in_flight"] = count.value
    return shown


def main() -> None:
    module = AnsibleModule(
        argument_spec=argument_spec(),
        required_if=[("state", "drained", ["server"]), ("state", "active", ["server"])],
        supports_check_mode=True,
    )
    try:
        outcome = act(module.params, module.check_mode)
    except MissingLibrary as error:
        why = missing_required_lib(error.package, reason=error.needed)
        module.fail_json(msg=why, exception=traceback.format_exc())
    except ValueError as error:
        module.fail_json(msg=str(error))
    result = result_of(outcome, module.params["state"], module.check_mode)
    if not outcome.ok:
        who = module.params["server"] or module.params["balancer"]["kind"]
        module.fail_json(msg=f"{who}: {outcome.outcome}: {'; '.join(outcome.reasons)}", **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
