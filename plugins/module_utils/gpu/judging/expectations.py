# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The expectations of the inventory about a host's GPUs, and the thresholds. What is not given is not expected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# Above these a value is a fault.  Counts that only ever grow (corrected errors, replays) have no limit of themselves:
# what matters of them is their rate.  60 retired pages are NVIDIA's limit for a replacement.
DEFAULT_THRESHOLDS: dict[str, float] = {
    "pcie_fatal_errors": 0,
    "retired_pages": 60,
}

# Which values may have a threshold, and the failure class of one that is above it.
THRESHOLD_CLASSES = {
    "temperature_c": "thermal",
    "memory_temperature_c": "thermal",
    "power_usage_mw": "thermal",
    **dict.fromkeys(
        (
            "ecc_volatile_corrected", "ecc_aggregate_corrected", "ecc_aggregate_uncorrected",
            "sram_volatile_uncorrected_parity", "sram_volatile_uncorrected_secded",
            "sram_aggregate_uncorrected_parity", "sram_aggregate_uncorrected_secded",
            "remap_corrected", "remap_uncorrected", "remap_banks_none", "remap_banks_low", "retired_pages",
            "pcie_replay", "pcie_replay_rollover", "pcie_correctable_errors", "pcie_naks_received",
            "pcie_receiver_errors", "pcie_bad_tlp", "pcie_naks_sent", "pcie_bad_dllp", "pcie_non_fatal_errors",
            "pcie_fatal_errors", "pcie_unsupported_requests", "pcie_lcrc_errors", "pcie_lane_errors",
        ),
        "gpu_fault",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Expectations:
    """The expectations of a host. A field that is None expects nothing.

    mig: profile names of each GPU's instances, such as ("3g.40gb", "3g.40gb"); empty: MIG is off.
    busy_percent: utilisation from which on a PCIe link has to run at its full speed.
    """

    gpus: int | None = None
    driver: str | None = None
    persistence: bool | None = None
    ecc: bool | None = None
    mig: tuple[str, ...] | None = None
    pcie_width: int | None = None
    pcie_generation: int | None = None
    nvlinks: int | None = None
    busy_percent: int = 10
    thresholds: Mapping[str, float] = field(default_factory=dict)

    def limits(self) -> dict[str, float]:
        """Every threshold in force. A negative one is switched off."""
        return {name: limit for name, limit in {**DEFAULT_THRESHOLDS, **self.thresholds}.items() if limit >= 0}

    def check(self) -> None:
        """Raises ValueError for expectations that no host can meet, or for unknown values."""
        for name in self.thresholds:
            if name not in THRESHOLD_CLASSES:
                raise ValueError(f"there is no threshold {name!r}; there are {', '.join(sorted(THRESHOLD_CLASSES))}")
        for name in ("gpus", "pcie_width", "pcie_generation", "nvlinks"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"expected {name} must not be less than 0")
