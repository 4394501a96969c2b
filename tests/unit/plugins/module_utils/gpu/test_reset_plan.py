# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be reset, and what has to let go of it first: refused on whatever is not known, and whoever is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.judging.expectations import Expectations
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.judging.verdict import Surroundings, assess
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.reading.device_files import Holders
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.resetting.owners import AGENT, KEPT, SERVICE, Owners
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.resetting.plan import Refused, are_well, plan
from hypothesis import given
from hypothesis import strategies as st

from .conftest import WELL

UUID, PCI = "GPU-0", "0000:0b:00.0"
SICK: dict[str, Any] = {
    **WELL,
    "remap_pending": True,
    "virtualization": 0,
    "display_active": False,
    "power_management_limit_mw": 700000,
    "architecture": 9,
    "processes_graphics": [],
    "processes_mps": [],
}
SEEN = Surroundings(holders=Holders(unseen=0, modules=()), fabric_manager=True)
NOBODY = Owners(agents=())
WORKER = {"pid": 4711, "comm": "VLLM::Worker", "unit": "vllm.service"}
# What a plan stands on, of the GPU itself.
NEEDED = (
    *("uuid", "persistence", "mig_enabled", "virtualization", "display_active", "nvlinks", "architecture"),
    *("processes_compute", "processes_graphics", "processes_mps", "remap_pending"),
    *("ecc_volatile_uncorrected", "recovery_action", "clock_reasons", "retired_pending"),
)


def examined(
    *changes: dict[str, Any], around: Surroundings = SEEN, host: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The result of a look at as many GPUs, which wait for a reset but for what is said. None: could not be read."""
    gpus = []
    for index, change in enumerate(changes or ({},)):
        values = {**SICK, "uuid": f"GPU-{index}", "pci": f"0000:{0x0B + index:02x}:00.0", "minor": index, **change}
        error = {"error": "NVML_ERROR_UNKNOWN", "kind": "unreadable", "text": ""}
        errors = {name: change.get(f"error:{name}", error) for name, value in values.items() if value is None}
        gpus.append({"index": index, "state": "read", "error": None, "step": None, "values": values, "errors": errors})
    bus = [{"pci": gpu["values"]["pci"], "driver": "nvidia", "answers": True, "minor": None} for gpu in gpus]
    snapshot = {
        "schema": 1,
        "nvml": {"state": "read", "error": None, "values": {"driver_version": "570.158.01"}, "errors": {}},
        "gpus": gpus,
        "stuck": [],
        "host": {
            "pci": {"value": [one for one in bus if one["pci"]], "error": None},
            "nodes": {"value": list(range(len(gpus))), "error": None},
            "kernel_driver": {"value": "570.158.01", "error": None},
            "uptime_seconds": {"value": 3600.0, "error": None},
            **(host or {}),
        },
    }
    return {**assess(snapshot, Expectations(), around), "snapshot": snapshot}


def refusal(seen: dict[str, Any], owners: Owners = NOBODY, wanted: str = UUID, *, recommended_only: bool = True) -> str:
    with pytest.raises(Refused) as refused:
        plan(seen, [wanted], owners, recommended_only=recommended_only)
    return str(refused.value)


def holding(*processes: dict[str, Any], **more: Any) -> Surroundings:
    return replace(SEEN, holders=Holders(by_minor={0: list(processes)}, unseen=0, modules=(), **more))


@pytest.mark.parametrize("wanted", [UUID, PCI, "00000000:0B:00.0"])
def test_a_gpu_that_waits_for_a_reset_and_that_nobody_uses(wanted: str) -> None:
    made = plan(examined(), [wanted], NOBODY, recommended_only=True)
    (gpu,) = made.gpus
    assert (made.uuids, made.services, made.agents, made.warnings) == ((UUID,), (), (), ())
    assert (gpu.pci, gpu.persistence, gpu.power_limit_mw) == (PCI, True, 700000)


@given(st.sets(st.sampled_from(NEEDED), min_size=1), st.booleans(), st.sampled_from(["unreadable", "hung", "missing"]))
def test_there_is_no_plan_while_anything_that_it_stands_on_is_unknown(
    unknown: set[str], recommended_only: bool, kind: str
) -> None:
    error = {"error": "NVML_ERROR_UNKNOWN", "kind": kind, "text": ""}
    change = dict.fromkeys(unknown) | {f"error:{name}": error for name in unknown}
    # Where a driver does not tell the architecture, all that NVLink joins go together, which is the safe answer.
    if unknown == {"architecture"}:
        return
    # Asked for by address, so that a UUID that is not read is not merely one that is not found.
    refusal(examined(change), wanted=PCI, recommended_only=recommended_only)


@pytest.mark.parametrize(
    ("around", "host", "owners", "words"),
    [
        (replace(SEEN, holders=Holders(unseen=None, modules=())), {}, NOBODY, "may not be looked into"),
        (replace(SEEN, holders=Holders(unseen=3, modules=())), {}, NOBODY, "3 processes"),
        (SEEN, {}, Owners(agents=None, agents_error="no bus"), "no bus"),
        (SEEN, {"pci": {"value": None, "error": "/sys: gone"}}, NOBODY, "/sys: gone"),
    ],
)
def test_nor_while_anything_of_the_host_is(
    around: Surroundings, host: dict[str, Any], owners: Owners, words: str
) -> None:
    assert words in refusal(examined(around=around, host=host), owners, recommended_only=False)


def test_a_driver_that_does_not_answer_plans_nothing() -> None:
    seen = examined()
    seen["snapshot"]["nvml"]["state"] = "hung"
    assert "does not answer" in refusal(seen, recommended_only=False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mig_enabled": True}, "MIG mode: a reset ends"),
        ({"mig_pending": True}, "MIG mode from the next reset on"),
        ({"virtualization": 2}, "is a vGPU"),
        ({"virtualization": 3}, "is a vGPU"),
        ({"virtualization": 1}, "stop the virtual machine and start it again"),
        ({"display_active": True}, "draws a screen"),
        ({"recovery_action": 2}, "Reboot the host"),
        ({"recovery_action": 7}, "Reboot the host"),
    ],
)
def test_what_a_reset_is_not_for_is_refused_with_what_to_do_whoever_asks(change: dict[str, Any], words: str) -> None:
    assert words in refusal(examined(change), recommended_only=False)


def test_passed_through_without_nvlink_it_is_reset() -> None:
    change = {"virtualization": 1, "nvlinks": [], "nvlink_count": 0}
    assert plan(examined(change), [UUID], NOBODY, recommended_only=True).uuids == (UUID,)


def test_a_reboot_that_one_gpu_needs_is_no_reset_of_another() -> None:
    """The driver keeps it for the host. One reboot repairs both."""
    assert "Reboot the host" in refusal(examined({}, {"remap_pending": False, "recovery_action": 2}))


def test_off_the_bus_wins_over_the_driver_s_own_advice() -> None:
    bus = {"value": [{"pci": PCI, "driver": "nvidia", "answers": False, "minor": 0}], "error": None}
    assert "off the bus" in refusal(examined({"recovery_action": 1}, host={"pci": bus}), recommended_only=False)


def test_a_gpu_that_the_driver_does_not_list_is_not_found() -> None:
    assert "It lists: GPU-0 (0000:0b:00.0)" in refusal(examined(), wanted="GPU-9")
    assert "lists no GPU '; rm -rf'" in refusal(examined(), wanted="; rm -rf")


@pytest.mark.parametrize(
    "change", [{"remap_pending": False}, {"remap_failure": True}, {"remap_pending": False, "temperature_c": 95}]
)
def test_what_is_not_recommended_takes_a_person(change: dict[str, Any]) -> None:
    assert "no reset" in refusal(examined(change))
    assert plan(examined(change), [UUID], NOBODY, recommended_only=False).uuids == (UUID,)


def test_one_that_is_well_needs_none() -> None:
    assert are_well(examined({"remap_pending": False}), [UUID])
    assert not are_well(examined(), [UUID])
    assert not are_well(examined({"remap_pending": False}), [UUID, "GPU-9"])
    assert not are_well(examined({"remap_pending": None}), [UUID])


def test_a_declared_service_is_to_be_stopped_and_a_known_agent_too() -> None:
    agent = {"pid": 812, "comm": "nv-hostengine", "unit": "nvidia-dcgm.service"}
    manager = {"pid": 700, "comm": "nv-fabricmanager", "unit": "nvidia-fabricmanager.service"}
    around = holding(WORKER, without_gpu=(agent, manager))
    owners = Owners(
        {4711: (SERVICE, "chat"), 812: (AGENT, "nvidia-dcgm.service"), 700: (KEPT, "nvidia-fabricmanager.service")},
        agents=("nvidia-dcgm.service", "nvidia-persistenced.service"),
    )
    made = plan(examined(around=around), [UUID], owners, recommended_only=True)
    assert (made.services, made.agents) == (("chat",), ("nvidia-dcgm.service", "nvidia-persistenced.service"))


@pytest.mark.parametrize(
    ("around", "change"),
    [
        (holding(WORKER), {}),
        (replace(SEEN, holders=Holders(unseen=0, modules=(), without_gpu=(WORKER,))), {}),
        (SEEN, {"processes_compute": [{"pid": 4711, "used_bytes": None, "gi": None, "ci": None}]}),
        (SEEN, {"processes_mps": [{"pid": 4711, "used_bytes": 1, "gi": None, "ci": None}]}),
    ],
)
def test_a_stranger_is_named_and_left_alone(around: Surroundings, change: dict[str, Any]) -> None:
    """By whatever he is seen, and though his unit has the name of an agent."""
    told = refusal(examined(change, around=around), Owners(agents=(), unread=("chat: no bus",)), recommended_only=False)
    assert "process 4711" in told
    assert "chat: no bus" in told


def test_memory_of_a_process_that_is_gone_is_what_a_reset_frees() -> None:
    change = {"processes_compute": [{"pid": 4711, "used_bytes": 1, "gi": None, "ci": None}]}
    made = plan(examined(change), [UUID], Owners(agents=(), gone=frozenset({4711})), recommended_only=True)
    assert "process 4711" in made.warnings[0]


def test_where_gpus_go_together_all_are_named_and_the_whole_host_has_to_be_free() -> None:
    """As on A100 with switches while no fabric manager runs."""
    alone = replace(SEEN, fabric_manager=False)
    well = {"remap_pending": False}
    assert plan(examined({}, well, around=alone), [UUID], NOBODY, recommended_only=True).uuids == ("GPU-0", "GPU-1")
    apart = {"nvlinks": [], "nvlink_count": 0, **well}
    busy = replace(alone, holders=Holders(by_minor={2: [WORKER]}, unseen=0, modules=()))
    seen = examined({}, well, apart, around=busy)
    assert "process 4711" in refusal(seen)
    both = plan(seen, ["GPU-0", "GPU-1"], Owners({4711: (SERVICE, "chat")}, agents=()), recommended_only=False)
    assert (both.uuids, both.services) == (("GPU-0", "GPU-1"), ("chat",))
    assert plan(examined({}, well, apart, around=replace(busy, fabric_manager=True)), [UUID], NOBODY,
                recommended_only=True).services == ()  # fmt: skip


def test_a_neighbour_that_is_not_known_is_not_reset_along() -> None:
    alone = replace(SEEN, fabric_manager=False)
    assert "would be reset too" in refusal(examined({}, {"remap_pending": None}, around=alone))


@pytest.mark.parametrize(("modules", "words"), [(("nvidia_drm",), "nvidia_drm"), (None, "could not be read")])
def test_modules_of_the_kernel_are_told(modules: tuple[str, ...] | None, words: str) -> None:
    """Whether they hold the GPU is nvidia-smi's to say, before it touches anything."""
    made = plan(examined(around=replace(SEEN, holders=Holders(unseen=0, modules=modules))), [UUID], NOBODY,
                recommended_only=True)  # fmt: skip
    assert words in made.warnings[0]
