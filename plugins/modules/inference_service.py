#!/usr/bin/python

# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: inference_service
short_description: Stop, start or restart an inference service, whatever runs it
version_added: 0.1.0
description:
  - Stops and starts a systemd unit, a container of podman or Docker, or a process with a PID file, in the same way.
  - To stop it asks first, by the unit's own stop or by SIGTERM, waits for O(stop_timeout), and then kills.
    Servers such as llama.cpp's do not end on SIGTERM while requests wait. Which of the two it took is told.
  - To start it waits until there is a process and it has not died at once. Whether it serves is the question of
    M(autoglm.recovery.inference_health).
  - After each step it looks again. What did not come about is a failure, never a success.
  - A state that could not be read changes nothing and fails, so that no second process is started beside a first.
author:
  - autoglm.recovery maintainers (@autoglm)
extends_documentation_fragment:
  - autoglm.recovery.attributes
  - autoglm.recovery.attributes.action_group
  - autoglm.recovery.guard
  - autoglm.recovery.service
  - autoglm.recovery.service.start
attributes:
  action_group:
    membership: [autoglm.recovery.guard, autoglm.recovery.recovery, autoglm.recovery.service]
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - O(state=restarted) always restarts.
options:
  state:
    description:
      - V(started) starts it if it has no process, and resumes a paused container.
      - V(stopped) ends its processes. A container remains, and so does a unit's enablement.
      - V(restarted) stops and starts it.
    type: str
    choices: [restarted, started, stopped]
    required: true
  stop_timeout:
    description:
      - Seconds between the request to stop and SIGKILL. V(0) kills at once, which is for a process that is proven
        broken and whose requests are lost already.
      - A unit whose own C(TimeoutStopSec) is shorter is killed by systemd after that.
    type: float
    default: 30.0
  kill_after:
    description:
      - Whether it is killed when O(stop_timeout) is over. Otherwise the task fails, and the process goes on.
    type: bool
    default: true
  start_timeout:
    description:
      - Seconds until there must be a process.
    type: float
    default: 60.0
  timeout:
    description:
      - Seconds for each command.
    type: float
    default: 30.0
notes:
  - A process that is started with O(pid_file) has a session of its own and an environment of its own. It stays in the
    control group of who starts it, which over SSH is that of a login session. On a host with systemd a unit is the
    better choice.
  - Values of O(environment), and arguments in O(start_command), whose names announce a secret are kept out of the
    output. They can still be read on the host by root.
seealso:
  - module: autoglm.recovery.inference_health
  - module: autoglm.recovery.clean_leftovers
"""

EXAMPLES = r"""
- name: Stop a unit, and kill it after two minutes
  autoglm.recovery.inference_service:
    unit: vllm.service
    state: stopped
    stop_timeout: 120

- name: Restart a container
  autoglm.recovery.inference_service:
    container: sglang
    container_runtime: podman
    state: restarted

- name: Start a process
  autoglm.recovery.inference_service:
    pid_file: /run/llama.pid
    start_command: [/usr/bin/llama-server, --model, /srv/models/tiny.gguf, --port, "8080"]
    user: llama
    log_file: /var/log/llama.log
    state: started
"""

RETURN = r"""
last_words:
  description: What the service said last before it could not be started or stopped, with secrets redacted.
  type: list
  elements: str
  returned: failure
  sample:
    - "main: error: failed to load model '/var/lib/models/m.gguf'"
  version_added: 0.2.0
service:
  description: What it looks like after the task. In check mode, what it looks like now.
  type: dict
  returned: always
  contains:
    kind:
      description: V(systemd), V(podman), V(docker) or V(pid_file).
      type: str
      sample: systemd
    name:
      description: The unit, the container or the path of the PID file.
      type: str
      sample: vllm.service
    readable:
      description: Whether the state could be read. If not, C(reason) says why.
      type: bool
      sample: true
    state:
      description: V(running), V(starting), V(stopping), V(paused), V(stopped), V(failed), V(absent) or V(unknown).
      type: str
      sample: running
    detail:
      description: The state in the words of what runs it.
      type: str
      sample: active (running)
    main_pid:
      description: The main process, by its number on the host. Null when there is none.
      type: int
      sample: 4711
    cgroup:
      description: The path of its control group.
      type: str
      sample: /system.slice/vllm.service
    since:
      description: When the main process began, in UTC.
      type: str
      sample: "2026-11-22T20:59:00.000Z"
    restarts_itself:
      description: Who starts it again without us. Empty for nobody.
      type: str
      sample: systemd, Restart=always
    end:
      description: How the last main process ended, as far as it is told.
      type: dict
      sample: {"clean": false, "exit_code": 137, "text": "its main process exited with status 137 (SIGKILL)"}
stopped:
  description: How it was stopped. Null when it was not.
  type: dict
  returned: always
  contains:
    by:
      description: The signal that it took. Empty where there was no process.
      type: str
      sample: SIGKILL
    seconds:
      description: How long it took.
      type: float
      sample: 30.2
    text:
      description: The same for people.
      type: str
      sample: "unit vllm.service ended by SIGKILL after 30 s of SIGTERM, in 30.2 s"
fence:
  description: The tokens, where O(guard) refused this run because a newer one has been here.
  type: dict
  returned: on failure
  contains:
    token:
      description: This run's token.
      type: int
      sample: 1795888800000000
    refused_by:
      description: The token of the newer run.
      type: int
      sample: 1795888800000001
holder:
  description:
    - Who holds the host, where O(guard) refused this run because it has lost it, as
      M(autoglm.recovery.host_lock) says it.
  type: dict
  returned: on failure
  sample: {"run": "5f1c0a3b9d2e4f60", "who": "alice on ops-1", "host": "node-a"}
"""

from ansible_collections.autoglm.recovery.plugins.module_utils import minimum_python

minimum_python.check()  # before what an older Python cannot import

# isort: split
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.autoglm.recovery.plugins.module_utils.evidence.last_words import read_last_words
from ansible_collections.autoglm.recovery.plugins.module_utils.fencing import guard
from ansible_collections.autoglm.recovery.plugins.module_utils.host.redaction import is_secret_name, redact_argv
from ansible_collections.autoglm.recovery.plugins.module_utils.host.unread import Unread
from ansible_collections.autoglm.recovery.plugins.module_utils.locks import host_lock
from ansible_collections.autoglm.recovery.plugins.module_utils.services import acting, registry
from ansible_collections.autoglm.recovery.plugins.module_utils.services.protocol import (
    PAUSED,
    STOPPING,
    WITHOUT_PROCESS,
    Service,
    ServiceError,
    Status,
)


def argument_spec() -> dict[str, Any]:
    return {
        **registry.argument_spec(),
        **registry.start_argument_spec(),
        **guard.argument_spec(),
        "state": {"type": "str", "choices": ["restarted", "started", "stopped"], "required": True},
        "stop_timeout": {"type": "float", "default": 30.0},
        "kill_after": {"type": "bool", "default": True},
        "start_timeout": {"type": "float", "default": 60.0},
        "timeout": {"type": "float", "default": 30.0},
    }


def change(params: dict[str, Any], check_mode: bool, result: dict[str, Any]) -> None:
    """Do what is asked, noting in result what was done. Raises ValueError and ServiceError."""
    service = registry.require_service(params, params["timeout"])
    _check_params(params)
    before = acting.readable(service.status())
    result["service"] = _status_document(before)
    stops, starts = _needed_steps(params["state"], before)
    if starts and params["pid_file"] and not params["start_command"]:
        raise ValueError("a service with a pid_file needs a start_command to be started")
    result["diff"] = {"before": _diff_line(before), "after": _diff_line(before)}
    if check_mode:
        result["changed"] = stops or starts
        result["diff"]["after"] = (
            _expected_diff_line(before, params["state"]) if stops or starts else _diff_line(before)
        )
        return
    try:
        _stop_and_start(service, params, stops, starts, result)
    finally:
        after = service.status()
        result["service"], result["diff"]["after"] = _status_document(after), _diff_line(after)


def _stop_and_start(
    service: Service, params: dict[str, Any], stops: bool, starts: bool, result: dict[str, Any]
) -> None:
    if stops:
        result["changed"] = True
        result["stopped"] = asdict(acting.stop(service, params["stop_timeout"], params["kill_after"]))
    if starts:
        result["changed"] = True
        acting.start(service, params["start_timeout"])


def _needed_steps(state: str, before: Status) -> tuple[bool, bool]:
    """Whether it has to be stopped, and whether it has to be started."""
    down = before.process_gone and before.state in WITHOUT_PROCESS
    if state == "started":
        return before.state == STOPPING, before.process_gone or before.state in (PAUSED, STOPPING)
    return not down, state == "restarted"


def _check_params(params: dict[str, Any]) -> None:
    for name in ("stop_timeout", "start_timeout"):
        if not 0 <= params[name] < float("inf"):
            raise ValueError(f"{name} must be a number of seconds, 0 or more")


def _status_document(status: Status) -> dict[str, Any]:
    names = ("kind", "name", "readable", "reason", "state", "detail", "main_pid", "cgroup", "since", "restarts_itself")
    end = {name: getattr(status.end, name) for name in ("text", "clean", "exit_code", "signal")}
    return {**{name: getattr(status, name) for name in names}, "end": end}


def _diff_line(status: Status) -> str:
    process = "no process" if status.main_pid is None else f"process {status.main_pid}"
    return f"{status.label}: {status.state}, {process}\n"


def _expected_diff_line(before: Status, state: str) -> str:
    return f"{before.label}: {'stopped, no process' if state == 'stopped' else 'running, a new process'}\n"


def _secret_values(params: dict[str, Any]) -> Iterator[str]:
    """Values that must not be seen in the task's output, its own arguments included."""
    for name, value in (params["environment"] or {}).items():
        if is_secret_name(str(name)):
            yield str(value)
    words = params["start_command"] or []
    for word, shown in zip(words, redact_argv(words)):
        if word != shown:
            yield word.partition("=")[2] if word.startswith("-") and "=" in word else word


def _last_words_of(params: dict[str, Any]) -> list[str]:
    """What the service said before it could not be started or stopped."""
    return read_last_words(registry.require_service(params, params["timeout"]))


def main() -> None:
    module = AnsibleModule(
        argument_spec=argument_spec(),
        mutually_exclusive=[registry.NAMES],
        required_one_of=[registry.NAMES],
        supports_check_mode=True,
    )
    module.no_log_values.update(filter(None, _secret_values(module.params)))
    host_lock.at_work()
    guard.require(module)
    result: dict[str, Any] = {"changed": False, "service": None, "stopped": None}
    try:
        change(module.params, module.check_mode, result)
    except (ServiceError, Unread, ValueError) as error:
        result["last_words"] = _last_words_of(module.params) if isinstance(error, ServiceError) else []
        module.fail_json(msg=str(error), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
