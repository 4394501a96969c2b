#!/usr/bin/python

# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: gpu_health
short_description: Tell whether the NVIDIA GPUs of a host are all there and well
version_added: 0.1.0
description:
  - Reads every GPU through NVML, counts the GPUs on the PCI bus, in C(/dev) and in NVML, and looks at the kernel's log.
  - The verdict is V(healthy) only when everything that it needs was read of every GPU, and was good.
    Whatever could not be read makes it V(unknown), with NVML's error by name. That a GPU has no such thing is an
    answer.
  - NVML is asked in a process of its own, with a deadline for each GPU. A hung driver makes the verdict V(unknown) and
    never hangs the play; the GPUs that do answer are judged all the same. A probe that even SIGKILL does not end is
    left to the kernel, what it hangs at is not asked again while it is there, and no more than four are ever left.
  - Three witnesses are heard for each GPU (what the kernel logged, what the driver itself recommends, and the live
    counters) and the gravest action of them is recommended. The driver may raise the action and never lowers it.
  - Nothing is expected but what is said here, so that it runs without any option. Say in host variables what the host
    should have.
author:
  - autoglm.recovery maintainers (@autoglm)
extends_documentation_fragment:
  - autoglm.recovery.attributes
  - autoglm.recovery.attributes.action_group
  - autoglm.recovery.attributes.info_module
  - autoglm.recovery.gpu
  - autoglm.recovery.verdict
attributes:
  action_group:
    membership: [autoglm.recovery.gpu, autoglm.recovery.recovery, autoglm.recovery.verdict]
requirements:
  - The Python package C(nvidia-ml-py). Not the package named C(pynvml), which is an older one.
    Without it the verdict is V(unknown), with a warning.
options:
  expected_gpus:
    description:
      - How many GPUs NVML has to see. Without it, as many as the PCI bus has.
  expected_driver:
    description:
      - The version of the driver.
    type: str
  expected_persistence:
    description:
      - Whether persistence mode has to be on.
    type: bool
  expected_ecc:
    description:
      - Whether ECC has to be on.
    type: bool
  expected_mig:
    description:
      - The profiles of the MIG instances of each GPU, in any order. An empty list means that MIG has to be off.
    type: list
    elements: str
  expected_pcie_width:
    description:
      - How many lanes the PCIe link has to have. Without it, as many as the link is capable of, judged under load.
    type: int
  expected_pcie_generation:
    description:
      - The PCIe generation of the link under load. Without it, the one that the link is capable of.
        An idle link rests at a lower one, which is no fault.
    type: int
  expected_nvlinks:
    description:
      - How many NVLinks of each GPU have to be up. Without it, all or none.
        Give the number where links are disabled on purpose.
    type: int
  busy_percent:
    description:
      - The utilisation from which on a GPU is under load.
    type: int
    default: 10
  thresholds:
    description:
      - Values above which something is a fault, by the names that are listed in RV(snapshot), for all GPUs.
      - They may be set for temperatures (C(temperature_c), C(memory_temperature_c)), power (C(power_usage_mw)),
        counts of ECC errors, remapped rows and retired pages (C(retired_pages)), and counts of PCIe errors.
      - By default C(pcie_fatal_errors) has 0 and C(retired_pages) 60. A negative threshold is none.
    type: dict
    default: {}
  services:
    description:
      - The systemd units that use the GPUs of this host.
        A process of one that is not running is then told as holding memory after its service died.
    type: list
    elements: str
    default: []
  kernel_since:
    description:
      - Seconds since the epoch. What the kernel logged before does not count. Give the time of the last repair, when
        its success is to be verified.
    type: float
  overrides:
    description:
      - The fleet's own word on the kernel's codes, C(xid) and C(sxid), and on the kinds of its lines that carry no
        code, C(kind), each with C(failure_class), C(severity) and C(action).
    type: dict
    default: {}
seealso:
  - module: autoglm.recovery.inference_health
  - module: autoglm.recovery.clean_leftovers
"""

EXAMPLES = r"""
- name: Look at the GPUs of this host
  autoglm.recovery.gpu_health:
  register: gpus

- name: Look at them against what the inventory says
  autoglm.recovery.gpu_health:
    expected_gpus: "{{ gpu_count | default(omit) }}"
    expected_driver: "{{ gpu_driver | default(omit) }}"
    expected_pcie_width: 16
    expected_mig: []
    thresholds:
      temperature_c: 88
    overrides:
      xid:
        63: {"action": "reset_gpu", "failure_class": "gpu_fault"}
    services:
      - vllm.service
    fail_on: unhealthy

- name: Say what a reset of each bad GPU would disturb
  ansible.builtin.debug:
    msg: "{{ item.pci }}: {{ item.reasons | join('; ') }}; disturbed: {{ item.reset_would_disturb }}"
  loop: "{{ gpus.gpus | rejectattr('verdict', 'equalto', 'healthy') }}"
  loop_control:
    label: "{{ item.pci }}"
"""

RETURN = r"""
verdict:
  description: V(healthy), V(unhealthy) or V(unknown), of the host. No better than that of the worst GPU.
  type: str
  returned: always
  sample: unhealthy
failure_class:
  description: What kind of failure it is. Null when the verdict is V(healthy), V(unknown) where it cannot be told.
  type: str
  returned: always
  sample: gpu_fault
reasons:
  description: Why, one sentence each.
  type: list
  elements: str
  returned: always
  sample:
    - "GPU 3 (0000:5d:00.0): rows wait for a reset to be replaced"
warnings_found:
  description: What changes no verdict and is worth to be known.
  type: list
  elements: str
  returned: always
  sample:
    - "GPU 3 (0000:5d:00.0): 5 uncorrectable ECC errors in the life of the GPU"
recommended_action:
  description:
    - The gravest action that any witness asks for. Null when the verdict is V(healthy). Where something could not be
      read it is never graver than V(call_person).
  type: str
  returned: always
  sample: reset_gpu
presence:
  description:
    - How many GPUs are expected, on the PCI bus, in C(/dev) and in NVML (null where that could not be counted), and the
      addresses of those that NVML misses.
  type: dict
  returned: always
  sample: {"expected": 8, "missing": ["0000:5d:00.0"], "nodes": 8, "nvml": 7, "pci": 8}
gpus:
  description: The verdict on each GPU that NVML lists.
  type: list
  elements: dict
  returned: always
  contains:
    index:
      description: NVML's number of it, which moves when another one is lost.
      type: int
      sample: 3
    pci:
      description: Its PCI address. Null where it could not be told.
      type: str
      sample: "0000:5d:00.0"
    uuid:
      description: Its UUID. Null where it could not be read.
      type: str
      sample: GPU-00000000-0000-4000-8000-000000000003
    name:
      description: Its name. Null where it could not be read.
      type: str
      sample: NVIDIA H100 80GB HBM3
    verdict:
      description: As above, of this GPU.
      type: str
      sample: unhealthy
    failure_class:
      description: As above, of this GPU.
      type: str
      sample: gpu_fault
    recommended_action:
      description: As above, of this GPU.
      type: str
      sample: reset_gpu
    reasons:
      description: As above, of this GPU.
      type: list
      elements: str
      sample: ["rows wait for a reset to be replaced"]
    warnings:
      description: What changes no verdict.
      type: list
      elements: str
      sample: []
    rule:
      description: The rule that decided.
      type: str
      sample: "counter:remap_pending"
    witnesses:
      description: What each of the three says by itself. V(absent) is a witness that has nothing to say here.
      type: dict
      sample:
        catalogue:
          {"action": null, "failure_class": null, "reasons": [], "rule": null, "unread": [], "verdict": "healthy"}
    reset_would_disturb:
      description:
        - What a reset of the GPU would end, and what would keep it from going through.
        - C(holders) have a device file of the GPU open; C(driver_holders) have files of the driver open and none of a
          GPU, as monitoring agents do. C(unseen_processes) is how many processes may not be looked into, null where
          that is not known, as in a container.
        - C(persistence) and C(kernel_modules) hold a GPU without any process. An empty list of holders is no proof that
          a reset goes through.
        - C(nvlink_neighbours) are the GPUs that its NVLinks reach directly or through C(nvswitches); of these
          C(reset_together) have to be reset by the same command, which depends on the architecture and on whether the
          fabric manager runs. Where that cannot be told, all of them; null where the links themselves were not read.
        - C(mig_instances) end with it.
      type: dict
      sample:
        holders: [{"comm": "VLLM::Worker", "pid": 4711, "unit": "vllm.service"}]
        driver_holders: [{"comm": "nv-hostengine", "pid": 812, "unit": "nvidia-dcgm.service"}]
        unseen_processes: 0
        kernel_modules: ["nvidia_drm"]
        persistence: true
        mig_instances: []
        nvlink_neighbours: ["0000:1a:00.0"]
        reset_together: []
        nvswitches: ["0000:c0:00.0"]
kernel_events:
  description: The faults that the kernel logged within O(kernel_window), as C(autoglm kernel-events) tells them.
  type: list
  elements: dict
  returned: always
  sample: [{"age_seconds": 12.5, "kind": "xid", "pci": "0000:5d:00", "xid": 63}]
snapshot:
  description:
    - Everything that was read. C(gpus) has C(values) and, for each value that is null, why under C(errors);
      C(host) has what was read without NVML; C(stuck) the processes that the driver does not give back.
  type: dict
  returned: always
  sample: {"gpus": [], "host": {}, "nvml": {"state": "read"}, "schema": 1, "seconds": 0.12, "stuck": []}
"""

from ansible_collections.autoglm.recovery.plugins.module_utils import minimum_python

minimum_python.check()  # before what an older Python cannot import

# isort: split
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.examine import ExamineOptions, examine
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.judging.expectations import Expectations
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.reading.arguments import gpu_arguments
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.reading.nvml import MISSING_PACKAGE, PACKAGE
from ansible_collections.autoglm.recovery.plugins.module_utils.health import ending
from ansible_collections.autoglm.recovery.plugins.module_utils.host.unread import Unread


def argument_spec() -> dict[str, Any]:
    return {
        **gpu_arguments(),
        "expected_driver": {"type": "str"},
        "expected_persistence": {"type": "bool"},
        "expected_ecc": {"type": "bool"},
        "expected_mig": {"type": "list", "elements": "str"},
        "expected_pcie_width": {"type": "int"},
        "expected_pcie_generation": {"type": "int"},
        "expected_nvlinks": {"type": "int"},
        "busy_percent": {"type": "int", "default": 10},
        "thresholds": {"type": "dict", "default": {}},
        "services": {"type": "list", "elements": "str", "default": []},
        "kernel_since": {"type": "float"},
        "overrides": {"type": "dict", "default": {}},
        **ending.arguments(),
    }


def asked(params: dict[str, Any]) -> ExamineOptions:
    """What the options ask for. Raises ValueError for options that cannot be."""
    mig = params["expected_mig"]
    expected = Expectations(
        gpus=params["expected_gpus"],
        driver=params["expected_driver"],
        persistence=params["expected_persistence"],
        ecc=params["expected_ecc"],
        mig=None if mig is None else tuple(mig),
        pcie_width=params["expected_pcie_width"],
        pcie_generation=params["expected_pcie_generation"],
        nvlinks=params["expected_nvlinks"],
        busy_percent=params["busy_percent"],
        thresholds={name: _check_number(name, limit) for name, limit in params["thresholds"].items()},
    )
    return ExamineOptions(
        library=params["nvml_library"],
        device_timeout=params["device_timeout"],
        total_timeout=params["total_timeout"],
        expected=expected,
        services=tuple(params["services"]),
        kernel_lines=params["kernel_lines"],
        kernel_window=params["kernel_window"],
        kernel_since=params["kernel_since"],
        overrides=params["overrides"],
        command_timeout=params["timeout"],
    )


def _check_number(name: str, limit: object) -> float:
    try:
        return float(str(limit))
    except ValueError:
        raise ValueError(f"the threshold of {name} is {limit!r}, which is no number") from None


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    try:
        result = examine(asked(module.params))
    except (Unread, ValueError) as error:
        module.fail_json(msg=str(error))
    result["warnings_found"] = result.pop("warnings")  # Ansible shows and keeps a key "warnings" itself
    if (result["snapshot"]["nvml"]["error"] or {}).get("error") == MISSING_PACKAGE:
        module.warn(missing_required_lib(PACKAGE, reason="to read GPUs, of which nothing is known without it"))
    ending.end(module, result)


if __name__ == "__main__":
    main()
