#!/usr/bin/python

# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: nvlink_check
short_description: Judge NVLink, the NVSwitch fabric and network ports by rates and expectation
version_added: 0.1.0
description:
  - Reads every NVLink of every GPU through NVML. The number of links comes from the device. For each link there is its
    state, its other end, its error counters with their growth, and from NVLink 5 on its bit error rates and its history
    of corrected errors.
  - Reads the fabric's state with its health mask field by field, the fabric manager's service, recent NVSwitch errors
    (SXid) and NVLink errors (Xid 74 and 144 to 150) in the kernel's log, and InfiniBand and RoCE ports.
  - Counters are judged by how much they grew, against a baseline that is kept on the host for each boot and each load
    of the driver. What a counter stands at says nothing, because it may have stood there for a year.
  - A link that is not up is not a fault of itself, since NVML does not tell a broken link from one that is not used.
    It is one if O(expected_links) says so, if it was up since the driver was loaded, or if GPUs of the same model on
    this host have more links up. Where none of these can tell, the verdict is V(unknown).
  - The verdict is V(healthy) only when everything that had to be read was read, and was good.
  - NVML is asked in a process of its own under a deadline, so that a hung driver does not hang the play.
author:
  - autoglm.recovery maintainers (@autoglm)
extends_documentation_fragment:
  - autoglm.recovery.attributes
  - autoglm.recovery.attributes.action_group
  - autoglm.recovery.gpu
  - autoglm.recovery.verdict
attributes:
  action_group:
    membership: [autoglm.recovery.gpu, autoglm.recovery.recovery, autoglm.recovery.verdict]
  check_mode:
    support: full
    details:
      - Reads and judges the same. The baseline is not written.
  diff_mode:
    support: N/A
    details:
      - The only thing that is written is the baseline, which is the module's own memory.
  idempotent:
    support: partial
    details:
      - The baseline is renewed without being reported as a change.
        Only O(reset_baseline=true) is reported as one, each time.
requirements:
  - The Python package C(nvidia-ml-py). Not the package named C(pynvml), which is an older one.
    Without it the verdict is V(unknown), with a warning.
options:
  expected_links:
    description:
      - How many NVLinks of each GPU have to be up. V(0) says that none is used.
      - Without it, links are compared with those of other GPUs and with the baseline.
    type: int
    aliases: [expected_nvlinks]
  expected_links_by_gpu:
    description:
      - The same for single GPUs, by index, UUID or PCI address (C(0000:3b:00.0)). Others follow O(expected_links).
    type: dict
    default: {}
  expected_ports:
    description:
      - InfiniBand or RoCE ports that have to be up, such as C(mlx5_0/1).
      - Other ports are a fault only if they were up since the driver was loaded, because many have no cable.
    type: list
    elements: str
    default: []
  link_rates:
    description:
      - Errors per hour and link above which a counter is a fault. Counters that are not given keep their defaults.
        A limit below zero switches its rule off.
      - The counters are C(replay) (V(60), from DCGM, which fails on one within its minute), C(recovery) (V(0), as
        DCGM), C(crc), C(crc_flit), C(crc_data) and C(ecc_data) (V(360000), from DCGM, to which CRC errors matter from
        100 a second on).
      - From NVLink 5 on they are C(malformed_packets), C(buffer_overruns), C(local_link_integrity_errors),
        C(link_recoveries), C(link_recoveries_successful) and C(link_recoveries_failed) (V(0)), C(receive_errors) and
        C(receive_general_errors) (V(60)).
      - C(receive_remote_errors), C(transmit_discards), C(effective_errors) and C(symbol_errors) are reported and not
        judged (V(-1)).
    type: dict
    default: {}
  port_rates:
    description:
      - Errors per hour and port above which a counter of an InfiniBand or RoCE port is a fault.
        The defaults are those of NVIDIA's NVSentinel.
      - C(link_downed), C(local_link_integrity_errors) and C(excessive_buffer_overrun_errors) (V(0)), C(symbol_error)
        (V(120)), C(link_error_recovery) (V(300)), C(port_rcv_errors) (V(36000)), C(port_xmit_discards) (V(360000)),
        C(port_rcv_remote_physical_errors) (not judged, V(-1)).
    type: dict
    default: {}
  ber_exponents:
    description:
      - A bit error rate that is worse than ten to the minus this is a fault. C(effective) is V(15), C(symbol) is V(12).
      - DCGM flags any effective error at all. V(254) does so here.
    type: dict
    default: {}
  window:
    description:
      - Seconds over which rates are taken, once the baseline is that old. It becomes twice as old at most.
      - What has passed is forgotten after that time. A repaired link is thus healthy again without anybody's doing.
    type: float
    default: 3600.0
  state_dir:
    description:
      - Directory of the baseline on the host.
    type: path
    default: /var/lib/autoglm/nvlink
  reset_baseline:
    description:
      - Whether to forget the baseline and begin a new one, after a repair or a change of cabling.
    type: bool
    default: false
  network_ports:
    description:
      - Whether to look at InfiniBand and RoCE ports.
    type: bool
    default: true
seealso:
  - module: autoglm.recovery.gpu_health
"""

EXAMPLES = r"""
- name: Judge NVLink on an HGX board
  autoglm.recovery.nvlink_check:
    expected_gpus: 8
    expected_links: 18
  register: nvlink

- name: A host with H100 PCIe cards, of which only two are bridged
  autoglm.recovery.nvlink_check:
    expected_links: 0
    expected_links_by_gpu:
      "0000:3b:00.0": 12
      "0000:5e:00.0": 12

- name: Be stricter about replays, demand the fabric's ports, and fail on anything that is not proven
  autoglm.recovery.nvlink_check:
    link_rates:
      replay: 0
    ber_exponents:
      effective: 254
    expected_ports: [mlx5_0/1, mlx5_1/1]
    fail_on: not_healthy

- name: Begin anew after a baseboard was replaced
  autoglm.recovery.nvlink_check:
    reset_baseline: true
"""

RETURN = r"""
verdict:
  description: V(healthy), V(unhealthy) or V(unknown).
  type: str
  returned: always
  sample: unhealthy
failure_class:
  description:
    - V(gpu_comm) for links, fabric and ports. V(gpu_lost) or V(gpu_fault) where a GPU is gone or needs a reset, which
      explains its links. Null when the verdict is V(healthy).
  type: str
  returned: always
  sample: gpu_comm
reasons:
  description: Why, one sentence each. Both ends of a bad link are named.
  type: list
  elements: str
  returned: always
  sample:
    - >-
      GPU 3 (0000:38:00.0): 17 of 18 NVLinks are up, expected are 18; not up: link 7 to switch 0000:c3:00.0
warnings_found:
  description: What is worth knowing and changes no verdict.
  type: list
  elements: str
  returned: always
  sample: []
recommended_action:
  description: The gravest action that anything asks for, C(call_person) for what is unknown. Null when there is none.
  type: str
  returned: always
  sample: switch_comm_path
nvlink:
  description: What was read.
  type: dict
  returned: always
  contains:
    gpus:
      description:
        - One entry for each GPU that NVML lists, in its order, with C(count) (links that the device has), C(up),
          C(fabric) (C(state), C(status), C(health), C(summary)), C(unread) (what could not be read and why) and
          C(links).
        - A link has C(state) (V(active), V(sleep), V(traffic_disabled), V(inactive), V(absent), null), C(version),
          C(speed_mbps), C(remote), C(remote_type), C(remote_link), C(counters), C(changes) (C(delta) and C(per_hour) of
          each counter), C(ber), C(fec_history) and C(unread).
      type: list
      elements: dict
    nvml:
      description: Whether NVML could be asked.
      type: dict
      sample: {"error": null, "state": "read"}
    driver_version:
      description: Version of the driver. Null where it was not read.
      type: str
      sample: 570.158.01
    switches:
      description: NVSwitches on the host's PCI bus. Null where the bus could not be read.
      type: int
      sample: 4
    fabric_manager:
      description: The fabric manager's service.
      type: dict
      sample: {"enabled": true, "error": null, "state": "active", "there": true}
    kernel:
      description: NVSwitch and NVLink errors of the kernel's log. Null when none were looked for.
      type: dict
      sample: {"error": null, "events": [], "source": "/dev/kmsg"}
    ports:
      description: InfiniBand and RoCE ports with their counters and changes. Null when they were not looked at.
      type: dict
      sample: {"error": null, "ports": []}
    baseline:
      description: What was compared with. C(seconds) is null when there was nothing to compare with.
      type: dict
      sample: {"note": null, "seconds": 3712.4}
    stuck:
      description: Threads in uninterruptible sleep in the driver.
      type: list
      elements: dict
"""

from ansible_collections.autoglm.recovery.plugins.module_utils import minimum_python

minimum_python.check()  # before what an older Python cannot import

# isort: split
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.judging.findings import summary
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.nvlink import baseline as nvlink_baseline
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.nvlink.limits import NvlinkLimits
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.nvlink.look import (
    DEFAULT_WINDOW,
    NvlinkOptions,
    NvlinkResult,
    look,
)
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.nvlink.verdict import ExpectedLinks
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.reading.arguments import gpu_arguments
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.reading.nvml import MISSING_PACKAGE, PACKAGE
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.reading.session import NvmlSession
from ansible_collections.autoglm.recovery.plugins.module_utils.health import ending
from ansible_collections.autoglm.recovery.plugins.module_utils.host.command import run
from ansible_collections.autoglm.recovery.plugins.module_utils.host.unread import Unread


def argument_spec() -> dict[str, Any]:
    return {
        **gpu_arguments(),
        "expected_links": {"type": "int", "aliases": ["expected_nvlinks"]},
        "expected_links_by_gpu": {"type": "dict", "default": {}},
        "expected_ports": {"type": "list", "elements": "str", "default": []},
        "link_rates": {"type": "dict", "default": {}},
        "port_rates": {"type": "dict", "default": {}},
        "ber_exponents": {"type": "dict", "default": {}},
        "window": {"type": "float", "default": DEFAULT_WINDOW},
        "state_dir": {"type": "path", "default": "/var/lib/autoglm/nvlink"},
        "reset_baseline": {"type": "bool", "default": False},
        "network_ports": {"type": "bool", "default": True},
        **ending.arguments(),
    }


def asked_for(params: dict[str, Any]) -> NvlinkOptions:
    """The options as one value. Raises ValueError for options that cannot be."""
    for name in ("window", "kernel_window", "timeout"):
        if not params[name] > 0:
            raise ValueError(f"{name} must be more than zero")
    return NvlinkOptions(
        state_dir=Path(params["state_dir"]),
        expected=_expected_links(params),
        limits=NvlinkLimits.of(params["link_rates"], params["port_rates"], params["ber_exponents"]),
        window=params["window"],
        command_timeout=params["timeout"],
        kernel_lines=params["kernel_lines"],
        kernel_window=params["kernel_window"],
        network_ports=params["network_ports"],
        reset_baseline=params["reset_baseline"],
    )


def _expected_links(params: dict[str, Any]) -> ExpectedLinks:
    by_gpu = {}
    for gpu, links in params["expected_links_by_gpu"].items():
        try:
            by_gpu[str(gpu)] = int(links)
        except (TypeError, ValueError):
            raise ValueError(f"expected_links_by_gpu: {gpu} has to be a number, not {links!r}") from None
    for name, value in [*by_gpu.items(), *((name, params[name]) for name in ("expected_gpus", "expected_links"))]:
        if value is not None and value < 0:
            raise ValueError(f"{name}: less than none cannot be expected")
    return ExpectedLinks(params["expected_links"], by_gpu, params["expected_gpus"], tuple(params["expected_ports"]))


def report(result: NvlinkResult) -> dict[str, Any]:
    """The keys of the module's result."""
    said = summary(result.findings)
    said["warnings_found"] = said.pop("warnings")  # Ansible has a key of that name for itself
    return {**said, "nvlink": result.facts}


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    params = module.params
    try:
        asked = asked_for(params)
        session = NvmlSession(params["nvml_library"], params["device_timeout"], params["total_timeout"])
    except (Unread, ValueError) as error:
        module.fail_json(msg=str(error))
    with session:
        result = look(session, asked, run)
    said = report(result)
    if result.kept is not None and not module.check_mode:
        try:
            nvlink_baseline.save(asked.state_dir, result.kept)
        except OSError as error:
            # The verdict stands without it; rates cannot be told the next time.
            said["warnings_found"].append(f"the baseline could not be kept in {asked.state_dir}: {error}")
    if (result.facts["nvml"]["error"] or {}).get("error") == MISSING_PACKAGE:
        module.warn(missing_required_lib(PACKAGE, reason="to read GPUs, of which nothing is known without it"))
    ending.end(module, said, changed=params["reset_baseline"] and result.kept is not None)


if __name__ == "__main__":
    main()
