# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot becomes metrics: all that was read, and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from autoglm_recovery.exporter.gpu_metrics import gpu_metrics
from autoglm_recovery.exporter.http import page
from autoglm_recovery.exporter.links import LinkCounters
from autoglm_recovery.exporter.memory import GpuOwnerMemory
from autoglm_recovery.exporter.names import METRICS, ROWS
from autoglm_recovery.exporter.services import NodeService, Services
from autoglm_recovery.exporter.view import errors_in, not_looked_yet, view_of
from autoglm_recovery.knowledge.gpu.reading import snapshot as knowledge_snapshot

LLM, OTHER = NodeService("llm", "pool-a", "llm.service"), NodeService("other", "", "other.service")
SERVICES = Services([LLM, OTHER])
GPUS = ("0000:0b:00", "0000:1a:00")
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def device(index: int, **values: Any) -> dict[str, Any]:
    links = [{"link": link, "up": True, "remote": None, "remote_type": None} for link in range(4)]
    read = {"pci": f"{GPUS[index]}.0", "uuid": f"GPU-{index}", "name": "H100", "nvlinks": links, **values}
    return {"index": index, "state": "read", "error": None, "step": None, "values": read, "errors": {}}


def snapshot(*gpus: Mapping[str, Any], state: str = "read", error: str | None = None) -> dict[str, Any]:
    told = {"error": error, "kind": "unreadable", "text": ""} if error else None
    return {
        "nvml": {"state": state, "error": told, "values": {"driver_version": "570.1"}, "errors": {}},
        "gpus": copy.deepcopy(list(gpus)),
        "stuck": [],
        "seconds": 0.1,
        "taken_at": 0.0,
        "host": {
            "pci": {"value": [], "error": None},
            "nodes": {"value": [], "error": None},
            "kernel_driver": {"value": None, "error": None},
            "uptime_seconds": {"value": 5.0, "error": None},
        },
    }


def service_of(pid: int | None) -> NodeService | None:
    return {1: LLM, 2: OTHER}.get(pid or 0)


def looked(memory: GpuOwnerMemory, seen: dict[str, Any]) -> Samples:
    memory.learn(seen, service_of)
    text = page(gpu_metrics(view_of(seen, memory, service_of))).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def values(samples: Samples, name: str, **labels: str) -> list[float]:
    return [value for (each, found), value in samples.items() if each == name and labels.items() <= set(found)]


def process(pid: int, used: int | None, gi: int | None = None) -> dict[str, Any]:
    return {"pid": pid, "used_bytes": used, "gi": gi, "ci": gi}


def test_every_row_has_a_metric_with_its_labels() -> None:
    for row in ROWS:
        assert tuple(name for name, _value in row.labels) == METRICS[row.metric][2]
    assert {row.metric for row in ROWS} == set(METRICS)
    assert all(text for _kind, text, _labels in METRICS.values())


def test_every_value_that_is_exported_is_one_that_is_read() -> None:
    documented = knowledge_snapshot.__doc__ or ""
    assert "temperature_c" in documented
    assert {row.value for row in ROWS if row.value.startswith("temperature_c")} == {"temperature_c"}


def test_what_was_not_read_is_absent_and_zero_is_zero() -> None:
    samples = looked(GpuOwnerMemory(SERVICES), snapshot(device(0, temperature_c=0, remap_pending=None)))
    assert values(samples, "autoglm_gpu_temperature_celsius") == [0]
    assert values(samples, "autoglm_gpu_remap_pending") == []
    assert values(samples, "autoglm_gpu_power_watts") == []


def test_units_and_bits() -> None:
    read = device(0, power_usage_mw=71500, utilization_percent=40, clock_reasons=0x48, recovery_action=4)
    samples = looked(GpuOwnerMemory(SERVICES), snapshot(read))
    assert values(samples, "autoglm_gpu_power_watts") == [71.5]
    assert values(samples, "autoglm_gpu_utilization_ratio") == [0.4]
    for reason, expected in (("hw_slowdown", 1), ("hw_thermal_slowdown", 1), ("gpu_idle", 0), ("sw_power_cap", 0)):
        assert values(samples, "autoglm_gpu_clock_event_active", reason=reason) == [expected]
    assert values(samples, "autoglm_gpu_recovery_action", action="drain_and_reset") == [1]


def test_a_recovery_action_of_tomorrow_is_unknown_and_not_none() -> None:
    samples = looked(GpuOwnerMemory(SERVICES), snapshot(device(0, recovery_action=9)))
    assert values(samples, "autoglm_gpu_recovery_action", action="unknown") == [1]
    assert values(samples, "autoglm_gpu_recovery_action", action="none") == []


def test_a_gpu_belongs_to_the_service_that_used_it_last() -> None:
    memory = GpuOwnerMemory(SERVICES)
    looked(memory, snapshot(device(0, processes_compute=[process(1, 5 << 30)])))
    samples = looked(memory, snapshot(device(0, processes_compute=[])))
    assert values(samples, "autoglm_gpu_owner_info", service="llm", pool="pool-a") == [1]
    assert memory.owner_of(GPUS[0]) == LLM
    both = [process(1, 5), process(2, 7)]
    samples = looked(memory, snapshot(device(0, processes_compute=both)))
    assert values(samples, "autoglm_gpu_owner_info", service="", pool="") == [1]
    assert values(samples, "autoglm_gpu_owner_info") == [1]


def test_memory_that_services_hold_is_counted_once_for_each_instance() -> None:
    lists = {
        "processes_compute": [process(1, 100, gi=1), process(2, None), process(77, 9)],
        "processes_graphics": [process(1, 100, gi=1)],
    }
    samples = looked(GpuOwnerMemory(SERVICES), snapshot(device(0, **lists)))
    assert values(samples, "autoglm_service_gpu_memory_bytes", service="llm", mig_gi="1", mig_ci="1") == [100]
    assert values(samples, "autoglm_service_gpu_memory_bytes") == [100]


def test_mig_devices() -> None:
    mig = [{"index": 0, "uuid": "MIG-1", "name": "H100 MIG 3g.40gb", "gi": 2, "ci": 0, "errors": {}}]
    samples = looked(GpuOwnerMemory(SERVICES), snapshot(device(0, mig_enabled=True, mig_devices=mig)))
    assert values(samples, "autoglm_gpu_mig_device_info", mig_uuid="MIG-1", mig_gi="2", mig_ci="0") == [1]


def test_a_gpu_that_is_not_listed_any_more_is_lost_until_somebody_says_how_many_there_are() -> None:
    memory = GpuOwnerMemory(SERVICES)
    looked(memory, snapshot(device(0), device(1)))
    samples = looked(memory, snapshot(device(0)))
    assert values(samples, "autoglm_gpu_lost", gpu=GPUS[1]) == [1]
    assert values(samples, "autoglm_gpu_verdict", gpu=GPUS[1], verdict="unhealthy") == [1]
    assert values(samples, "autoglm_gpus_expected") == [2]
    told = GpuOwnerMemory(SERVICES, expected=1)
    told.restore(memory.dump(), same_boot=True)
    assert values(looked(told, snapshot(device(0))), "autoglm_gpu_lost", gpu=GPUS[1]) == []


def test_gpus_are_unknown_while_nothing_can_be_read() -> None:
    memory = GpuOwnerMemory(SERVICES)
    looked(memory, snapshot(device(0, temperature_c=30)))
    samples = looked(memory, snapshot(state="hung", error="hung"))
    assert values(samples, "autoglm_gpu_verdict", verdict="unknown") == [1]
    assert values(samples, "autoglm_gpu_lost") == []
    assert values(samples, "autoglm_nvml_error", error="hung") == [1]
    assert [gpu.verdict for gpu in not_looked_yet(memory).gpus] == ["unknown"]


def test_a_gpu_that_does_not_say_who_it_is_keeps_its_name() -> None:
    memory = GpuOwnerMemory(SERVICES)
    looked(memory, snapshot(device(0), device(1)))
    mute = {**device(1), "state": "lost", "values": {"pci": None, "uuid": None}}
    samples = looked(memory, snapshot(device(0), mute))
    assert values(samples, "autoglm_gpu_lost", gpu=GPUS[1], uuid="GPU-1") == [1]


def down(*links: int) -> list[dict[str, Any]]:
    return [{"link": link, "up": link not in links, "remote": None, "remote_type": None} for link in range(4)]


@pytest.mark.parametrize(
    ("first", "second", "missing"),
    [
        (down(), down(2), 1),  # it was up in this boot
        (down(2), down(2), 1),  # it is up on the other GPU of the model
        (down(0, 1, 2, 3), down(0, 1, 2, 3), 0),  # this GPU does not use NVLink
        ([], [], 0),
    ],
)
def test_a_link_is_missing_when_it_should_be_up(first: Any, second: Any, missing: float) -> None:
    memory = GpuOwnerMemory(SERVICES)
    looked(memory, snapshot(device(0, nvlinks=first), device(1)))
    samples = looked(memory, snapshot(device(0, nvlinks=second), device(1)))
    assert values(samples, "autoglm_nvlink_links_missing", gpu=GPUS[0]) == [missing]


def test_links_of_the_last_boot_say_nothing() -> None:
    memory = GpuOwnerMemory(SERVICES)
    looked(memory, snapshot(device(0)))
    rebooted = GpuOwnerMemory(SERVICES)
    rebooted.restore(memory.dump(), same_boot=False)
    assert values(looked(rebooted, snapshot(device(0, nvlinks=down(1)))), "autoglm_nvlink_links_missing") == [0]


def test_counters_of_links_are_kept_between_looks() -> None:
    now = [0.0]
    links = LinkCounters(clock=lambda: now[0])
    counters = [{"values": {"replay": 3, "crc": 9, "symbol_ber": 15 << 8 | 255, "recovery": None}, "errors": {}}]
    assert "nvlink.read:counters" in links.plan()
    links.complete(snapshot(device(0, nvlink_counters=counters)))
    now[0] = 2.0
    assert "nvlink.read:counters" not in links.plan()
    samples = looked(GpuOwnerMemory(SERVICES), dict(links.complete(snapshot(device(0)))))
    assert values(samples, "autoglm_nvlink_errors_total", counter="replay", link="0", weight="grave") == [3]
    assert values(samples, "autoglm_nvlink_errors_total", counter="recovery") == []
    assert values(samples, "autoglm_nvlink_bit_error_rate", type="symbol") == [pytest.approx(15e-255)]
    now[0] = 20.0
    assert "nvlink.read:counters" in links.plan()
    failed = links.complete(snapshot(device(0, nvlink_counters=None)))
    assert failed["gpus"][0]["values"]["nvlink_counters"] is None


def test_errors_that_say_nothing_are_not_counted() -> None:
    odd = device(0)
    odd["errors"] = {
        "a": {"error": "NVML_ERROR_NOT_SUPPORTED", "kind": "not_supported", "text": ""},
        "b": {"error": "NVML_ERROR_UNKNOWN", "kind": "unreadable", "text": ""},
        "c": {"error": "NVML_ERROR_UNKNOWN", "kind": "unreadable", "text": ""},
    }
    assert list(errors_in(snapshot(odd, error="NVML_ERROR_DRIVER_NOT_LOADED"))) == [
        "NVML_ERROR_DRIVER_NOT_LOADED",
        "NVML_ERROR_UNKNOWN",
    ]


@pytest.mark.parametrize("stored", [None, 3, [3], [{"gpu": 1}], [{"gpu": "x", "uuid": "y", "index": "z"}]])
def test_a_stored_memory_that_makes_no_sense_is_left(stored: object) -> None:
    memory = GpuOwnerMemory(SERVICES)
    memory.restore(stored, same_boot=True)
    assert memory.known() == []
