# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether all values of a GPU that a verdict needs were read. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..reading.nvml import MISSING, NOT_SUPPORTED
from .findings import GpuFinding, unknown, warning

_IF_THERE = (NOT_SUPPORTED,)
_IF_KNOWN = (NOT_SUPPORTED, MISSING)
# Says something of who asks, and nothing of the GPU.
_NOT_FOR_US = ("NVML_ERROR_NO_PERMISSION",)
# By one of these a GPU is known; one that has neither has told nothing.
_NAMES = ("pci", "uuid")

# What has to be read, and which kinds of error are no lack.  A board without ECC has no ECC errors, one that shares the
# host's memory has none of its own, a virtual one tells no temperature, and one without a PCI bus has no address; a
# driver that is older than a question leaves a gap, which is told.  Everything else that goes unread makes the verdict
# unknown, and so does an error at anything that was asked besides: it is how a sick GPU answers.
REQUIRED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            "pci", "uuid", "memory_total_bytes", "memory_used_bytes", "temperature_c",
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


def judge_readable(gpu: Mapping[str, Any]) -> Iterator[GpuFinding]:
    """gpu: one of the snapshot's. Says the state first, then what is missing."""
    state = gpu["state"]
    if state in ("lost", "reset_required"):
        return  # faults/arbitration says so, and nothing else can be read then
    if state == "hung":
        yield unknown(f"hung: {gpu['error']['text']}", "gpu_lost")
    elif state != "read":
        error = gpu["error"] or {"error": "not read", "text": ""}
        yield unknown(f"it could not be read: {_error_words(error)}", "gpu_lost")
    if state == "read" and all(gpu["values"].get(name) is None for name in _NAMES):
        yield unknown("it tells neither its PCI address nor its UUID")
    yield from _judge_fields(gpu["values"], gpu["errors"], told=state in ("hung", "unread"))


def _judge_fields(values: Mapping[str, Any], errors: Mapping[str, Any], told: bool) -> Iterator[GpuFinding]:
    unread: dict[str, list[str]] = {}
    old: list[str] = []
    for name, allowed in REQUIRED.items():
        error = errors.get(name)
        if error is None:
            if values.get(name) is None and not told:
                unread.setdefault("it was not asked for", []).append(name)
        elif error["kind"] not in allowed:
            unread.setdefault(_error_words(error), []).append(name)
        elif error["kind"] == MISSING:
            old.append(name)
    for name, error in _other_errors(values, errors):
        unread.setdefault(_error_words(error), []).append(name)
    for why, names in unread.items():
        yield unknown(f"{', '.join(names)} could not be read: {why}")
    if old:
        yield warning(f"the driver or the binding is too old to tell {', '.join(old)}")


def _other_errors(values: Mapping[str, Any], errors: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Errors at what is not required, whole groups that failed, and figures of MIG devices."""
    for name, error in errors.items():
        if name not in REQUIRED and error["kind"] not in _IF_KNOWN and error["error"] not in _NOT_FOR_US:
            yield name, error
    for instance in values.get("mig_devices") or []:
        for name, error in (instance.get("errors") or {}).items():
            if error["kind"] not in _IF_KNOWN:
                yield f"{name} of MIG device {instance.get('index')}", error


def _error_words(error: Mapping[str, str]) -> str:
    return f"{error['error']} ({error['text']})" if error["text"] else error["error"]
