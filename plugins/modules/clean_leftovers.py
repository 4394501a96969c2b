#!/usr/bin/python

# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: clean_leftovers
short_description: Clean up what a dead inference service left behind
version_added: 0.1.0
description:
  - Ends the processes that a service has left that is not running, such as a worker that holds GPU memory after its
    server has died; empties the cache directories that are declared for the service; and makes systemd forget earlier
    failed starts, which could otherwise forbid the next one.
  - A process is ended only if it is provably the service's own. For a unit and a container the proof is the control
    group. For a service with a PID file it is the mark that M(autoglm.recovery.inference_service) gives to what it
    starts, and that children inherit. Other processes that hold a GPU are named and left alone.
  - Files in C(/dev/shm) do not tell who made them. They are left alone, and their number is told.
  - While the service runs the task fails, and nothing is touched.
author:
  - autoglm.recovery maintainers (@autoglm)
extends_documentation_fragment:
  - autoglm.recovery.attributes
  - autoglm.recovery.attributes.action_group
  - autoglm.recovery.guard
  - autoglm.recovery.service
attributes:
  action_group:
    membership: [autoglm.recovery.guard, autoglm.recovery.recovery, autoglm.recovery.service]
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  cache_paths:
    description:
      - Directories whose content is removed. The directories themselves stay.
      - Each must be absolute, free of links and C(..), and not a directory of the system.
    type: list
    elements: path
    default: []
  timeout:
    description:
      - Seconds for each command, and for each process to be gone.
    type: float
    default: 10.0
seealso:
  - module: autoglm.recovery.inference_health
  - module: autoglm.recovery.inference_service
"""

EXAMPLES = r"""
- name: Clean up after a dead server
  autoglm.recovery.clean_leftovers:
    unit: vllm.service
    cache_paths:
      - /var/cache/vllm/torch_compile_cache
"""

RETURN = r"""
killed:
  description: The processes that were ended, or would be.
  type: list
  elements: dict
  returned: always
  sample: [{"pid": 4711, "name": "VLLM::Worker", "holds_gpu": true}]
removed:
  description: What was removed from the cache directories, or would be.
  type: list
  elements: str
  returned: always
  sample: [/var/cache/vllm/torch_compile_cache/9f1c]
freed_bytes:
  description: The size of what was removed.
  type: int
  returned: always
  sample: 1048576
left_alone:
  description: What was found and not touched, and why.
  type: list
  elements: str
  returned: always
  sample: ["process 815 (python3) holds a GPU and is not of vllm.service"]
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
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.autoglm.recovery.plugins.module_utils.fencing import guard
from ansible_collections.autoglm.recovery.plugins.module_utils.host.unread import Unread
from ansible_collections.autoglm.recovery.plugins.module_utils.leftovers import caches, processes, selection
from ansible_collections.autoglm.recovery.plugins.module_utils.locks import host_lock
from ansible_collections.autoglm.recovery.plugins.module_utils.services import registry
from ansible_collections.autoglm.recovery.plugins.module_utils.services.protocol import WITHOUT_PROCESS, Service, Status

_PROC = Path("/proc")
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  # its files are counted


class CleaningError(Exception):
    """Something could not be cleaned; the result so far says what was."""


def clean(params: dict[str, Any], check_mode: bool, result: dict[str, Any]) -> None:
    """Clean up, noting in result what was done. Raises ValueError, Unread and CleaningError."""
    service = registry.require_service(params, params["timeout"])
    for reason in filter(None, map(caches.refuse, params["cache_paths"])):
        raise ValueError(reason)
    status = service.status()
    if not status.readable:
        raise Unread(status.reason)
    if not _is_down(status) and not check_mode:
        raise CleaningError(f"{status.label} is {status.state}: {status.detail}; nothing was touched")
    _end_processes(service, status, params["timeout"], check_mode, result)
    _empty_caches(params["cache_paths"], check_mode, result)
    _report_shared_memory(result)
    if not check_mode:
        service.forget_failures()


def _is_down(status: Status) -> bool:
    """A unit that waits for its next automatic start has no process, and yet is not down."""
    return status.process_gone and status.state in WITHOUT_PROCESS


def _end_processes(service: Service, status: Status, timeout: float, check_mode: bool, result: dict[str, Any]) -> None:
    ownership = service.ownership()
    found = selection.select(processes.read(_PROC, ownership, timeout), ownership)
    for process in found.foreign:
        result["left_alone"].append(f"process {process.pid} ({process.name}) holds a GPU and is not of {service.name}")
    stuck = []
    for process in found.own:
        if process.pid == status.main_pid:
            continue  # a zombie: its parent has to take it away
        if not check_mode and not processes.end(process, ownership, timeout):
            stuck.append(f"{process.pid} ({process.name})")
            continue
        result["killed"].append({"pid": process.pid, "name": process.name, "holds_gpu": process.holds_gpu})
    result["changed"] = bool(result["killed"])
    if stuck:
        raise CleaningError(f"of {service.name} these processes did not die within {timeout:g} s: {', '.join(stuck)}")


def _empty_caches(paths: list[str], check_mode: bool, result: dict[str, Any]) -> None:
    for path in paths:
        emptied = caches.empty(path, check_mode)
        result["removed"].extend(emptied.removed)
        result["freed_bytes"] += emptied.freed
        result["left_alone"].extend(emptied.left)
    result["changed"] = bool(result["changed"] or result["removed"])


def _report_shared_memory(result: dict[str, Any]) -> None:
    try:
        count = sum(1 for _entry in _SHARED_MEMORY.iterdir())
    except OSError:
        return
    if count:
        result["left_alone"].append(f"{_SHARED_MEMORY} has {count} files, which do not tell who made them")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **registry.argument_spec(),
            **guard.argument_spec(),
            "cache_paths": {"type": "list", "elements": "path", "default": []},
            "timeout": {"type": "float", "default": 10.0},
        },
        mutually_exclusive=[registry.NAMES],
        required_one_of=[registry.NAMES],
        supports_check_mode=True,
    )
    host_lock.at_work()
    guard.require(module)
    result: dict[str, Any] = {"changed": False, "killed": [], "removed": [], "freed_bytes": 0, "left_alone": []}
    try:
        clean(module.params, module.check_mode, result)
    except (OSError, ValueError, Unread, CleaningError) as error:
        module.fail_json(msg=str(error), **result)
    gone = [f"process {entry['pid']} ({entry['name']})" for entry in result["killed"]] + result["removed"]
    module.exit_json(diff={"before": "".join(f"{line}\n" for line in gone), "after": ""}, **result)


if __name__ == "__main__":
    main()
