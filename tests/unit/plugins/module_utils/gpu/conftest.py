# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the GPUs share: the fake library, a look through it, and a snapshot of a host that is well."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.judging.readable import REQUIRED
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.reading.groups import COUNTERS
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.reading.presence import Roots

from tests.support.fake_nvml import HostTree
from tests.support.fake_nvml.plugin import fake_gpu_host, fake_nvml, make_fake_nvml

__all__ = ["fake_gpu_host", "fake_nvml", "make_fake_nvml"]

_NUMBERS = dict.fromkeys(COUNTERS, 0) | {"remap_banks_none": 0, "retired_corrected": 0, "retired_uncorrected": 0}
WELL: dict[str, Any] = {
    **dict.fromkeys(REQUIRED, 0),
    **_NUMBERS,
    "pci": "0000:0b:00.0",
    "uuid": "GPU-0",
    "name": "NVIDIA H100 80GB HBM3",
    "minor": 0,
    "memory_total_bytes": 80 * 2**30,
    "memory_used_bytes": 2**20,
    "temperature_c": 40,
    "temperature_slowdown_c": 90,
    "memory_temperature_c": 45,
    "utilization_percent": 0,
    "clock_reasons": 1,
    "ecc_enabled": True,
    "ecc_pending": True,
    "remap_pending": False,
    "remap_failure": False,
    "retired_pending": False,
    "sram_threshold_exceeded": False,
    "persistence": True,
    "mig_enabled": False,
    "mig_pending": False,
    "mig_devices": [],
    "processes_compute": [],
    "nvlink_count": 2,
    "nvlinks": [{"link": 0, "up": True, "remote": "0000:c0:00.0", "remote_type": "switch"}] * 2,
    "pcie_generation": 5,
    "pcie_generation_max": 5,
    "pcie_width": 16,
    "pcie_width_max": 16,
}


@pytest.fixture
def well() -> Callable[..., dict[str, Any]]:
    """A snapshot of one GPU that is well, but for what the test says."""

    def make(**changes: Any) -> dict[str, Any]:
        gpu = {"index": 0, "state": "read", "error": None, "step": None, "values": {**WELL, **changes}, "errors": {}}
        return {
            "schema": 1,
            "nvml": {"state": "read", "error": None, "values": {"driver_version": "570.158.01"}, "errors": {}},
            "gpus": [copy.deepcopy(gpu)],
            "stuck": [],
            "host": {
                "pci": {
                    "value": [{"pci": "0000:0b:00.0", "driver": "nvidia", "answers": True, "minor": 0}],
                    "error": None,
                },
                "nodes": {"value": [0], "error": None},
                "kernel_driver": {"value": "570.158.01", "error": None},
                "uptime_seconds": {"value": 3600.0, "error": None},
            },
        }

    return make


@pytest.fixture
def host_roots(fake_gpu_host: Callable[..., HostTree]) -> Roots:
    """A host whose bus and /dev have eight GPUs."""
    tree = fake_gpu_host(gpus=8)
    return Roots(tree.proc, tree.sys, tree.dev)


@pytest.fixture
def write_proc(tmp_path: Path) -> Callable[..., Path]:
    """A /proc of the test's own: ``write_proc({"12/comm": "x"})``."""

    def write(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / "proc" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        (tmp_path / "proc").mkdir(exist_ok=True)
        return tmp_path / "proc"

    return write
