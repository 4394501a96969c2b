# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every state that must never read as healthy, through the real pynvml and a library that answers as a driver would."""

from __future__ import annotations

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.examine import ExamineOptions, examine
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.judging.expectations import Expectations
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.reading.presence import Roots

from tests.support.fake_nvml import BY_ARCHITECTURE, NEVER_HEALTHY, FakeNvml

EXPECTED = {
    "seven_of_eight": ("unhealthy", "gpu_lost"),
    "gpu_lost": ("unhealthy", "gpu_lost"),
    "driver_mismatch": ("unhealthy", "gpu_lost"),
    "driver_not_loaded": ("unhealthy", "gpu_lost"),
    "recovery_action_reset": ("unhealthy", "gpu_fault"),
    "recovery_action_system_reboot": ("unhealthy", "gpu_lost"),
    "recovery_action_unread": ("unhealthy", "gpu_fault"),
    "ecc_and_remap_failure": ("unhealthy", "gpu_fault"),
    "one_link_down": ("unhealthy", "gpu_comm"),
    "nvlink_unknown": ("unknown", "unknown"),
    "call_blocks": ("unknown", "unknown"),
    "init_blocks": ("unknown", "gpu_lost"),
    "everything_unreadable": ("unknown", "unknown"),
}


# Long enough that on a busy machine only what hangs is taken to hang.
DEVICE_TIMEOUT = 3.0


def look(fake: FakeNvml, roots: Roots, **expected: int) -> dict:
    asked = ExamineOptions(
        str(fake.library), device_timeout=DEVICE_TIMEOUT, expected=Expectations(**expected), kernel_lines="never"
    )
    return examine(asked, roots)


@pytest.mark.parametrize("state", NEVER_HEALTHY)
def test_never_healthy(fake_nvml: FakeNvml, host_roots: Roots, state: str) -> None:
    NEVER_HEALTHY[state](fake_nvml)
    result = look(fake_nvml, host_roots)
    assert result["verdict"] != "healthy"
    if state in EXPECTED:
        assert (result["verdict"], result["failure_class"]) == EXPECTED[state]
    assert result["reasons"]
    assert result["snapshot"]["seconds"] < 10 * DEVICE_TIMEOUT


def test_every_state_of_the_table_is_expected_by_name() -> None:
    assert set(NEVER_HEALTHY) >= set(EXPECTED)


@pytest.mark.parametrize("profile", ["h100", "a100", "b200", "l40s", "h100_pcie"])
def test_good_gpus_of_every_kind_are_healthy(make_fake_nvml, host_roots: Roots, profile: str) -> None:
    result = look(make_fake_nvml(profile), host_roots)
    assert (result["verdict"], result["failure_class"], result["recommended_action"]) == ("healthy", None, None)
    assert all(gpu["verdict"] == "healthy" and gpu["witnesses"]["driver"] for gpu in result["gpus"])


@pytest.fixture
def no_bus(tmp_path) -> Roots:
    """A host on whose PCI bus is no NVIDIA GPU."""
    for name in ("proc", "sys/bus/pci/devices", "dev"):
        (tmp_path / "none" / name).mkdir(parents=True)
    return Roots(tmp_path / "none/proc", tmp_path / "none/sys", tmp_path / "none/dev")


@pytest.mark.parametrize("kind", BY_ARCHITECTURE)
def test_what_a_gpu_does_not_have_is_no_lack(make_fake_nvml, no_bus: Roots, kind: str) -> None:
    fake = make_fake_nvml("l40s", gpus=1, driver="580.142")
    BY_ARCHITECTURE[kind](fake)
    result = look(fake, no_bus)
    assert result["verdict"] == "healthy", result["reasons"]


@pytest.mark.parametrize("kind", BY_ARCHITECTURE)
@pytest.mark.parametrize(
    "function",
    [
        "nvmlDeviceGetMemoryInfo*",
        "nvmlDeviceGetTemperature*",
        "nvmlDeviceGetPowerUsage",
        "nvmlDeviceGetUtilizationRates",
    ],
)
def test_an_error_is_a_lack_whatever_the_gpu_does_not_have(make_fake_nvml, no_bus, kind: str, function: str) -> None:
    fake = make_fake_nvml("l40s", gpus=1, driver="580.142")
    BY_ARCHITECTURE[kind](fake)
    fake.fail(function, 999, gpu="*")
    result = look(fake, no_bus)
    assert result["verdict"] == "unknown"
    assert "NVML_ERROR_UNKNOWN" in " ".join(result["reasons"])


def test_sensors_that_fail_make_that_gpu_unknown_and_no_other(make_fake_nvml, no_bus: Roots) -> None:
    """nvidia-smi shows ERR! in their place."""
    fake = make_fake_nvml("a100", gpus=2, driver="535.183.01")
    for function in ("nvmlDeviceGetPowerUsage", "nvmlDeviceGetTemperature*", "nvmlDeviceGetUtilizationRates"):
        fake.fail(function, 999, gpu=1)
    result = look(fake, no_bus)
    assert [gpu["verdict"] for gpu in result["gpus"]] == ["healthy", "unknown"]


def test_a_gpu_that_cannot_be_told_from_another_is_unknown(make_fake_nvml, no_bus: Roots) -> None:
    fake = make_fake_nvml("l40s", gpus=1)
    for function in ("nvmlDeviceGetPciInfo*", "nvmlDeviceGetUUID"):
        fake.fail(function, 3, gpu=0)
    assert look(fake, no_bus)["verdict"] == "unknown"


def test_a_mig_device_may_lack_what_it_has_not_and_must_answer_the_rest(make_fake_nvml, no_bus: Roots) -> None:
    fake = make_fake_nvml("h100", gpus=1)
    fake.set_many({"gpu0.mig": 1, "gpu0.mig.pending": 1, "gpu0.mig.count": 2})
    fake.set_many({f"gpu0.mig.{device}.profile": "3g.40gb" for device in (0, 1)})
    assert look(fake, no_bus)["verdict"] == "healthy"
    assert len(look(fake, no_bus)["snapshot"]["gpus"][0]["values"]["mig_devices"]) == 2
    fake.fail("nvmlDeviceGetUtilizationRates", 3, gpu=0)
    assert look(fake, no_bus)["verdict"] == "healthy"
    fake.fail("nvmlDeviceGetComputeInstanceId", 999)
    result = look(fake, no_bus)
    assert result["verdict"] == "unknown"
    assert "of MIG device 0" in " ".join(result["reasons"])


def test_what_only_its_owner_may_ask_is_no_lack(make_fake_nvml, no_bus: Roots) -> None:
    fake = make_fake_nvml("l40s", gpus=1)
    fake.fail("nvmlDeviceGetSerial", 4, gpu=0)
    assert look(fake, no_bus)["verdict"] == "healthy"


def test_an_old_driver_without_the_newer_functions_can_be_healthy(make_fake_nvml, host_roots: Roots) -> None:
    result = look(make_fake_nvml("a100", symbols="old", driver="525.147.05"), host_roots)
    assert result["verdict"] == "healthy", result["reasons"]
    assert any("too old" in words for words in result["warnings"])
    values = result["snapshot"]["gpus"][0]["values"]
    assert values["temperature_c"] is not None
    assert values["clock_reasons"] is not None


@pytest.mark.parametrize(("driver", "action"), [("550.163.01", 1), ("570.158.01", 1), ("570.158.01", 42)])
def test_the_drivers_verdict_counts_whatever_its_version(make_fake_nvml, host_roots, driver: str, action: int) -> None:
    fake = make_fake_nvml(driver=driver)
    fake.set_many({"fields.last": 308, "gpu2.recovery": action})
    assert look(fake, host_roots)["verdict"] != "healthy"


def test_seven_of_eight_against_the_inventory_alone(make_fake_nvml, fake_gpu_host) -> None:
    tree = fake_gpu_host(gpus=7)
    result = look(make_fake_nvml(gpus=7), Roots(tree.proc, tree.sys, tree.dev), gpus=8)
    assert (result["verdict"], result["failure_class"]) == ("unhealthy", "gpu_lost")
    assert result["presence"] == {"expected": 8, "pci": 7, "nodes": 7, "nvml": 7, "missing": []}


def test_the_missing_gpu_is_named_by_its_address(fake_nvml: FakeNvml, host_roots: Roots) -> None:
    NEVER_HEALTHY["seven_of_eight"](fake_nvml)
    result = look(fake_nvml, host_roots)
    assert result["presence"]["missing"] == ["0000:38:00.0"]
    assert "0000:38:00.0" in result["reasons"][0]


def test_a_lost_gpu_that_cannot_tell_its_address_is_named_by_the_bus(fake_nvml: FakeNvml, host_roots: Roots) -> None:
    fake_nvml.set("gpu3.lost", 1)
    result = look(fake_nvml, host_roots)
    assert result["gpus"][3]["pci"] == "0000:38:00.0"
    assert [gpu["verdict"] for gpu in result["gpus"]] == ["healthy"] * 3 + ["unhealthy"] + ["healthy"] * 4


def test_a_hung_gpu_leaves_the_verdicts_of_the_others(fake_nvml: FakeNvml, host_roots: Roots) -> None:
    fake_nvml.hang("nvmlDeviceGetTotalEccErrors", gpu=3)
    result = look(fake_nvml, host_roots)
    assert [gpu["verdict"] for gpu in result["gpus"]] == ["healthy"] * 3 + ["unknown"] + ["healthy"] * 4
    assert result["gpus"][3]["uuid"].startswith("GPU-")
    assert "hung" in result["gpus"][3]["reasons"][0]
    assert result["recommended_action"] == "call_person"
    stuck = result["snapshot"]["stuck"]
    assert any(thread["comm"] == "autoglm-nvml:3" for thread in stuck) or not stuck


def test_pynvml_that_is_not_there(fake_nvml: FakeNvml, host_roots: Roots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pynvml", None)
    result = look(fake_nvml, host_roots)
    assert result["verdict"] == "unknown"
    assert "pip install nvidia-ml-py" in result["reasons"][0]


def test_another_package_of_that_name(fake_nvml: FakeNvml, host_roots: Roots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pynvml", type(pytest)("pynvml"))
    result = look(fake_nvml, host_roots)
    assert result["verdict"] == "unknown"
    assert "is not the pynvml of nvidia-ml-py" in result["reasons"][0]
    assert result["recommended_action"] == "call_person"
