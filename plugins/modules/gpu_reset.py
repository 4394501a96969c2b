#!/usr/bin/python

# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: gpu_reset
short_description: Reset NVIDIA GPUs by nvidia-smi, or say why not
version_added: 0.2.0
description:
  - Resets GPUs that nobody uses any more, with all GPUs that have to be reset by the same command, and says what became
    of it. The playbook C(autoglm.recovery.reset_gpu) stops and starts the services around it.
  - It looks itself, each time. Whatever the reset depends on and could not be read is a refusal, whoever asks; so is a
    process on the GPU that is neither a declared service's nor a known monitoring agent's, which is named.
  - Refused with what to do instead are GPUs off the bus, a reboot that the driver asks for, MIG, vGPUs, GPUs that are
    passed through to a virtual machine with NVLink, and one that draws a screen.
  - Before the reset it stops known agents (C(nvidia-persistenced), C(nvidia-dcgm), exporters) by their units, switches
    persistence mode off, and looks once more who is there. Afterwards all of that is put back, on the failing path
    too. The fabric manager is not touched.
  - A reset that does not come back within O(reset_timeout) hangs. Then nothing more is asked of the driver, and until
    the host has been rebooted no other reset goes on top of it.
  - What was stopped and switched off is noted on the host before the first change, so that the run after one that was
    killed puts it back.
  - A line before and one after each reset goes to the system's log, with UUIDs and outcome.
author:
  - autoglm.recovery maintainers (@autoglm)
extends_documentation_fragment:
  - autoglm.recovery.attributes
  - autoglm.recovery.attributes.action_group
  - autoglm.recovery.gpu
attributes:
  action_group:
    membership: [autoglm.recovery.gpu, autoglm.recovery.recovery]
  check_mode:
    support: full
  diff_mode:
    support: partial
    details:
      - Says what would be stopped and reset, or put back.
  idempotent:
    support: partial
    details:
      - O(state=reset) always resets. With O(recommended_only) it refuses a GPU that is well.
requirements:
  - root, and C(nvidia-smi).
  - The Python package C(nvidia-ml-py).
options:
  state:
    description:
      - V(planned) changes nothing and returns what a reset would take.
      - V(prepared) notes the services and agents that hold the GPUs, before anybody stops them.
      - V(reset) resets. The services have to be stopped already.
      - V(restored) puts back what the note of a run says, and removes the note.
    type: str
    choices: [planned, prepared, reset, restored]
    required: true
  gpus:
    description:
      - The GPUs, by UUID or PCI address. Needed but for O(state=restored).
      - With O(state=reset) by UUID, and all of those that have to be reset together, as O(state=planned) returned them.
    type: list
    elements: str
    default: []
  services:
    description:
      - The declared services of this host. Their processes are no strangers on a GPU.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - Its name, for people and for the playbook.
        type: str
        required: true
      unit:
        description:
          - Its systemd unit.
        type: str
      container:
        description:
          - Its container.
        type: str
      container_runtime:
        description:
          - What runs the container.
        type: str
        choices: [podman, docker]
      pid_file:
        description:
          - Its PID file.
        type: path
  recommended_only:
    description:
      - Whether a reset that the reading of M(autoglm.recovery.gpu_health) does not recommend is refused. A GPU that is
        well is then left alone.
      - V(false) is for a person who knows better. What could not be read is refused all the same.
    type: bool
    default: true
  executable:
    description:
      - The program C(nvidia-smi).
    type: str
    default: nvidia-smi
  reset_timeout:
    description:
      - Seconds for each call of O(executable), after which it hangs.
    type: float
    default: 120.0
  back_timeout:
    description:
      - Seconds until a GPU has to answer again after its reset.
    type: float
    default: 60.0
  note:
    description:
      - The file of the note, in a directory that only root can change.
    type: path
    default: /var/lib/autoglm/gpu-reset/note.json
seealso:
  - module: autoglm.recovery.gpu_health
"""

EXAMPLES = r"""
- name: Say what a reset of a GPU would take
  autoglm.recovery.gpu_reset:
    gpus: [GPU-00000000-0000-4000-8000-000000000003]
    services:
      - name: chat
        unit: vllm.service
    state: planned
  register: planned

- name: Reset it, when nobody uses it any more
  autoglm.recovery.gpu_reset:
    gpus: "{{ planned.plan.gpus | map(attribute='uuid') | list }}"
    services:
      - name: chat
        unit: vllm.service
    state: reset
"""

RETURN = r"""
outcome:
  description:
    - V(not_needed) where the GPUs are well and O(recommended_only), V(planned) where nothing was done yet, V(restored).
    - V(done), where nvidia-smi has reset all of them and they answer again; V(refused), where none was touched;
      V(failed), where nobody knows what became of them; V(hung).
    - The last three fail the task.
  type: str
  returned: always
  sample: done
words:
  description: Why, and what nvidia-smi said.
  type: str
  returned: always
  sample: "GPU 00000000:0B:00.0 was successfully reset. All done."
plan:
  description: What the reset takes. Null where none was planned.
  type: dict
  returned: always
  contains:
    gpus:
      description: The GPUs that go together, as they were before.
      type: list
      elements: dict
      sample:
        - {"name": "GPU 0 (0000:0b:00.0)", "pci": "0000:0b:00.0", "persistence": true, "power_limit_mw": 700000,
           "uuid": "GPU-00000000-0000-4000-8000-000000000000"}
    services:
      description: The declared services that hold one of them.
      type: list
      elements: str
      sample: [chat]
    agents:
      description: The units that are stopped for it, in this order.
      type: list
      elements: str
      sample: [nvidia-persistenced.service]
    warnings:
      description: What may keep the reset from going through.
      type: list
      elements: str
      sample: []
left:
  description: What could not be put back as it was before.
  type: list
  elements: str
  returned: always
  sample: []
left_down:
  description: The services that a run before has stopped and not started again.
  type: list
  elements: str
  returned: always
  sample: []
reset_at:
  description: When the GPUs had been reset, in seconds since the epoch. Null where none was touched.
  type: float
  returned: always
  sample: 1796054400.5
"""

from ansible_collections.autoglm.recovery.plugins.module_utils import minimum_python

minimum_python.check()  # before what an older Python cannot import

# isort: split
from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.examine import ExamineOptions
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.judging.expectations import Expectations
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.reading.arguments import gpu_arguments
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.resetting import note, operation, smi
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.resetting.hands import Hands
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.resetting.plan import Refused
from ansible_collections.autoglm.recovery.plugins.module_utils.locks import host_lock

_FAILED = (smi.REFUSED, smi.FAILED, smi.HUNG)


def argument_spec() -> dict[str, Any]:
    service = {
        "name": {"type": "str", "required": True},
        "unit": {"type": "str"},
        "container": {"type": "str"},
        "container_runtime": {"type": "str", "choices": ["podman", "docker"]},
        "pid_file": {"type": "path"},
    }
    return {
        **gpu_arguments(),
        "state": {"type": "str", "choices": ["planned", "prepared", "reset", "restored"], "required": True},
        "gpus": {"type": "list", "elements": "str", "default": []},
        "services": {"type": "list", "elements": "dict", "default": [], "options": service},
        "recommended_only": {"type": "bool", "default": True},
        "executable": {"type": "str", "default": "nvidia-smi"},
        "reset_timeout": {"type": "float", "default": 120.0},
        "back_timeout": {"type": "float", "default": 60.0},
        "note": {"type": "path", "default": note.PATH},
    }


def act(params: dict[str, Any], check_mode: bool) -> operation.ResetReport:
    """Do what is asked. Raises Refused, and ValueError for options that cannot be."""
    for name in ("reset_timeout", "back_timeout"):
        if not 0 < params[name] < float("inf"):
            raise ValueError(f"{name} must be a number of seconds above 0")
    hands = Hands(_looking(params), tuple(params["services"]), params["executable"], params["reset_timeout"])
    asked = operation.ResetRequest(
        tuple(params["gpus"]), params["recommended_only"], params["back_timeout"], params["note"]
    )
    if params["state"] == "planned":
        return operation.look_and_plan(hands, asked)
    work = {"prepared": operation.prepare, "reset": operation.reset, "restored": operation.restore}[params["state"]]
    return work(hands, asked, check_mode)


def _looking(params: dict[str, Any]) -> ExamineOptions:
    return ExamineOptions(
        library=params["nvml_library"],
        device_timeout=params["device_timeout"],
        total_timeout=params["total_timeout"],
        expected=Expectations(gpus=params["expected_gpus"]),
        kernel_lines=params["kernel_lines"],
        kernel_window=params["kernel_window"],
        command_timeout=params["timeout"],
    )


def _document(report: operation.ResetReport, state: str) -> dict[str, Any]:
    told = asdict(report)
    plan = report.plan
    steps = []
    if plan is not None and report.changed:
        steps = [f"{unit}: stopped" for unit in plan.agents] + [f"{uuid}: reset" for uuid in plan.uuids]
        if state == "prepared":
            steps = [f"{name}: noted" for name in (*plan.services, *plan.agents)]
    told["diff"] = {"before": "", "after": "".join(f"{step}\n" for step in steps)}
    return told


def main() -> None:
    module = AnsibleModule(
        argument_spec=argument_spec(),
        required_if=[("state", state, ["gpus"]) for state in ("planned", "prepared", "reset")],
        supports_check_mode=True,
    )
    host_lock.at_work()
    state = module.params["state"]
    nothing = operation.ResetReport(smi.REFUSED)
    try:
        report = act(module.params, module.check_mode)
    except Refused as refused:
        nothing.words = str(refused)
        module.fail_json(msg=f"Refused, nothing was changed by this step: {refused}", **_document(nothing, state))
    except ValueError as error:
        module.fail_json(msg=str(error), **_document(nothing, state))
    if report.outcome in _FAILED:
        left = f" Left: {'; '.join(report.left)}." if report.left else ""
        module.fail_json(msg=f"The reset is {report.outcome}: {report.words}{left}", **_document(report, state))
    module.exit_json(**_document(report, state))


if __name__ == "__main__":
    main()
