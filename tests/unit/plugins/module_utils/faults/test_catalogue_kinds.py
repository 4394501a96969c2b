# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lines without a number mean, and that a fleet may say otherwise."""

from __future__ import annotations

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.faults.arbitration.by_catalogue import (
    NOT_OF_GPUS,
    about_gpus,
    judge_faults,
)
from ansible_collections.autoglm.recovery.plugins.module_utils.faults.catalogue.kinds import NAMED_KINDS, lookup_kind
from ansible_collections.autoglm.recovery.plugins.module_utils.faults.catalogue.numbers import FAULT_ACTIONS, SEVERITIES
from ansible_collections.autoglm.recovery.plugins.module_utils.faults.classes import FAILURE_CLASSES
from ansible_collections.autoglm.recovery.plugins.module_utils.faults.lines.reading import KINDS, parse_line

CODED = {"xid", "sxid", "sxid_detail", "gpu_off_bus_text", "gpu_off_bus_multiline", "aer_detail"}


def test_every_kind_that_is_a_fault_has_a_class_a_severity_and_a_reason() -> None:
    for kind in KINDS - CODED - (set(NOT_OF_GPUS) - NAMED_KINDS):
        entry = lookup_kind(kind)
        assert kind in NAMED_KINDS, kind
        assert entry.failure_class in FAILURE_CLASSES
        assert entry.severity in SEVERITIES
        assert entry.action in FAULT_ACTIONS
        assert entry.title


@pytest.mark.parametrize(
    ("line", "failure_class", "action"),
    [
        ("NVRM: GPU0 _kgspRpcRecvPoll: GSP RM heartbeat timed out", "gpu_fault", "reset_gpu"),
        ("NVRM: kfspPollForResponse_IMPL: FSP command timed out", "gpu_fault", "reset_gpu"),
        ("NVRM: krcWatchdog_IMPL: RC watchdog: GPU is probably locked!", "crash", "restart_process"),
        (
            "nvidia 0000:01:00.0: Unable to change power state from D3cold to D0, device inaccessible",
            "gpu_lost",
            "call_person",
        ),
        ("mlx5_core 0000:13:00.1 eth1: TX timeout detected", "gpu_comm", "observe"),
        ("NVRM: x: Assertion failed: x [NV_ERR_GPU_IS_LOST] (0x0000000F) returned", "gpu_lost", "reboot_node"),
        ("NVRM: x: Assertion failed: x [NV_ERR_RESET_REQUIRED] (0x00000062)", "gpu_fault", "reset_gpu"),
        ("amdgpu 0000:c1:00.0: GPU reset(2) failed", "gpu_fault", "reboot_node"),
        ("amdgpu 0000:c1:00.0: [drm] device wedged, needs recovery", "gpu_fault", "reboot_node"),
        ("amdgpu 0000:c1:00.0: ring gfx_0.0.0 timeout, signaled seq=1, emitted seq=3", "gpu_fault", "observe"),
        ("NVRM: Xid (PCI:?): 79", "unknown", "call_person"),
    ],
)  # fmt: skip
def test_what_a_line_about_gpus_means(line: str, failure_class: str, action: str) -> None:
    (finding,) = judge_faults([parse_line(line)])
    assert (finding.failure_class, finding.action) == (failure_class, action)


def test_a_line_that_could_not_be_read_speaks_of_gpus_only_if_the_driver_wrote_it() -> None:
    assert about_gpus(parse_line("NVRM: Xid (PCI:?): 79"))
    assert not about_gpus(parse_line("[1.0] oom-kill:constraint="))


def test_a_fleet_has_its_own_word_on_a_kind() -> None:
    own = {"kind": {"pcie_link_down": {"failure_class": "gpu_lost", "action": "reboot_node", "severity": "critical"}}}
    line = parse_line("pcieport 0000:c0:01.1: pciehp: Slot(12): Link Down")
    (finding,) = judge_faults([line], overrides=own)
    assert (finding.rule, finding.action) == ("policy:kernel:pcie_link_down", "reboot_node")
    with pytest.raises(ValueError, match="override of kind rcu_stall"):
        lookup_kind("rcu_stall", overrides={"kind": {"rcu_stall": {"action": "explode"}}})
