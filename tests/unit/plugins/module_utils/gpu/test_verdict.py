# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict as a table: one line for each rule; and that nothing unread is ever healthy."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.judging.bombs import BOMBS
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.judging.expectations import Expectations
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.judging.holders import GpuUnit, ProcessOwner
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.judging.kernel import KernelSeen
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.judging.readable import REQUIRED
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.judging.verdict import Surroundings, assess
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.reading.device_files import Holders
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

KINDS = ("not_supported", "missing", "unreadable", "lost", "reset_required", "hung", "not_read")
MIG = [{"index": 0, "name": "NVIDIA H100 MIG 3g.40gb"}, {"index": 1, "name": "NVIDIA H100 MIG 3g.40gb"}]
TWO_LINKS = [{"link": n, "up": n == 0, "remote": None, "remote_type": None} for n in range(2)]
BUSY = {"utilization_percent": 95, "clock_reasons": 0}


def judge(snapshot: dict[str, Any], around: Surroundings | None = None, **expected: Any) -> dict[str, Any]:
    return assess(snapshot, Expectations(**expected), around or Surroundings())


@pytest.mark.parametrize(
    ("values", "expected", "failure_class", "action"),
    [
        ({"ecc_volatile_uncorrected": 1}, {}, "gpu_fault", "reset_gpu"),
        ({"remap_pending": True}, {}, "gpu_fault", "reset_gpu"),
        ({"remap_failure": True}, {}, "gpu_fault", "quarantine_node"),
        ({"retired_pending": True}, {}, "gpu_fault", "reset_gpu"),
        ({"retired_corrected": 40, "retired_uncorrected": 21}, {}, "gpu_fault", "quarantine_node"),
        ({"sram_threshold_exceeded": True}, {}, "gpu_fault", "quarantine_node"),
        ({"recovery_action": 1}, {}, "gpu_fault", "reset_gpu"),
        ({"recovery_action": 2}, {}, None, "reboot_node"),
        ({"reset_status": 1}, {}, "gpu_fault", "reset_gpu"),
        ({"pcie_fatal_errors": 1}, {}, "gpu_fault", "reset_gpu"),
        ({"clock_reasons": 0x08}, {}, "thermal", "shed_load"),
        ({"clock_reasons": 0x40}, {}, "thermal", "shed_load"),
        ({"clock_reasons": 0x80}, {}, "thermal", "shed_load"),
        ({"temperature_c": 90}, {}, "thermal", "shed_load"),
        ({"temperature_c": 86}, {"thresholds": {"temperature_c": 85}}, "thermal", "shed_load"),
        ({"pcie_replay": 11}, {"thresholds": {"pcie_replay": 10}}, "gpu_fault", "reset_gpu"),
        ({**BUSY, "pcie_generation": 3}, {}, "gpu_fault", "reset_gpu"),
        ({**BUSY, "pcie_width": 8}, {}, "gpu_fault", "reset_gpu"),
        ({"pcie_width": 8, "pcie_width_max": 8}, {"pcie_width": 16}, "gpu_fault", "reset_gpu"),
        ({"pcie_generation_max": 4}, {"pcie_generation": 5}, "gpu_fault", "reset_gpu"),
        ({"utilization_percent": None, "clock_reasons": 0, "pcie_width": 4}, {}, "gpu_fault", "reset_gpu"),
        ({"nvlinks": TWO_LINKS}, {}, "gpu_comm", "switch_comm_path"),
        ({"nvlinks": []}, {"nvlinks": 18}, "gpu_comm", "switch_comm_path"),
        ({"persistence": False}, {"persistence": True}, "unknown", "call_person"),
        ({"ecc_enabled": False, "ecc_pending": False}, {"ecc": True}, "unknown", "call_person"),
        ({"mig_enabled": True, "mig_pending": True, "mig_devices": MIG}, {"mig": ()}, "unknown", "call_person"),
        ({}, {"mig": ("3g.40gb",)}, "unknown", "call_person"),
        ({}, {"driver": "580.1.2"}, "unknown", "call_person"),
        ({}, {"gpus": 2}, "gpu_lost", "reboot_node"),
    ],
)
def test_unhealthy(well, values: dict, expected: dict, failure_class: str | None, action: str) -> None:
    result = judge(well(**values), **expected)
    assert result["verdict"] == "unhealthy", result
    assert result["reasons"]
    assert failure_class is None or result["failure_class"] == failure_class
    assert result["recommended_action"] == action


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, {}),
        ({"clock_reasons": 0x1 | 0x2 | 0x4 | 0x10 | 0x100}, {}),
        ({"pcie_generation": 1}, {}),
        ({"pcie_generation": 1}, {"pcie_generation": 5}),
        ({"pcie_width": 8}, {"pcie_width": 16}),
        ({**BUSY, "pcie_generation": 4}, {"pcie_generation": 4}),
        ({"nvlinks": [{**one, "up": False} for one in TWO_LINKS]}, {}),
        ({"nvlinks": TWO_LINKS}, {"nvlinks": 1}),
        ({"pcie_fatal_errors": 9}, {"thresholds": {"pcie_fatal_errors": -1}}),
        ({"mig_enabled": True, "mig_pending": True, "mig_devices": MIG}, {"mig": ("3g.40gb", "3g.40gb")}),
        ({}, {"mig": (), "persistence": True, "ecc": True, "driver": "570.158.01", "gpus": 1}),
        ({"ecc_aggregate_uncorrected": 3}, {}),
    ],
)
def test_healthy(well, values: dict, expected: dict) -> None:
    result = judge(well(**values), **expected)
    assert (result["verdict"], result["failure_class"], result["recommended_action"]) == ("healthy", None, None), result


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"ecc_aggregate_uncorrected": 3}, "in the life of the GPU"),
        ({"remap_banks_none": 2}, "no spare row"),
        ({"pcie_non_fatal_errors": 2}, "non-fatal PCIe"),
        ({"mig_pending": True}, "with the next GPU reset"),
    ],
)
def test_warnings(well, values: dict, words: str) -> None:
    result = judge(well(**values))
    assert result["verdict"] == "healthy"
    assert words in result["warnings"][0]


@pytest.mark.parametrize(
    ("part", "value", "verdict", "failure_class"),
    [
        ("pci", [], "healthy", None),  # inside of a container the bus may be hidden
        ("pci", [{"pci": "0000:99:00.0", "driver": "nvidia", "answers": True, "minor": 1}], "unhealthy", "gpu_lost"),
        ("pci", [{"pci": "0000:99:00.0", "driver": None, "answers": True, "minor": None}], "unhealthy", "gpu_lost"),
        ("pci", [{"pci": "0000:99:00.0", "driver": "vfio-pci", "answers": True, "minor": None}], "healthy", None),
        ("pci", [{"pci": "0000:0b:00.0", "driver": "nvidia", "answers": False, "minor": 0}], "unhealthy", "gpu_lost"),
        ("pci", None, "unknown", "unknown"),
        ("nodes", [], "healthy", None),
    ],
)
def test_presence(well, part: str, value: Any, verdict: str, failure_class: str | None) -> None:
    snapshot = well()
    snapshot["host"][part] = {"value": value, "error": "no" if value is None else None}
    result = judge(snapshot)
    assert (result["verdict"], result["failure_class"]) == (verdict, failure_class)


@pytest.mark.parametrize(
    ("expected", "on_bus", "verdict"),
    [(None, False, "unknown"), (0, False, "healthy"), (8, False, "unhealthy"), (None, True, "unhealthy")],
)
def test_no_gpu_at_all(well, expected: int | None, on_bus: bool, verdict: str) -> None:
    snapshot = well()
    snapshot["gpus"] = []
    if not on_bus:
        snapshot["host"]["pci"]["value"] = []
    assert judge(snapshot, gpus=expected)["verdict"] == verdict


@pytest.mark.parametrize(
    ("state", "error", "verdict", "failure_class"),
    [
        ("unread", "NVML_ERROR_LIB_RM_VERSION_MISMATCH", "unhealthy", "gpu_lost"),
        ("unread", "NVML_ERROR_DRIVER_NOT_LOADED", "unhealthy", "gpu_lost"),
        ("unread", "NVML_ERROR_LIBRARY_NOT_FOUND", "unknown", "unknown"),
        ("unread", "NVML_ERROR_UNKNOWN", "unknown", "gpu_lost"),
        ("unread", "pynvml_missing", "unknown", "unknown"),
        ("hung", "hung", "unknown", "gpu_lost"),
    ],
)
def test_nvml_as_a_whole(well, state: str, error: str, verdict: str, failure_class: str) -> None:
    snapshot = well()
    snapshot["gpus"] = []
    snapshot["nvml"] = {
        "state": state,
        "error": {"error": error, "kind": "unreadable", "text": "so"},
        "values": {},
        "errors": {},
    }
    result = judge(snapshot)
    assert (result["verdict"], result["failure_class"]) == (verdict, failure_class)
    assert result["recommended_action"] in ("reboot_node", "call_person")


@pytest.mark.parametrize(
    ("owner", "services", "verdict", "failure_class"),
    [
        (ProcessOwner(7, True, "vllm", ("/system.slice/vllm.service",)), (), "healthy", None),
        (ProcessOwner(7, False), (), "unhealthy", "gpu_fault"),
        (ProcessOwner(7, True, "vllm", ("/system.slice/vllm.service",)), ("active",), "healthy", None),
        (ProcessOwner(7, True, "vllm", ("/system.slice/vllm.service/x",)), ("failed",), "unhealthy", "crash"),
        (ProcessOwner(7, True, "vllm", ("/system.slice/vllm.service",)), (None,), "unknown", "unknown"),
        (ProcessOwner(7, True, "sh", ("/user.slice",)), ("active",), "healthy", None),
        (None, (), "healthy", None),
        (None, ("active",), "unknown", "unknown"),
    ],
)
def test_whose_memory(
    well, owner: ProcessOwner | None, services: tuple, verdict: str, failure_class: str | None
) -> None:
    snapshot = well(processes_compute=[{"pid": 7, "used_bytes": 2**30, "gi": None, "ci": None}])
    group = "/system.slice/vllm.service"
    known = tuple(
        GpuUnit("vllm.service", None if state is None else state == "active", group, str(state)) for state in services
    )
    around = Surroundings(services=known, owners=None if owner is None else {7: owner})
    result = judge(snapshot, around)
    assert (result["verdict"], result["failure_class"]) == (verdict, failure_class), result["reasons"]


def xid(code: int, pci: str = "0000:0b:00") -> dict[str, Any]:
    return {"kind": "xid", "xid": code, "pci": pci, "known": True, "age_seconds": 1.0}


@pytest.mark.parametrize(
    ("event", "verdict"),
    [
        (xid(79), "unhealthy"),
        (xid(79, "0000:99:00"), "unhealthy"),
        (xid(95), "unhealthy"),
        (xid(9999), "unknown"),
        (xid(63), "healthy"),
        ({"kind": "gpu_off_bus_text", "pci": "0000:0b:00"}, "unhealthy"),
        ({"kind": "driver_mismatch"}, "unknown"),
    ],
)
def test_kernel_events(well, event: dict, verdict: str) -> None:
    result = judge(well(), Surroundings(kernel=KernelSeen((event,), "/dev/kmsg")))
    assert result["verdict"] == verdict, result["reasons"]


def test_the_fleets_own_word_on_a_code(well) -> None:
    own = {"xid": {"63": {"action": "reset_gpu", "failure_class": "gpu_fault"}}}
    result = judge(well(), Surroundings(kernel=KernelSeen((xid(63),), "/dev/kmsg"), overrides=own))
    assert (result["verdict"], result["recommended_action"]) == ("unhealthy", "reset_gpu")


@pytest.mark.parametrize(("required", "verdict"), [(False, "healthy"), (True, "unknown")])
def test_a_kernel_log_that_cannot_be_read(well, required: bool, verdict: str) -> None:
    around = Surroundings(kernel=KernelSeen(error="Operation not permitted"), kernel_required=required)
    result = judge(well(), around)
    assert result["verdict"] == verdict
    assert "Operation not permitted" in " ".join(result["reasons"] + result["warnings"])
    assert result["gpus"][0]["witnesses"]["catalogue"]["verdict"] != "healthy"


@pytest.mark.parametrize(
    ("days", "driver", "name", "told"),
    [
        (67, "570.133.20", "NVIDIA B200", True),
        (61, "570.133.20", "NVIDIA B200", True),
        (10, "570.133.20", "NVIDIA B200", False),
        (67, "570.158.01", "NVIDIA B200", False),
        (67, "570.133.20", "NVIDIA A100", False),
        (67, "570.133.20", None, True),
    ],
)
def test_time_bombs(well, days: int, driver: str, name: str | None, told: bool) -> None:
    snapshot = well(name=name)
    snapshot["host"]["uptime_seconds"]["value"] = days * 86400.0
    snapshot["nvml"]["values"]["driver_version"] = driver
    result = judge(snapshot)
    assert any(BOMBS[0].source in words for words in result["warnings"]) is told
    assert result["verdict"] == "healthy"


def test_what_a_reset_would_disturb(well) -> None:
    snapshot = well()
    other = {**snapshot["gpus"][0], "index": 1, "values": {**snapshot["gpus"][0]["values"], "pci": "0000:1a:00.0"}}
    snapshot["gpus"].append(other)
    holder = {"pid": 5, "comm": "VLLM::Worker", "unit": "vllm.service"}
    daemon = {"pid": 7, "comm": "nv-hostengine", "unit": "nvidia-dcgm.service"}
    held = Holders({0: [holder], 9: [{"pid": 6}]}, {"0000:0b:00.0": [holder]}, (daemon,), 3, ())
    around = Surroundings(holders=held)
    disturbed = judge(snapshot, around, gpus=2)["gpus"][0]["reset_would_disturb"]
    assert (disturbed["holders"], disturbed["driver_holders"]) == ([holder], [daemon])
    assert (disturbed["unseen_processes"], disturbed["kernel_modules"]) == (3, [])
    assert disturbed["persistence"] is True, "which alone may keep a reset from going through"
    assert (disturbed["nvswitches"], disturbed["nvlink_neighbours"]) == (["0000:c0:00.0"], ["0000:1a:00.0"])


@pytest.mark.parametrize(
    ("architecture", "switched", "fabric_manager", "together"),
    [
        (9, True, True, False),  # Hopper, and what comes after it
        (10, True, True, False),
        (9, True, False, True),  # the manual's table against its text
        (9, True, None, True),
        (7, True, True, False),  # A100
        (7, True, False, True),
        (7, False, None, False),
        (5, True, True, True),  # V100
        (5, False, None, True),
        (None, False, None, True),
        (0xFFFFFFFF, False, None, True),
    ],
)
def test_which_gpus_are_reset_by_one_command(well, architecture, switched, fabric_manager, together) -> None:
    snapshot = well(architecture=architecture)
    values = snapshot["gpus"][0]["values"]
    other = {**snapshot["gpus"][0], "index": 1, "values": {**values, "pci": "0000:1a:00.0"}}
    snapshot["gpus"].append(other)
    if not switched:
        values["nvlinks"] = [{**one, "remote": "0000:1a:00.0", "remote_type": "gpu"} for one in values["nvlinks"]]
    around = Surroundings(fabric_manager=fabric_manager)
    disturbed = judge(snapshot, around, gpus=2)["gpus"][0]["reset_would_disturb"]
    assert disturbed["nvlink_neighbours"] == ["0000:1a:00.0"]
    assert disturbed["reset_together"] == (["0000:1a:00.0"] if together else [])


@pytest.mark.parametrize(
    ("of", "links", "error"),
    [
        (0, None, {"kind": "unreadable", "error": "NVML_ERROR_UNKNOWN", "text": ""}),
        (1, None, {"kind": "unreadable", "error": "NVML_ERROR_UNKNOWN", "text": ""}),  # it may be a neighbour
        (0, [{"link": 0, "up": True, "remote": None, "remote_type": None}], None),
        (0, [{"link": 0, "up": None, "remote": None, "remote_type": None}], None),
    ],
)
def test_links_that_were_not_read_are_no_word_that_a_gpu_is_reset_alone(well, of, links, error) -> None:
    snapshot = well(architecture=9)
    snapshot["gpus"].append(copy.deepcopy({**snapshot["gpus"][0], "index": 1}))
    snapshot["gpus"][of]["values"]["nvlinks"] = links
    snapshot["gpus"][of]["errors"] = {"nvlinks": error} if error else {}
    around = Surroundings(fabric_manager=True)
    assert judge(snapshot, around, gpus=2)["gpus"][0]["reset_would_disturb"]["reset_together"] is None


@pytest.mark.parametrize("links", [None, [], [{"link": 0, "up": False, "remote": None, "remote_type": None}]])
def test_a_gpu_without_links_is_reset_alone(well, links) -> None:
    snapshot = well(architecture=8, nvlinks=links)
    snapshot["gpus"][0]["errors"] = (
        {} if links is not None else {"nvlinks": {"kind": "not_supported", "error": "", "text": ""}}
    )
    assert judge(snapshot)["gpus"][0]["reset_would_disturb"]["reset_together"] == []


def test_a_gpu_off_the_bus_is_not_reset_whatever_the_driver_says(well) -> None:
    snapshot = well(recovery_action=1)
    snapshot["host"]["pci"]["value"][0]["answers"] = False
    result = judge(snapshot)
    gpu = result["gpus"][0]
    assert (gpu["failure_class"], gpu["recommended_action"]) == ("gpu_lost", "reboot_node")
    assert (result["failure_class"], result["recommended_action"]) == ("gpu_lost", "reboot_node")
    assert sum("off the bus" in reason for reason in result["reasons"]) == 1


def test_the_gravest_of_three_witnesses_is_recommended(well) -> None:
    around = Surroundings(kernel=KernelSeen((xid(95),), "/dev/kmsg"))
    gpu = judge(well(recovery_action=2, remap_pending=True), around)["gpus"][0]
    assert gpu["recommended_action"] == "reboot_node"
    assert set(gpu["witnesses"]) == {"catalogue", "driver", "counters"}
    assert gpu["witnesses"]["counters"]["action"] == "reset_gpu"
    assert gpu["rule"].startswith("driver:")


@pytest.mark.parametrize("expectations", [{"thresholds": {"temprature": 1}}, {"gpus": -1}])
def test_expectations_that_cannot_be(expectations: dict) -> None:
    with pytest.raises(ValueError, match=r"threshold|less than 0"):
        Expectations(**expectations).check()


def unread(snapshot: dict[str, Any], name: str, kind: str) -> None:
    gpu = snapshot["gpus"][0]
    gpu["values"][name] = None
    gpu["errors"][name] = {"error": f"NVML_{kind.upper()}", "kind": kind, "text": ""}


@pytest.mark.parametrize(("name", "kind"), list(itertools.product(REQUIRED, KINDS)))
def test_each_required_value_that_is_unread(well, name: str, kind: str) -> None:
    snapshot = well()
    unread(snapshot, name, kind)
    healthy = judge(snapshot)["verdict"] == "healthy"
    # The address is also what tells the three counts apart; nothing allowed is missing there.
    assert healthy == (kind in REQUIRED[name]), (name, kind)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    wrong=st.dictionaries(st.sampled_from(sorted(REQUIRED)), st.sampled_from(KINDS), min_size=1),
    right=st.sampled_from(["pci", "uuid", "temperature_c", "memory_total_bytes"]),
    state=st.sampled_from(["read", "read", "read", "lost", "reset_required", "hung", "unread"]),
)
def test_no_combination_of_errors_is_healthy(well, wrong: dict[str, str], right: str, state: str) -> None:
    """One value that every GPU must have stays unread, whatever else does; or the GPU's state is not read."""
    snapshot = well()
    for name, kind in {**wrong, **({right: "unreadable"} if state == "read" else {})}.items():
        unread(snapshot, name, kind)
    if state != "read":
        snapshot["gpus"][0].update(state=state, error={"error": state, "kind": state, "text": ""})
    result = judge(snapshot)
    assert result["verdict"] != "healthy"
    assert result["reasons"]
    assert result["failure_class"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(wrong=st.dictionaries(st.sampled_from(sorted(REQUIRED)), st.sampled_from(KINDS)))
def test_only_unread_values_recommend_nothing_that_destroys(well, wrong: dict[str, str]) -> None:
    snapshot = well()
    for name, kind in wrong.items():
        unread(snapshot, name, kind)
    assert judge(snapshot)["recommended_action"] in (None, "call_person", "observe")
