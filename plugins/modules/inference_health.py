#!/usr/bin/python

# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: inference_health
short_description: Tell whether an inference server is live, ready and generating
version_added: 0.1.0
description:
  - Asks one inference server for its liveness, readiness and figures and, on request, for a tiny completion.
    Looks at its systemd unit as well when O(unit) is given, to tell an out-of-memory kill from a crash from a hang.
  - The verdict is V(healthy) only when everything that was asked for was read, and was good.
    Whatever cannot be read makes it V(unknown), with a reason.
  - Every question has a deadline, so that a stopped process or a hung driver does not hang the play.
author:
  - autoglm.recovery maintainers (@autoglm)
extends_documentation_fragment:
  - autoglm.recovery.attributes
  - autoglm.recovery.attributes.action_group
  - autoglm.recovery.attributes.info_module
  - autoglm.recovery.engine
options:
  engine:
    required: true
  url:
    required: true
  unit:
    description:
      - The systemd unit that runs the server on this host.
      - Leave it out when the server is asked from another host.
    type: str
  generate:
    description:
      - Whether to ask for a completion. A server may answer every other question while it can no longer generate.
      - Proof is text that is not empty, a token count of at least one, and an end that only a produced completion has.
    type: bool
    default: false
  model:
    description:
      - The model to ask. Without it, whatever the server serves first.
    type: str
  prompt:
    description:
      - The text to complete.
    type: str
    default: The quick brown fox
  max_tokens:
    description:
      - How many tokens to ask for. A single character may take four, and with fewer there may be no text to prove it.
    type: int
    default: 8
  generate_timeout:
    description:
      - Seconds for the completion, which waits in the queue behind other requests. Defaults to O(timeout).
    type: float
  start_grace:
    description:
      - A process younger than this many seconds that does not listen yet is starting (V(not_ready)).
        An older one is V(unresponsive).
    type: float
    default: 120.0
  fail_on:
    description:
      - Which verdicts make the task fail.
      - V(unhealthy) lets the task pass when the verdict is V(unknown). V(not_healthy) passes on V(healthy) alone.
    type: str
    choices: [never, unhealthy, not_healthy]
    default: never
seealso:
  - module: autoglm.recovery.crash_snapshot
"""

EXAMPLES = r"""
- name: Look at the server and its unit
  autoglm.recovery.inference_health:
    engine: llama_cpp
    url: http://127.0.0.1:8080
    unit: llama-server.service
  register: health

- name: Ask a model that an Ollama has, and prove that it answers
  autoglm.recovery.inference_health:
    engine: ollama
    url: http://127.0.0.1:11434
    engine_options:
      model: llama3.2
    generate: true
    generate_timeout: 60 # it may have to load the model first

- name: Look at a server of another kind
  autoglm.recovery.inference_health:
    engine: generic
    url: http://127.0.0.1:5000
    engine_options:
      ready_path: /ready
      metrics_path: /metrics
      running_metric: my_requests_running
      waiting_metric: my_requests_queued
      completion: openai_chat

- name: Wait until the server generates, and fail if it does not within two minutes
  autoglm.recovery.inference_health:
    engine: vllm
    url: http://127.0.0.1:8000
    unit: vllm.service
    generate: true
    fail_on: not_healthy
  register: health
  until: health.verdict | default('unknown') == 'healthy'
  retries: 60
  delay: 2
"""

RETURN = r"""
verdict:
  description: V(healthy), V(unhealthy) or V(unknown).
  type: str
  returned: always
  sample: unhealthy
failure_class:
  description: What kind of failure it is. Null when the verdict is V(healthy), V(unknown) where it cannot be told.
  type: str
  returned: always
  sample: oom
reasons:
  description: Why, one sentence each.
  type: list
  elements: str
  returned: always
  sample:
    - "unit llama-server.service has no process: failed (failed), result oom-kill"
    - systemd reports Result=oom-kill
recommended_action:
  description: The first action of the failure class's default ladder. Null when there is none.
  type: str
  returned: always
  sample: restart_process
inference:
  description: What was read.
  type: dict
  returned: always
  contains:
    live:
      description: The reading of liveness. Its C(value) is null when it could not be read.
      type: dict
      sample: {"kind": "answered", "reason": "/health answered HTTP 200", "status": 200, "value": true}
    ready:
      description: The reading of readiness, in the same form.
      type: dict
      sample: {"kind": "answered", "reason": "/health answered HTTP 200", "status": 200, "value": true}
    generated:
      description: The reading of the completion, in the same form. Null when none was asked for.
      type: dict
      sample: {"kind": "answered", "reason": "generated 4 tokens in 0.01 s", "status": 200, "value": true}
    generation:
      description: The completion that was produced. Null when there is none.
      type: dict
      sample: {"finish_reason": "length", "model": "tiny", "seconds": 0.01, "text": " jumps over the", "tokens": 4}
    stats:
      description:
        - Figures of the server. Those that could not be read are null, with their reasons under C(unread).
        - C(in_flight) is the sum of running and waiting requests, and null unless both are known.
      type: dict
      sample: {"in_flight": 1, "running": 1, "waiting": 0, "unread": {"kv_cache_usage": "/metrics does not say"}}
    unit:
      description: The state of the systemd unit. Null when no unit was named.
      type: dict
      sample: {"active_state": "active", "main_pid": 4711, "name": "llama-server.service", "readable": true}
"""

from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.arguments import engine_arguments, engine_of
from ansible_collections.autoglm.recovery.plugins.module_utils.evidence.systemd import unit_name
from ansible_collections.autoglm.recovery.plugins.module_utils.health.probe import CompletionAsked, observe, read_unit
from ansible_collections.autoglm.recovery.plugins.module_utils.health.verdict import DEFAULT_START_GRACE, judge

_FAILS = {
    "never": (),
    "unhealthy": ("unhealthy",),
    "not_healthy": ("unhealthy", "unknown"),
}


def argument_spec() -> dict[str, Any]:
    return {
        **engine_arguments(required=True),
        "unit": {"type": "str"},
        "generate": {"type": "bool", "default": False},
        "model": {"type": "str"},
        "prompt": {"type": "str", "default": "The quick brown fox"},
        "max_tokens": {"type": "int", "default": 8, "no_log": False},
        "generate_timeout": {"type": "float"},
        "start_grace": {"type": "float", "default": DEFAULT_START_GRACE},
        "fail_on": {"type": "str", "choices": ["never", "unhealthy", "not_healthy"], "default": "never"},
    }


def look(params: dict[str, Any]) -> dict[str, Any]:
    """Look at the server once; the keys of the module's result. Raises ValueError for options that cannot be."""
    asked = None
    if params["generate"]:
        if params["max_tokens"] < 1:
            raise ValueError("max_tokens must be at least 1")
        asked = CompletionAsked(params["prompt"], params["max_tokens"], params["model"])
    unit = read_unit(unit_name(params["unit"]), params["timeout"]) if params["unit"] else None
    seen = observe(engine_of(params, params["generate_timeout"]), asked, unit)
    verdict = judge(seen, params["start_grace"])
    inference = asdict(seen)
    inference["stats"]["in_flight"] = seen.stats.in_flight
    return {**asdict(verdict), "reasons": list(verdict.reasons), "inference": inference}


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    try:
        result = look(module.params)
    except ValueError as error:
        module.fail_json(msg=str(error))
    if result["verdict"] in _FAILS[module.params["fail_on"]]:
        module.fail_json(msg=f"{result['verdict']}: {'; '.join(result['reasons'])}", **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
