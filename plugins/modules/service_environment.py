#!/usr/bin/python

# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: service_environment
short_description: Give a systemd unit more environment until it is taken back
version_added: 0.2.0
description:
  - Writes, looks at and removes one drop-in of a unit, which adds environment variables to those that it has, and has
    systemd read it. The process that runs keeps what it was started with until it is started again.
  - What is in force is read from the process itself, since an C(EnvironmentFile) of the unit has the last word.
  - The file says what it was made of. One of its name that was made by somebody else, or edited, is left as it is, and
    the module fails.
author:
  - autoglm.recovery maintainers (@autoglm)
extends_documentation_fragment:
  - autoglm.recovery.attributes
  - autoglm.recovery.attributes.action_group
  - autoglm.recovery.guard
attributes:
  action_group:
    membership: [autoglm.recovery.guard, autoglm.recovery.recovery]
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  unit:
    description:
      - The systemd unit, with or without C(.service).
    type: str
    required: true
  name:
    description:
      - What the environment is for. There is one drop-in for each name.
    type: str
    required: true
  state:
    description:
      - Whether the drop-in is written, removed, or only looked at.
    type: str
    choices: [present, absent, queried]
    required: true
  label:
    description:
      - Which of several environments for O(name) this is. Needed with O(state=present).
    type: str
  environment:
    description:
      - The variables and their values, texts or numbers. Needed with O(state=present).
    type: dict
  incident:
    description:
      - The incident for which it is done, for people. It stands in the file.
    type: str
  timeout:
    description:
      - Seconds for each question to systemd.
    type: float
    default: 30.0
notes:
  - The drop-in lies in C(/etc/systemd/system), and outlives the next boot.
seealso:
  - module: autoglm.recovery.inference_service
"""

EXAMPLES = r"""
- name: Have the next start of vLLM do without peer-to-peer copies
  autoglm.recovery.service_environment:
    unit: vllm.service
    name: comm-path
    state: present
    label: without-p2p
    environment:
      NCCL_P2P_DISABLE: "1"

- name: Look which environment it has beside its own
  autoglm.recovery.service_environment:
    unit: vllm.service
    name: comm-path
    state: queried
  register: path

- name: Have the next start use its own environment again
  autoglm.recovery.service_environment:
    unit: vllm.service
    name: comm-path
    state: absent
"""

RETURN = r"""
before:
  description: What was there before this task. Null where nothing was.
  type: dict
  returned: success
  contains:
    label:
      description: Which of several environments it was.
      type: str
      sample: without-p2p
    incident:
      description: For which incident it was made; empty where for none.
      type: str
      sample: "7"
  sample: {"label": "without-p2p", "incident": "7"}
in_force:
  description: >-
    Whether the process that runs was started with what was there before this task. Null where nothing was, nothing
    runs, or the process could not be read.
  type: bool
  returned: success
  sample: true
path:
  description: The drop-in.
  type: str
  returned: success
  sample: /etc/systemd/system/vllm.service.d/60-autoglm-comm-path.conf
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
from dataclasses import replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.autoglm.recovery.plugins.module_utils.fencing import guard
from ansible_collections.autoglm.recovery.plugins.module_utils.host import command
from ansible_collections.autoglm.recovery.plugins.module_utils.host.redaction import is_secret_name
from ansible_collections.autoglm.recovery.plugins.module_utils.host.unread import Unread
from ansible_collections.autoglm.recovery.plugins.module_utils.locks import host_lock
from ansible_collections.autoglm.recovery.plugins.module_utils.services import drop_in, systemctl


def change(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Do what is asked. Raises ValueError, OSError, Unread and ForeignError."""
    unit = systemctl.unit_name(params["unit"])
    path = drop_in.path_of(drop_in.DIRECTORY, unit, params["name"])
    shown = systemctl.show(unit, command.run, params["timeout"])
    if shown.get("LoadState") != "loaded":
        raise Unread(f"unit {unit} is not there ({shown.get('LoadState', 'unknown')})")
    before = drop_in.read(path)
    after = before
    if params["state"] == "present":
        after = drop_in.checked(params["label"], params["environment"], params["incident"] or "")
    elif params["state"] == "absent":
        after = None
    # A run that was killed has written the file, and not told systemd of it.
    stale = params["state"] != "queried" and shown.get("NeedDaemonReload") == "yes"
    if (after != before or stale) and not check_mode:
        if after is None and before is not None:
            drop_in.remove(path)
        elif after is not None and after != before:
            drop_in.write(path, after)
        _reload(params["timeout"])
    return {
        "changed": after != before or stale,
        "before": before and {"label": before.label, "incident": before.incident},
        "in_force": before and drop_in.in_force(systemctl.main_pid(shown), before.environment),
        "path": path,
        "diff": {"before": _for_people(before), "after": _for_people(after), "before_header": path},
    }


def _for_people(made: "drop_in.MoreEnvironment | None") -> str:
    """The file without what its reader must not know."""
    if made is None:
        return ""
    shown = {name: "********" if is_secret_name(name) else value for name, value in made.environment.items()}
    return drop_in.render(replace(made, environment=shown))


def _reload(timeout: float) -> None:
    complaint = command.run(["systemctl", "daemon-reload"], timeout).complaint()
    if complaint:
        raise Unread(f"systemd did not read the drop-in: {complaint}")


def _secret_values(environment: "dict[str, Any] | None") -> Iterator[str]:
    """Values that must not be seen in the task's output, its own arguments included."""
    for name, value in (environment or {}).items():
        if is_secret_name(str(name)):
            yield str(value)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **guard.argument_spec(),
            "unit": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent", "queried"], "required": True},
            "label": {"type": "str"},
            "environment": {"type": "dict"},
            "incident": {"type": "str"},
            "timeout": {"type": "float", "default": 30.0},
        },
        required_if=[("state", "present", ["label", "environment"])],
        supports_check_mode=True,
    )
    module.no_log_values.update(filter(None, _secret_values(module.params["environment"])))
    host_lock.at_work()
    guard.require(module)
    try:
        result = change(module.params, module.check_mode)
    except drop_in.ForeignError as error:
        module.fail_json(
            msg=f"Refused, nothing was changed by this step: the drop-in of {module.params['unit']}: {error}"
        )
    except (OSError, Unread, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
