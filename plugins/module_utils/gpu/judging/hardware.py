# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thresholds, and the history of memory and link. What the driver's counters say at once is faults/arbitration's.
Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .expectations import DEFAULT_THRESHOLDS, THRESHOLD_CLASSES, Expectations
from .findings import GpuFinding, fault, unknown, warning

Values = Mapping[str, Any]


def judge_history(values: Values) -> Iterator[GpuFinding]:
    """Warnings about values that are no fault yet but may become one."""
    if values.get("remap_banks_none"):
        yield warning(f"{values['remap_banks_none']} memory banks have no spare row left")
    if values.get("ecc_aggregate_uncorrected"):
        yield warning(f"{values['ecc_aggregate_uncorrected']} uncorrectable ECC errors in the life of the GPU")
    if values.get("pcie_non_fatal_errors"):
        yield warning(f"{values['pcie_non_fatal_errors']} non-fatal PCIe errors since the driver was loaded")


def judge_thresholds(gpu: Mapping[str, Any], expected: Expectations) -> Iterator[GpuFinding]:
    """Values above their limit. A limit that somebody set for what cannot be read makes the verdict unknown."""
    values = {**gpu["values"], "retired_pages": _retired_pages(gpu["values"])}
    for name, limit in expected.limits().items():
        value = values.get(name)
        if value is None:
            if name in expected.thresholds and name not in DEFAULT_THRESHOLDS:
                yield unknown(f"{name} has a threshold and could not be read")
        elif value > limit:
            action = "quarantine_node" if name == "retired_pages" else None
            yield fault(THRESHOLD_CLASSES[name], f"{name} is {value}, above the threshold of {limit:g}", action)


def _retired_pages(values: Values) -> int | None:
    counts = [values.get("retired_corrected"), values.get("retired_uncorrected")]
    return None if None in counts else sum(count for count in counts if count is not None)
