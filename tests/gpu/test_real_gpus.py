# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real library, the real driver and real GPUs: what is read there must be readable, and make sense."""

from __future__ import annotations

import json
import os

from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.examine import ExamineOptions, examine
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.judging.readable import REQUIRED
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.reading.presence import Roots, read_host
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.reading.session import NvmlSession

LIBRARY = os.environ.get("AUTOGLM_NVML_LIBRARY")


def test_every_value_is_read_or_says_why_not(session: NvmlSession) -> None:
    look = session.read()
    assert look.state == "read"
    assert look.values["driver_version"]
    for gpu in look.gpus:
        assert {name for name, value in gpu["values"].items() if value is None} == set(gpu["errors"])


def test_what_a_verdict_needs_is_readable(session: NvmlSession) -> None:
    for gpu in session.read().gpus:
        unread = {
            name: gpu["errors"][name]
            for name, allowed in REQUIRED.items()
            if name in gpu["errors"] and gpu["errors"][name]["kind"] not in allowed
        }
        assert not unread


def test_values_make_sense(session: NvmlSession) -> None:
    for gpu in session.read().gpus:
        values = gpu["values"]
        assert values["uuid"].startswith("GPU-")
        assert values["memory_used_bytes"] <= values["memory_total_bytes"]
        assert 0 < values["temperature_c"] < 120
        assert values["pcie_width"] is None or values["pcie_width"] <= values["pcie_width_max"]


def test_two_looks_agree(session: NvmlSession) -> None:
    names = ("pci", "uuid", "serial", "memory_total_bytes", "nvlink_count")
    first, second = ([[gpu["values"][name] for name in names] for gpu in session.read().gpus] for _look in range(2))
    assert first == second


def test_a_spawned_child_reads_the_same(session: NvmlSession) -> None:
    del session  # it has said that there is a GPU
    with NvmlSession(LIBRARY, start="fork") as forked, NvmlSession(LIBRARY, start="spawn") as spawned:
        assert [g["values"]["uuid"] for g in forked.read().gpus] == [g["values"]["uuid"] for g in spawned.read().gpus]


def test_the_module_comes_to_a_verdict_with_reasons(session: NvmlSession) -> None:
    del session  # it has said that there is a GPU
    result = examine(ExamineOptions(LIBRARY))
    print(json.dumps({name: result[name] for name in ("verdict", "failure_class", "reasons", "warnings", "presence")}))
    assert result["verdict"] in ("healthy", "unhealthy", "unknown")
    assert result["reasons"]
    assert len(result["gpus"]) == len(result["snapshot"]["gpus"])


def test_the_bus_knows_the_gpus_that_nvml_sees(session: NvmlSession) -> None:
    on_bus = {one["pci"] for one in read_host(Roots())["pci"]["value"] or []}
    if on_bus:
        assert {gpu["values"]["pci"] for gpu in session.read().gpus} <= on_bus


def test_nothing_holds_a_gpu_between_looks(session: NvmlSession) -> None:
    session.read()
    pid = session._child.pid if session._child else os.getpid()
    held = [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
    assert not [path for path in held if path.startswith("/dev/nvidia")]
