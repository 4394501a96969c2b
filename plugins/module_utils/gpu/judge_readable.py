# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Was everything read of one GPU that a verdict needs? Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .findings import Finding, unknown, warning
from .nvml import MISSING, NOT_SUPPORTED

_ALWAYS: tuple[str, ...] = ()
_IF_THERE = (NOT_SUPPORTED,)
_IF_KNOWN = (NOT_SUPPORTED, MISSING)

# What has to be read, and which kinds of error are no lack.  A board without ECC has no ECC errors; a driver that is
# older than a question leaves a gap, which is told.  Everything else that goes unread makes the verdict unknown.
REQUIRED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("pci", "uuid", "memory_total_bytes", "memory_used_bytes", "temperature_c"), _ALWAYS),
    **dict.fromkeys(
        (
            "ecc_enabled", "ecc_volatile_uncorrected", "ecc_aggregate_uncorrected", "remap_pending", "remap_failure",
            "retired_pending", "retired_corrected", "retired_uncorrected", "clock_reasons", "persistence",
            "mig_enabled", "pcie_generation", "pcie_generation_max", "pcie_width", "pcie_width_max",
            "processes_compute", "nvlinks",
        ),
        _IF_THERE,
    ),
    **dict.fromkeys(
        (
            "recovery_action", "reset_status", "drain_and_reset_status", "sram_threshold_exceeded", "remap_banks_none",
            "mig_devices", "pcie_fatal_errors", "pcie_non_fatal_errors", "pcie_correctable_errors", "nvlink_count",
        ),
        _IF_KNOWN,
    ),
}  # fmt: skip


def judge_readable(gpu: Mapping[str, Any]) -> Iterator[Finding]:
    """gpu: one of the snapshot's. Says the state first, then what is missing."""
    state = gpu["state"]
    if state in ("lost", "reset_required"):
        return  # faults/arbitration says so, and nothing else can be read then
    if state == "hung":
        yield unknown(f"hung: {gpu['error']['text']}", "gpu_lost")
    elif state != "read":
        error = gpu["error"] or {"error": "not read", "text": ""}
        yield unknown(f"it could not be read: {_words(error)}", "gpu_lost")
    yield from _judge_fields(gpu["values"], gpu["errors"], told=state in ("hung", "unread"))


def _judge_fields(values: Mapping[str, Any], errors: Mapping[str, Any], told: bool) -> Iterator[Finding]:
    unread: dict[str, list[str]] = {}
    old: list[str] = []
    for name, allowed in REQUIRED.items():
        error = errors.get(name)
        if error is None:
            if values.get(name) is None and not told:
                unread.setdefault("it was not asked for", []).append(name)
        elif error["kind"] not in allowed:
            unread.setdefault(_words(error), []).append(name)
        elif error["kind"] == MISSING:
            old.append(name)
    for name in errors:
        if ":" in name:  # a whole group that failed
            unread.setdefault(_words(errors[name]), []).append(name)
    for why, names in unread.items():
        yield unknown(f"{', '.join(names)} could not be read: {why}")
    if old:
        yield warning(f"the driver or the binding is too old to tell {', '.join(old)}")


def _words(error: Mapping[str, str]) -> str:
    return f"{error['error']} ({error['text']})" if error["text"] else error["error"]
