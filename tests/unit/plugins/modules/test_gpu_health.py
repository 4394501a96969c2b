# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module gpu_health as Ansible calls it, on a library that is loaded by its path."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.modules import gpu_health

from tests.support.fake_nvml import FakeNvml
from tests.support.fake_nvml.plugin import fake_nvml, make_fake_nvml

__all__ = ["fake_nvml", "make_fake_nvml"]


@pytest.fixture
def health(run_module, fake_nvml: FakeNvml):
    """Run the module on the fake."""

    def run(check: bool = False, **options: Any) -> dict[str, Any]:
        given = {
            "nvml_library": str(fake_nvml.library),
            "kernel_lines": "never",
            "device_timeout": 60,
            "expected_gpus": 8,
        }
        return run_module(gpu_health, check, **{**given, **options})

    return run


@pytest.mark.parametrize("check", [True, False])
def test_healthy(health, check: bool) -> None:
    result = health(check)
    assert (result["changed"], result["verdict"], result["failure_class"]) == (False, "healthy", None)
    assert result["recommended_action"] is None
    assert result["reasons"] == ["8 GPUs were read and are well"]
    assert len(result["gpus"]) == len(result["snapshot"]["gpus"]) == 8


def test_unhealthy_does_not_fail_by_itself(health, fake_nvml: FakeNvml) -> None:
    fake_nvml.set("gpu3.remap.pending", 1)
    result = health()
    assert not result.get("failed")
    assert (result["verdict"], result["failure_class"]) == ("unhealthy", "gpu_fault")
    assert result["recommended_action"] == "reset_gpu"
    assert result["reasons"][0].startswith("GPU 3 (0000:38:00.0): ")


@pytest.mark.parametrize(("fail_on", "failed"), [("never", False), ("unhealthy", False), ("not_healthy", True)])
def test_unknown_fails_only_where_healthy_is_demanded(health, fake_nvml: FakeNvml, fail_on: str, failed: bool) -> None:
    fake_nvml.fail("nvmlDeviceGetTemperature*", 999, gpu=2)
    result = health(fail_on=fail_on)
    assert bool(result.get("failed")) is failed
    assert result["verdict"] == "unknown"
    assert "NVML_ERROR_UNKNOWN" in result["reasons"][0]


def test_expectations_reach_the_verdict(health) -> None:
    result = health(
        expected_gpus=9,
        expected_driver="999.1",
        expected_persistence=True,
        expected_ecc=True,
        expected_mig=["1g.10gb"],
        expected_pcie_width=32,
        expected_pcie_generation=9,
        expected_nvlinks=99,
        thresholds={"temperature_c": "1"},
    )
    told = " ".join(result["reasons"])
    for words in ("8 of 9", "999.1", "1g.10gb", "width 16", "generation 5", "of 99 NVLinks", "threshold of 1"):
        assert words in told, words


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"thresholds": {"temprature": 80}}, "temprature"),
        ({"thresholds": {"temperature_c": "hot"}}, "no number"),
        ({"device_timeout": 0}, "timeout"),
        ({"overrides": {"xid": {"63": {"action": "pray"}}}}, "pray"),
        ({"overrides": {"xdi": {}}}, "xdi"),
        ({"expected_gpus": -1}, "less than 0"),
        ({"services": ["--all"]}, "systemd unit"),
    ],
)
def test_options_that_cannot_be(health, options: dict[str, Any], message: str) -> None:
    result = health(**options)
    assert result["failed"]
    assert message in result["msg"]


def test_a_library_that_is_not_there(health) -> None:
    result = health(nvml_library="/no/such/libnvidia-ml.so.1")
    assert result["verdict"] == "unknown"
    assert "NVML_ERROR_LIBRARY_NOT_FOUND" in result["reasons"][0]


def test_a_process_that_is_gone_and_holds_memory(health, fake_nvml: FakeNvml, monkeypatch) -> None:
    monkeypatch.setattr("ansible_collections.autoglm.recovery.plugins.module_utils.gpu.examine._SETTLE_SECONDS", 0.0)
    seen = "ansible_collections.autoglm.recovery.plugins.module_utils.gpu.examine.sees_all_processes"
    monkeypatch.setattr(seen, lambda _proc: True)
    fake_nvml.set("gpu5.procs", "4194999:1073741824")
    result = health()
    assert result["verdict"] == "unhealthy"
    assert "1024 MiB are still held by process 4194999, which is gone" in result["reasons"][0]
