#!/usr/bin/python

# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: crash_snapshot
short_description: Save the evidence of an incident before anything is changed
version_added: 0.1.0
description:
  - Writes one bundle per incident, attempt, host and run. It begins with a C(SUMMARY.txt), which says what, when, the
    last errors of the log, the kernel's lines about faults, and memory and free disk at that time.
  - It holds what systemd or the container runtime knows of the
    service and the end of its log, memory state and OOM counters of its control groups (both versions), the kernel's
    log, every process of the service with its threads, where they wait in the kernel and, by C(py-spy), in Python,
    the engine's figures, metrics and open requests, the state of the GPUs, sockets, load, memory and pressure of
    the host.
  - A bundle is a directory of plain files, so that it can be read with C(less) and C(grep) in the night.
    Its C(manifest.json) has time, size, SHA-256 and source of each part, what was cut, and what could not be read
    and why.
  - The directory is written under a name that begins with C(.partial-) and renamed when it is complete,
    so that an incomplete bundle is never taken for a whole one.
  - Every part is read by a process of its own under a deadline. One that hangs is recorded as such.
  - Secrets are taken out of environments, command lines, logs and properties before they are written.
    They are known by names (such as C(HF_TOKEN), C(--api-key), C(password:)), by shapes
    (C(Bearer ...), C(user:password@) in URLs, private keys, tokens of well-known providers) and by value (O(api_key)).
  - It works as well when the process is dead already, is stopped, or when the unit or container does not exist.
author:
  - autoglm.recovery maintainers (@autoglm)
requirements:
  - The program C(py-spy), for the stacks of Python processes. Without it that is said, and all else is saved.
  - The Python package C(nvidia-ml-py), for the state of the GPUs, in the same way.
extends_documentation_fragment:
  - autoglm.recovery.attributes
  - autoglm.recovery.attributes.action_group
  - autoglm.recovery.engine
  - autoglm.recovery.engine.timeout
  - autoglm.recovery.service
attributes:
  action_group:
    membership: [autoglm.recovery.engine, autoglm.recovery.recovery, autoglm.recovery.service]
  check_mode:
    support: full
    details:
      - Says where the bundle would be written and which parts it would have.
  diff_mode:
    support: full
  idempotent:
    support: full
    details:
      - A bundle of the same incident, attempt, host and run is never overwritten. The first one is the evidence.
      - Without O(incident) each run writes a bundle of its own.
options:
  dest:
    description:
      - Directory of the bundles on the host. It is created with mode C(0700).
    type: path
    default: /var/lib/autoglm/evidence
  incident:
    description:
      - What names the incident, C(autoglm_incident.key) of a run of the receiver. A number alone may be that of another
        receiver's incident as well.
      - It is data. Whatever it holds, it becomes a single harmless component of the path.
    type: str
  run:
    description:
      - What names the run over all installations, which the receiver gives as C(autoglm_incident.run).
        Each run has a bundle of its own.
    type: str
    default: ""
  attempt:
    description:
      - Which attempt at the incident it is.
    type: int
    default: 1
  phase:
    description:
      - For another look of the same run, what it comes after, such as V(failed-start). It has a bundle of its own.
    type: str
    default: ""
  excerpt_bytes:
    description:
      - How many bytes of the bundle's texts are returned as RV(excerpts), so that they can be read where the host is
        out of reach.
        V(0) returns none.
    type: int
    default: 0
  host:
    description:
      - The host's name in the inventory. Defaults to the name that the host has for itself.
    type: str
  max_bytes:
    description:
      - The most that a bundle may take. The parts that matter most come first; what is cut is said in the manifest.
    type: int
    default: 33554432
  min_free:
    description:
      - Bytes that must stay free in O(dest).
        The bundle gets smaller for it, and the task fails when nothing useful fits.
    type: int
    default: 67108864
  log_lines:
    description:
      - How many of the last lines of the service's log are saved.
    type: int
    default: 2000
  prompts:
    description:
      - Whether the open requests are saved with what users have written in them.
        Otherwise only their figures are, and the length of each text.
    type: bool
    default: false
  py_spy:
    description:
      - The program that shows the stacks of Python processes, by its name in C(PATH) or its path.
        Where it is not there, that is said in RV(unreadable), and nothing else is missing.
    type: str
    default: py-spy
  gpus:
    description:
      - Whether the state of the host's NVIDIA GPUs is saved.
    type: bool
    default: true
  nvml_library:
    description:
      - The path of C(libnvidia-ml.so.1), where the dynamic linker does not find it by itself.
    type: path
  command_timeout:
    description:
      - Seconds for each external command and each file that may block.
    type: float
    default: 10.0
  deadline:
    description:
      - Seconds for the whole bundle. Parts that are not reached are recorded as not collected.
    type: float
    default: 60.0
  keep:
    description:
      - How many bundles of this host to keep in O(dest), the new one included. The oldest go first; V(0) keeps all.
    type: int
    default: 20
seealso:
  - module: autoglm.recovery.inference_health
"""

EXAMPLES = r"""
- name: Save the evidence
  autoglm.recovery.crash_snapshot:
    incident: "{{ autoglm_incident.key }}"
    run: "{{ autoglm_incident.run }}"
    attempt: "{{ autoglm_incident.attempt }}"
    host: "{{ inventory_hostname }}"
    unit: llama-server.service
    engine: llama_cpp
    url: http://127.0.0.1:8080
  register: evidence

- name: Save a small bundle of a host, without an incident
  autoglm.recovery.crash_snapshot:
    dest: /tmp/evidence
    max_bytes: 1048576
"""

RETURN = r"""
path:
  description: The bundle. In check mode, where it would be written.
  type: str
  returned: always
  sample: /var/lib/autoglm/evidence/3f2a9c1b4d5e-42-node-a-20261122T205900Z
existing:
  description: Whether the bundle of this incident, attempt, host and run was there already.
  type: bool
  returned: always
  sample: false
bytes:
  description: The size of the bundle. Null in check mode.
  type: int
  returned: always
  sample: 184320
parts:
  description: The names of the parts. In check mode, those that would be collected.
  type: list
  elements: str
  returned: always
  sample: [SUMMARY.txt, unit.txt, cgroups.txt, journal.log, kernel.log]
truncated:
  description: The parts that were cut to size.
  type: list
  elements: str
  returned: always
  sample: [journal.log]
unreadable:
  description: What could not be read, and why.
  type: list
  elements: dict
  returned: always
  sample: [{"name": "journal.log", "reason": "the journal has no entry of llama-server.service"}]
excerpts:
  description:
    - Texts of the bundle, redacted as they are there, most important first, as far as O(excerpt_bytes) goes.
      Of a log its end is taken, of anything else its beginning.
  type: list
  elements: dict
  returned: always
  sample: [{"name": "SUMMARY.txt", "text": "## What\nincident 3f2a9c1b4d5e-42, attempt 1, on node-a\n", "cut": false}]
removed:
  description: Old or abandoned bundles that were removed.
  type: list
  elements: str
  returned: always
  sample: []
"""

from ansible_collections.autoglm.recovery.plugins.module_utils import minimum_python

minimum_python.check()  # before what an older Python cannot import

# isort: split
import os
import platform
import time
from pathlib import Path
from typing import Any, Optional

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.arguments import engine_arguments, engine_of
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.server import EngineServer
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.transport import HttpTransport
from ansible_collections.autoglm.recovery.plugins.module_utils.evidence import bundle, retention, snapshot
from ansible_collections.autoglm.recovery.plugins.module_utils.host.unread import Unread
from ansible_collections.autoglm.recovery.plugins.module_utils.services import registry


def argument_spec() -> dict[str, Any]:
    return {
        "dest": {"type": "path", "default": "/var/lib/autoglm/evidence"},
        "incident": {"type": "str"},
        "run": {"type": "str", "default": ""},
        "phase": {"type": "str", "default": ""},
        "excerpt_bytes": {"type": "int", "default": 0},
        "attempt": {"type": "int", "default": 1},
        "host": {"type": "str"},
        **registry.argument_spec(),
        **engine_arguments(),
        "max_bytes": {"type": "int", "default": 32 * 1024 * 1024},
        "min_free": {"type": "int", "default": 64 * 1024 * 1024},
        "prompts": {"type": "bool", "default": False},
        "py_spy": {"type": "str", "default": "py-spy"},
        "gpus": {"type": "bool", "default": True},
        "nvml_library": {"type": "path"},
        "log_lines": {"type": "int", "default": 2000},
        "command_timeout": {"type": "float", "default": 10.0},
        "deadline": {"type": "float", "default": 60.0},
        "keep": {"type": "int", "default": 20},
    }


def take(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Take the snapshot; the keys of the module's result. Raises ValueError and SnapshotError."""
    _check_params(params)
    dest = Path(params["dest"])
    host = params["host"] or platform.node()
    named = params["incident"] or "manual"
    incident = snapshot.Incident(named, params["attempt"], host, params["run"], params["phase"])
    there = snapshot.existing(dest, incident) if params["incident"] else None
    if there is not None:
        return _existing_result(there, params["excerpt_bytes"])
    scope = _scope_from(params)
    limit = bundle.budget(dest, params["max_bytes"], params["min_free"])
    name = snapshot.bundle_name(incident, time.time())
    parts = snapshot.plan(scope, incident, dest)
    if check_mode:
        return _bundle_result(dest / name, None, [part.name for part in parts])
    limits = bundle.BundleLimits(limit, params["deadline"])
    written = bundle.write(dest / name, snapshot.head(incident, scope, limits), parts, limits)
    removed, complaints = retention.apply(dest, incident.host, params["keep"], written.path)
    return {
        **_bundle_result(written.path, written.size, list(written.parts)),
        "truncated": list(written.truncated),
        "unreadable": [{"name": name, "reason": reason} for name, reason in written.unreadable.items()],
        "removed": removed,
        "excerpts": bundle.excerpts(written.path, params["excerpt_bytes"]),
        "warnings": [f"an old bundle could not be removed: {complaint}" for complaint in complaints],
    }


def _check_params(params: dict[str, Any]) -> None:
    if (params["engine"] is None) != (params["url"] is None):
        raise ValueError("engine and url must be given together")
    for name in ("max_bytes", "log_lines", "command_timeout", "deadline", "attempt"):
        if params[name] <= 0:
            raise ValueError(f"{name} must be more than 0")
    for name in ("min_free", "keep", "excerpt_bytes"):
        if params[name] < 0:
            raise ValueError(f"{name} must not be less than 0")


def _scope_from(params: dict[str, Any]) -> snapshot.Scope:
    engine = server = None
    if params["engine"] is not None:
        transport = HttpTransport(params["validate_certs"], params["ca_path"])
        server = EngineServer(params["url"], transport, params["timeout"], params["api_key"])
        engine = engine_of(params)
    return snapshot.Scope(
        service=registry.open_service(params, params["command_timeout"]),
        engine=engine,
        server=server,
        with_prompts=params["prompts"],
        py_spy=params["py_spy"],
        gpus=params["gpus"],
        nvml_library=params["nvml_library"],
        log_lines=params["log_lines"],
        command_timeout=params["command_timeout"],
        known_secrets=(params["api_key"],) if params["api_key"] else (),
    )


def _existing_result(path: Path, excerpt_bytes: int) -> dict[str, Any]:
    manifest = bundle.read_manifest(path) or {}
    parts = manifest.get("parts", [])
    result = _bundle_result(path, sum(part["bytes"] for part in parts), [part["name"] for part in parts])
    result.update(changed=False, existing=True, unreadable=manifest.get("unreadable", []))
    result["excerpts"] = bundle.excerpts(path, excerpt_bytes)
    return result


def _bundle_result(path: Path, size: Optional[int], parts: list[str]) -> dict[str, Any]:
    return {
        "changed": True,
        "existing": False,
        "path": str(path),
        "bytes": size,
        "parts": parts,
        "truncated": [],
        "unreadable": [],
        "removed": [],
        "excerpts": [],
    }


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), mutually_exclusive=[registry.NAMES], supports_check_mode=True)
    os.umask(0o077)
    try:
        result = take(module.params, module.check_mode)
    except (Unread, ValueError, bundle.SnapshotError) as error:
        module.fail_json(msg=str(error))
    for warning in result.pop("warnings", []):
        module.warn(warning)
    if result["changed"]:
        result["diff"] = {"before": "", "after": "".join(f"{result['path']}/{part}\n" for part in result["parts"])}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
