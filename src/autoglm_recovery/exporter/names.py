# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metric of each value of a snapshot.  A table: to export one more value, add a row."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One value of ``gpus[].values``.  ``labels``: those that tell this row from others of the same metric."""

    value: str
    metric: str
    scale: float = 1.0
    labels: tuple[tuple[str, str], ...] = ()


GAUGE, COUNTER = "gauge", "counter"

# metric -> type, help text, label names beside those of the GPU.
METRICS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "autoglm_gpu_memory_total_bytes": (GAUGE, "Memory of the GPU", ()),
    "autoglm_gpu_memory_used_bytes": (GAUGE, "Memory in use, with what the driver reserves", ()),
    "autoglm_gpu_utilization_ratio": (GAUGE, "Share of time in which a kernel ran, 0 to 1", ()),
    "autoglm_gpu_temperature_celsius": (GAUGE, "Temperature", ("sensor",)),
    "autoglm_gpu_temperature_limit_celsius": (GAUGE, "Temperature at which the GPU does something", ("limit",)),
    "autoglm_gpu_power_watts": (GAUGE, "Power draw", ()),
    "autoglm_gpu_power_limit_watts": (GAUGE, "Enforced power limit", ()),
    "autoglm_gpu_performance_state": (GAUGE, "Performance state, 0 is the fastest", ()),
    "autoglm_gpu_ecc_enabled": (GAUGE, "1 where ECC is on", ()),
    "autoglm_gpu_ecc_errors": (
        COUNTER,
        "ECC errors; volatile ones since the driver was loaded, aggregate ones in the life of the GPU",
        ("scope", "severity"),
    ),
    "autoglm_gpu_sram_threshold_exceeded": (GAUGE, "1 where NVIDIA's limit of SRAM errors is exceeded", ()),
    "autoglm_gpu_sram_errors": (COUNTER, "Uncorrectable SRAM errors", ("scope", "check")),
    "autoglm_gpu_remap_pending": (GAUGE, "1 where a row remap waits for a reset", ()),
    "autoglm_gpu_remap_failure": (GAUGE, "1 where a row remap has failed", ()),
    "autoglm_gpu_remapped_rows": (COUNTER, "Remapped rows", ("cause",)),
    "autoglm_gpu_remap_banks": (GAUGE, "Memory banks by the spare rows that they have left", ("left",)),
    "autoglm_gpu_retired_pages": (GAUGE, "Retired memory pages", ("cause",)),
    "autoglm_gpu_retired_pages_pending": (GAUGE, "1 where a page retirement waits for a reset", ()),
    "autoglm_gpu_pcie_generation": (GAUGE, "PCIe generation now; an idle link is slower", ()),
    "autoglm_gpu_pcie_generation_max": (GAUGE, "Highest PCIe generation of GPU and slot", ()),
    "autoglm_gpu_pcie_width": (GAUGE, "PCIe lanes now", ()),
    "autoglm_gpu_pcie_width_max": (GAUGE, "Most PCIe lanes of GPU and slot", ()),
    "autoglm_gpu_pcie_errors": (COUNTER, "PCIe errors and replays since the driver was loaded", ("error",)),
    "autoglm_gpu_persistence_enabled": (GAUGE, "1 where persistence mode is on", ()),
    "autoglm_gpu_mig_enabled": (GAUGE, "1 where the GPU is cut into MIG instances", ()),
    "autoglm_gpu_reset_required": (GAUGE, "1 where the driver's older fields ask for a reset", ("kind",)),
}

_PCIE = (
    "correctable_errors",
    "non_fatal_errors",
    "fatal_errors",
    "receiver_errors",
    "lcrc_errors",
    "lane_errors",
    "naks_received",
    "naks_sent",
    "bad_tlp",
    "bad_dllp",
    "unsupported_requests",
    "replay",
    "replay_rollover",
)

ROWS: tuple[Row, ...] = (
    Row("memory_total_bytes", "autoglm_gpu_memory_total_bytes"),
    Row("memory_used_bytes", "autoglm_gpu_memory_used_bytes"),
    Row("utilization_percent", "autoglm_gpu_utilization_ratio", 0.01),
    Row("temperature_c", "autoglm_gpu_temperature_celsius", labels=(("sensor", "gpu"),)),
    Row("memory_temperature_c", "autoglm_gpu_temperature_celsius", labels=(("sensor", "memory"),)),
    Row("temperature_slowdown_c", "autoglm_gpu_temperature_limit_celsius", labels=(("limit", "slowdown"),)),
    Row("temperature_shutdown_c", "autoglm_gpu_temperature_limit_celsius", labels=(("limit", "shutdown"),)),
    Row("power_usage_mw", "autoglm_gpu_power_watts", 0.001),
    Row("power_limit_mw", "autoglm_gpu_power_limit_watts", 0.001),
    Row("performance_state", "autoglm_gpu_performance_state"),
    Row("ecc_enabled", "autoglm_gpu_ecc_enabled"),
    *(
        Row(f"ecc_{scope}_{severity}", "autoglm_gpu_ecc_errors", labels=(("scope", scope), ("severity", severity)))
        for scope in ("volatile", "aggregate")
        for severity in ("corrected", "uncorrected")
    ),
    Row("sram_threshold_exceeded", "autoglm_gpu_sram_threshold_exceeded"),
    *(
        Row(f"sram_{scope}_uncorrected_{check}", "autoglm_gpu_sram_errors", labels=(("scope", scope), ("check", check)))
        for scope in ("volatile", "aggregate")
        for check in ("parity", "secded")
    ),
    Row("remap_pending", "autoglm_gpu_remap_pending"),
    Row("remap_failure", "autoglm_gpu_remap_failure"),
    *(
        Row(f"{prefix}_{cause}", metric, labels=(("cause", cause),))
        for prefix, metric in (("remap", "autoglm_gpu_remapped_rows"), ("retired", "autoglm_gpu_retired_pages"))
        for cause in ("corrected", "uncorrected")
    ),
    *(
        Row(f"remap_banks_{left}", "autoglm_gpu_remap_banks", labels=(("left", left),))
        for left in ("max", "high", "partial", "low", "none")
    ),
    Row("retired_pending", "autoglm_gpu_retired_pages_pending"),
    Row("pcie_generation", "autoglm_gpu_pcie_generation"),
    Row("pcie_generation_max", "autoglm_gpu_pcie_generation_max"),
    Row("pcie_width", "autoglm_gpu_pcie_width"),
    Row("pcie_width_max", "autoglm_gpu_pcie_width_max"),
    *(
        Row(f"pcie_{error}", "autoglm_gpu_pcie_errors", labels=(("error", error.removesuffix("_errors")),))
        for error in _PCIE
    ),
    Row("persistence", "autoglm_gpu_persistence_enabled"),
    Row("mig_enabled", "autoglm_gpu_mig_enabled"),
    Row("reset_status", "autoglm_gpu_reset_required", labels=(("kind", "reset"),)),
    Row("drain_and_reset_status", "autoglm_gpu_reset_required", labels=(("kind", "drain_and_reset"),)),
)

# nvmlClocksEventReasons
CLOCK_EVENTS = {
    "gpu_idle": 0x1,
    "applications_clocks_setting": 0x2,
    "sw_power_cap": 0x4,
    "hw_slowdown": 0x8,
    "sync_boost": 0x10,
    "sw_thermal_slowdown": 0x20,
    "hw_thermal_slowdown": 0x40,
    "hw_power_brake_slowdown": 0x80,
    "display_clock_setting": 0x100,
}
RECOVERY_ACTIONS = {
    0: "none",
    1: "reset",
    2: "reboot",
    3: "drain_p2p",
    4: "drain_and_reset",
    5: "recover_imex_domain",
    6: "bus_reset",
    7: "system_reboot",
}
# Corrected single-bit errors are normal; a link that has to retrain, or that has uncorrected errors, is bad.
GRAVE_LINK_ERRORS = frozenset(
    (
        "replay",
        "recovery",
        "local_link_integrity_errors",
        "link_recoveries",
        "link_recoveries_failed",
        "effective_errors",
    )
)
