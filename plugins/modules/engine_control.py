#!/usr/bin/python

# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: engine_control
short_description: Pause, resume, abort, clear, put to sleep, wake or reset one inference server
version_added: 0.1.0
description:
  - Gives one order to one inference server, by its own administrative endpoints, and reads back what became of it.
  - Does nothing when the server says that it is in the wanted state already.
  - An engine that cannot do what is asked makes the task fail with a sentence that says so, in check mode as well,
    and with RV(not_supported) set. There is never a success that is none.
  - To take a server out of service without failing a request, tell its load balancer first. An engine that is stopped
    or paused lets new requests wait, and their clients with them.
author:
  - autoglm.recovery maintainers (@autoglm)
extends_documentation_fragment:
  - autoglm.recovery.attributes
  - autoglm.recovery.attributes.action_group
  - autoglm.recovery.engine
  - autoglm.recovery.engine.timeout
attributes:
  action_group:
    membership: [autoglm.recovery.engine, autoglm.recovery.recovery]
  check_mode:
    support: full
    details:
      - Reads the server's state and says what would be done.
        Whether the server was started with what it takes is found out only by doing it.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - O(state=reset) and O(state=cleared) are ordered each time. An empty cache and a sound scheduler cannot be
        seen.
      - Where the engine does not tell its state, the order is given each time.
options:
  engine:
    required: true
  url:
    required: true
  state:
    description:
      - V(accepting) takes new requests, after V(stopped) or V(paused).
      - V(stopped) holds back new requests and lets those in flight come to their end.
      - V(paused) freezes. Requests in flight stay where they are and go on after V(accepting). With V(stopped) and
        V(paused), a server that holds back new requests already is left as it is.
      - V(aborted) ends all requests in flight. The server goes on taking new ones.
      - V(asleep) gives the accelerator's memory back while the process stays. Some engines end the requests in flight
        for it, others refuse while there are any.
      - V(awake) undoes V(asleep).
      - V(reset) drops cached state, so that the next request starts from nothing.
      - V(cleared) is for a server that does not get on. It ends every request that runs or waits, drops cached state,
        and takes new requests. That it was done is believed only when the server then generates a completion, because
        an API process may answer while its engine core stands. A server that somebody has paused or put to sleep is
        refused. C(vllm) has it with C(VLLM_SERVER_DEV_MODE=1), C(sglang) has it, C(generic) with C(abort_path).
    type: str
    choices: [accepting, stopped, paused, aborted, asleep, awake, reset, cleared]
    required: true
  order_timeout:
    description:
      - Seconds for the order itself, and with O(state=cleared) again for the completion. Engines answer many orders
        when they have been carried out, so that V(stopped) may wait for the longest request, and V(awake) for a model
        to load.
    type: float
    default: 60.0
  model:
    description:
      - The model that is asked with O(state=cleared). Without it, whatever the server serves first.
    type: str
    version_added: 0.2.0
seealso:
  - module: autoglm.recovery.inference_health
"""

EXAMPLES = r"""
- name: End all requests of a server that does not get on
  autoglm.recovery.engine_control:
    engine: vllm
    url: http://127.0.0.1:8000
    state: aborted

- name: Clear a server whose scheduler stands, and see that it generates again
  autoglm.recovery.engine_control:
    engine: sglang
    url: http://127.0.0.1:30000
    state: cleared
    order_timeout: 20

- name: Empty the prompt cache
  autoglm.recovery.engine_control:
    engine: llama_cpp
    url: http://127.0.0.1:8080
    state: reset

- name: Give the GPU's memory back overnight
  autoglm.recovery.engine_control:
    engine: ollama
    url: http://127.0.0.1:11434
    engine_options:
      model: llama3.2
    state: asleep

- name: Pause where the engine can, and go on where it cannot
  autoglm.recovery.engine_control:
    engine: "{{ inference_engine | default('tgi') }}"
    url: http://127.0.0.1:8000
    state: paused
  register: paused
  failed_when: paused is failed and not paused.not_supported | default(false)
"""

RETURN = r"""
before:
  description: What was read of the server before. What it does not tell is null.
  type: dict
  returned: success
  sample: {"accepting": true, "awake": true, "in_flight": 3}
after:
  description: What was read of the server afterwards. In check mode, null.
  type: dict
  returned: success
  sample: {"accepting": true, "awake": true, "in_flight": 0}
reasons:
  description: Why a value of RV(after), or of RV(before) in check mode, is null; what was not proven.
  type: list
  elements: str
  returned: success
  sample: ["in_flight: running: Ollama does not tell anything about its requests; ask the load balancer"]
not_supported:
  description: Whether the engine, or this server as it was started, cannot do what was asked.
  type: bool
  returned: always
  sample: false
"""

from ansible_collections.autoglm.recovery.plugins.module_utils import minimum_python

minimum_python.check()  # before what an older Python cannot import

# isort: split
from dataclasses import replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.arguments import engine_arguments, engine_of
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.control import (
    ORDERS,
    Condition,
    contradiction,
    expected,
    is_reached,
    look,
)
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.protocol import (
    Engine,
    EngineError,
    NotSupported,
)
from ansible_collections.autoglm.recovery.plugins.module_utils.health.probe import CompletionAsked
from ansible_collections.autoglm.recovery.plugins.module_utils.host.unread import Unread
from ansible_collections.autoglm.recovery.plugins.module_utils.locks import host_lock


def argument_spec() -> dict[str, Any]:
    return {
        **engine_arguments(required=True),
        "state": {"type": "str", "choices": list(ORDERS), "required": True},
        "order_timeout": {"type": "float", "default": 60.0},
        "model": {"type": "str"},
    }


def order(engine: Engine, state: str, check_mode: bool, model: "str | None" = None) -> dict[str, Any]:
    """Bring the server into the state; the keys of the module's result. Raises NotSupported and EngineError."""
    method = ORDERS[state]
    before = look(engine)
    if is_reached(state, before):
        return _result_from(False, before, before)
    if method in engine.cannot:
        raise NotSupported(engine.cannot[method])
    if check_mode:
        return {**_result_from(True, before, expected(state, before)), "after": None}
    getattr(engine, method)()
    unproven = see_it_generate(engine, model) if state == "cleared" else ()
    after = look(engine)
    after = replace(after, reasons=(*after.reasons, *unproven))
    wrong = contradiction(state, after)
    if wrong is not None:
        raise EngineError("answered", f"the server answered that it is done, but {wrong}")
    return _result_from(True, before, after)


def see_it_generate(engine: Engine, model: "str | None") -> tuple[str, ...]:
    """Ask for a completion; why none could be asked for. Raises EngineError where none comes."""
    try:
        engine.generate(CompletionAsked.prompt, CompletionAsked.max_tokens, model)
    except NotSupported as error:
        return (f"whether it generates: {error}",)
    except EngineError as error:
        what = f"the server answered that it is done, but generates nothing: {error.reason}"
        raise EngineError(error.kind, what) from error
    return ()


def _result_from(changed: bool, before: Condition, after: Condition) -> dict[str, Any]:
    return {
        "changed": changed,
        "not_supported": False,
        "before": _condition_document(before),
        "after": _condition_document(after),
        "reasons": list(after.reasons),
        "diff": {"before": _diff_lines(before), "after": _diff_lines(after)},
    }


def _condition_document(seen: Condition) -> dict[str, Any]:
    return {"accepting": seen.accepting, "awake": seen.awake, "in_flight": seen.in_flight}


def _diff_lines(seen: Condition) -> str:
    return "".join(
        f"{name}: {'unknown' if value is None else value}\n" for name, value in _condition_document(seen).items()
    )


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    host_lock.at_work()
    try:
        engine = engine_of(module.params, module.params["order_timeout"])
    except (Unread, ValueError) as error:
        module.fail_json(msg=str(error))
    try:
        result = order(engine, module.params["state"], module.check_mode, module.params["model"])
    except NotSupported as error:
        module.fail_json(msg=str(error), not_supported=True)
    except EngineError as error:
        module.fail_json(msg=error.reason, not_supported=False)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
