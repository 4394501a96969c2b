#!/usr/bin/python

# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: inference_health
short_description: Tell whether an inference server is live, ready and generating
version_added: 0.1.0
description:
  - Asks one inference server for its liveness, readiness and figures and, on request, for a tiny completion.
    Looks at its unit, container or process as well when one of O(unit), O(container) and O(pid_file) is given,
    to tell an out-of-memory kill from a crash from a hang. Leave them out when the server is asked from another host.
  - The verdict is V(healthy) only when everything that was asked for was read and was good, and something proves that
    the server generates. That is a completion, or tokens that its counters show to come between two looks.
    Whatever cannot be read makes it V(unknown), with a reason.
  - A server whose counters show progress is never called dead, however long a new completion or another question waits.
    It is busy, and its class is V(overload).
  - A server that has requests in hand and makes no step for O(stall_seconds) is unhealthy, class V(deadlock), whatever
    it answers about its health.
  - Every question has a deadline, so that a stopped process or a hung driver does not hang the play.
author:
  - autoglm.recovery maintainers (@autoglm)
extends_documentation_fragment:
  - autoglm.recovery.attributes
  - autoglm.recovery.attributes.action_group
  - autoglm.recovery.attributes.info_module
  - autoglm.recovery.engine
  - autoglm.recovery.engine.timeout
  - autoglm.recovery.service
  - autoglm.recovery.verdict
attributes:
  action_group:
    membership: [autoglm.recovery.engine, autoglm.recovery.recovery, autoglm.recovery.service, autoglm.recovery.verdict]
options:
  engine:
    required: true
  url:
    required: true
  generate:
    description:
      - Whether to ask for a completion. A server may answer every other question while it can no longer generate.
      - Without it, only tokens that come meanwhile prove that the server generates, so that one that has nothing to do
        is V(unknown), unless O(answers_suffice=true).
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
      - Seconds for the completion, which waits in the queue behind other requests.
        Defaults to O(timeout).
      - Where no counters tell whether a server that keeps a completion waiting is busy or dead, a second one is waited
        for as long as O(stall_seconds).
    type: float
  stall_seconds:
    description:
      - Requests that run or wait for so many seconds, while no token, no prompt token and no finished request is
        counted, are a deadlock. Only a server that stands still is looked at for so long.
      - A prompt that is worked on in parts fills the cache, which counts as progress. Raise it where one step may take
        longer, such as a model on a CPU. Gauges of V(sglang) may be 30 seconds late, which are added.
      - A liveness question that gets no answer within O(timeout) is followed by one for the counters with this
        deadline, because a server that is full answers everything late.
    type: float
    default: 20.0
    version_added: 0.2.0
  answers_suffice:
    description:
      - Call a server V(healthy) that answers that it is live and ready, though nothing proves that it generates.
      - Meant for servers of another kind than text, and for those that must not be asked for completions.
    type: bool
    default: false
    version_added: 0.2.0
  start_grace:
    description:
      - A process younger than this many seconds that does not listen yet is starting (V(not_ready)).
        An older one is V(unresponsive).
      - In a process younger than this, requests that stand still and completions that do not come are V(not_ready) as
        well, since a first request may wait for kernels that are being compiled.
    type: float
    default: 120.0
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
  description:
    - V(healthy), V(unhealthy) or V(unknown).
    - A server that is busy is V(healthy) while tokens come, and V(unknown) while nothing but other work goes on.
  type: str
  returned: always
  sample: unhealthy
failure_class:
  description:
    - What kind of failure it is, V(unknown) where it cannot be told. V(overload) when it is busy, whatever the verdict.
    - Null when the verdict is V(healthy) and it is not busy.
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
last_words:
  description:
    - What a service without a process has said last - the few lines of its log that tell why it died, with
      secrets redacted.
    - Empty when it has a process, when none was named, or when its log cannot be read.
  type: list
  elements: str
  returned: always
  sample:
    - "main: error: failed to load model '/var/lib/models/m.gguf'"
  version_added: 0.2.0
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
    motion:
      description:
        - What two or more looks at the counters tell. Its C(kind) is V(generates), V(works) (no token came, but other
          work goes on), V(idle), V(still) (something to do and no step, not for long enough), V(stalled), V(held)
          (somebody has put it to sleep) or V(unread).
        - C(engines) has the kind of each engine behind the address.
      type: dict
      sample:
        engines: {"engine=0, model_name=m": "generates"}
        kind: generates
        reason: its counter of generated tokens grew within 1.0 s
        seconds: 1.0
      version_added: 0.2.0
    stats:
      description:
        - Figures of the server. Those that could not be read are null, with their reasons under C(unread).
        - C(in_flight) is the sum of running and waiting requests, and null unless both are known.
      type: dict
      sample: {"in_flight": 1, "running": 1, "waiting": 0, "unread": {"kv_cache_usage": "it is not there"}}
    service:
      description:
        - The state of the unit, container or process. Null when none was named.
        - Its C(state) is V(running), V(starting), V(stopping), V(paused), V(stopped), V(failed), V(absent)
          or V(unknown). With C(readable) false nothing is known, and C(reason) says why.
      type: dict
      sample: {"kind": "systemd", "main_pid": 4711, "name": "llama-server.service", "state": "running"}
"""

from ansible_collections.autoglm.recovery.plugins.module_utils import minimum_python

minimum_python.check()  # before what an older Python cannot import

# isort: split
import math
from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.arguments import engine_arguments, engine_of
from ansible_collections.autoglm.recovery.plugins.module_utils.evidence.last_words import read_last_words
from ansible_collections.autoglm.recovery.plugins.module_utils.health import ending
from ansible_collections.autoglm.recovery.plugins.module_utils.health.motion import DEFAULT_STALL_SECONDS
from ansible_collections.autoglm.recovery.plugins.module_utils.health.probe import (
    CompletionAsked,
    Watch,
    observe,
    read_service,
)
from ansible_collections.autoglm.recovery.plugins.module_utils.health.verdict import DEFAULT_START_GRACE, judge
from ansible_collections.autoglm.recovery.plugins.module_utils.host.unread import Unread
from ansible_collections.autoglm.recovery.plugins.module_utils.services import registry


def argument_spec() -> dict[str, Any]:
    return {
        **engine_arguments(required=True),
        **registry.argument_spec(),
        "generate": {"type": "bool", "default": False},
        "model": {"type": "str"},
        "prompt": {"type": "str", "default": "The quick brown fox"},
        "max_tokens": {"type": "int", "default": 8, "no_log": False},
        "generate_timeout": {"type": "float"},
        "stall_seconds": {"type": "float", "default": DEFAULT_STALL_SECONDS},
        "answers_suffice": {"type": "bool", "default": False},
        "start_grace": {"type": "float", "default": DEFAULT_START_GRACE},
        **ending.arguments(),
    }


def look(params: dict[str, Any]) -> dict[str, Any]:
    """Look at the server; the keys of the module's result. Raises ValueError for options that cannot be."""
    asked = None
    if params["generate"]:
        if params["max_tokens"] < 1:
            raise ValueError("max_tokens must be at least 1")
        asked = CompletionAsked(params["prompt"], params["max_tokens"], params["model"])
    stall = params["stall_seconds"]
    if not 0 < stall < math.inf:
        raise ValueError("stall_seconds must be a number of seconds above 0")
    service = registry.open_service(params, params["timeout"])
    status = None if service is None else read_service(service, params["timeout"])
    seen = observe(engine_of(params, params["generate_timeout"]), asked, status, Watch(stall))
    verdict = judge(seen, params["start_grace"], stall, params["answers_suffice"])
    inference = asdict(seen)
    inference["stats"]["in_flight"] = seen.stats.in_flight
    gone = service is not None and status is not None and status.exists and status.process_gone
    words = read_last_words(service) if service is not None and gone else []
    return {**asdict(verdict), "reasons": list(verdict.reasons), "last_words": words, "inference": inference}


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), mutually_exclusive=[registry.NAMES], supports_check_mode=True)
    try:
        result = look(module.params)
    except (Unread, ValueError) as error:
        module.fail_json(msg=str(error))
    ending.end(module, result)


if __name__ == "__main__":
    main()
