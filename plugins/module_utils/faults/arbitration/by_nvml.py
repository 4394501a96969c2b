# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two of the three witnesses about a GPU: the driver's advice, and the live counters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..catalogue.nvlink5 import driver_branch
from .by_catalogue import WitnessFinding
from .recovery import RECOVERY

# From this branch on a driver has a verdict of its own (field 230).  Before it, no answer is no verdict.
VERDICT_SINCE = 570

# Counter: (failure class, severity, action, words) where it is true or above zero.
_COUNTERS = {
    "ecc_volatile_uncorrected": (
        "gpu_fault",
        "critical",
        "reset_gpu",
        "uncorrectable memory errors since the last load",
    ),
    "remap_pending": ("gpu_fault", "critical", "reset_gpu", "rows wait for a reset to be replaced"),
    "remap_failure": (
        "gpu_fault",
        "critical",
        "quarantine_node",
        "rows could not be replaced: the GPU is to be exchanged",
    ),
    "retired_pending": ("gpu_fault", "critical", "reset_gpu", "pages wait for a reset to be retired"),
    "sram_threshold_exceeded": (
        "gpu_fault",
        "critical",
        "quarantine_node",
        "more SRAM errors than NVIDIA allows: field diagnostics, then exchange",
    ),
}
# The bits of clock_reasons that tell of heat or of power that lacks.
_SLOWDOWNS = {
    0x8: "the hardware slows the GPU down",
    0x20: "the driver slows the GPU down for its heat",
    0x40: "the hardware slows the GPU down for its heat",
    0x80: "the power brake is pulled",
}
# What has to be read for a GPU to be healthy, if the GPU has it at all.
REQUIRED = ("ecc_volatile_uncorrected", "remap_pending", "remap_failure", "retired_pending", "clock_reasons")


@dataclass(frozen=True)
class Testimony:
    """The findings of one witness.  unread: (name, reason) of missing readings.  absent: why it has no findings."""

    findings: tuple[WitnessFinding, ...]
    unread: tuple[tuple[str, str], ...]
    absent: str = ""


def hear_driver(gpu: Mapping[str, Any] | None, announced: int | None, driver_version: str | None) -> Testimony:
    """The driver's own verdict.  announced: the recovery action of the last Xid 154."""
    findings = [] if announced is None else _recovery_findings("driver:xid154", announced, "announces")
    if gpu is None:
        return Testimony(tuple(findings), (("driver", "NVML could not be asked"),))
    if gpu.get("state") == "reset_required":
        words = "the driver answers nothing but that the GPU needs a reset"
        findings.append(WitnessFinding("driver:reset_required", "gpu_fault", "critical", "reset_gpu", words))
    values, errors = _values_and_errors(gpu)
    action = _as_number(values.get("recovery_action"))
    if action is not None:
        findings += _recovery_findings("driver:recovery_action", action, "recommends")
    for name, words in (
        ("reset_status", "the driver says that a reset is due"),
        ("drain_and_reset_status", "the driver says that a drain and a reset are due"),
    ):
        if _as_number(values.get(name)):
            findings.append(WitnessFinding(f"driver:{name}", "gpu_fault", "critical", "reset_gpu", words))
    if action is not None:
        return Testimony(tuple(findings), ())
    return _why_no_verdict(tuple(findings), gpu, errors.get("recovery_action"), driver_version)


def _why_no_verdict(
    findings: tuple[WitnessFinding, ...], gpu: Mapping[str, Any], error: Any, driver_version: str | None
) -> Testimony:
    """Why field 230 has no value. An older driver gives no verdict, which does not mean that the GPU is healthy."""
    kind = error.get("kind") if isinstance(error, Mapping) else None
    branch = driver_branch(driver_version)
    old = branch is not None and branch < VERDICT_SINCE
    if gpu.get("state") in (None, "read") and (kind in ("not_supported", "missing") or (old and error is not None)):
        why = f"driver {driver_version} has none" if old else "it has none for this GPU"
        return Testimony(findings, (), f"no verdict of the driver: {why}")
    return Testimony(
        findings, (("recovery_action", f"the driver's verdict could not be read: {_why_unread(gpu, error)}"),)
    )


def _recovery_findings(rule: str, number: int, verb: str) -> list[WitnessFinding]:
    if number == 0:
        return []
    known = RECOVERY.get(number)
    if known is None:
        words = f"the driver {verb} an action that nobody knows: {number}"
        return [WitnessFinding(f"{rule}={number}", "unknown", "critical", "call_person", words)]
    failure_class, action, words = known
    return [WitnessFinding(f"{rule}={number}", failure_class, "critical", action, f"the driver {verb}: {words}")]


def hear_counters(gpu: Mapping[str, Any] | None, findings: Sequence[WitnessFinding] = ()) -> Testimony:
    """The findings of the live counters, and those of the caller."""
    if gpu is None:
        return Testimony(tuple(findings), (("counters", "NVML could not be asked"),))
    state = gpu.get("state", "read")
    if state == "lost":
        lost = WitnessFinding("gpu:lost", "gpu_lost", "critical", "reboot_node", "NVML says that the GPU is lost")
        return Testimony((lost, *findings), ())
    found = [*_counter_findings(gpu), *findings]
    if state == "reset_required":
        return Testimony(tuple(found), ())  # the driver said so, which is its own finding
    unread = [] if state == "read" else [("state", f"the GPU was not read: {_why_unread(gpu, gpu.get('error'))}")]
    return Testimony(tuple(found), (*unread, *_missing_counters(gpu)))


def _counter_findings(gpu: Mapping[str, Any]) -> list[WitnessFinding]:
    values, _errors = _values_and_errors(gpu)
    found = []
    for name, judged in _COUNTERS.items():
        value = _as_number(values.get(name))
        if value is not None and value > 0:
            failure_class, severity, action, words = judged
            told = words if value == 1 else f"{words} ({value})"
            found.append(WitnessFinding(f"counter:{name}", failure_class, severity, action, told))
    reasons = _as_number(values.get("clock_reasons")) or 0
    slowed = [words for bit, words in _SLOWDOWNS.items() if reasons & bit]
    if slowed:
        found.append(WitnessFinding("counter:clock_reasons", "thermal", "warning", "shed_load", "; ".join(slowed)))
    return found


def _missing_counters(gpu: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The counters that could not be read, of required ones the first only. Counters that GPU or driver do not
    have are left out."""
    values, errors = _values_and_errors(gpu)
    missing = []
    for name in (*REQUIRED, *(name for name in _COUNTERS if name not in REQUIRED)):
        if _as_number(values.get(name)) is not None:
            continue
        error = errors.get(name)
        kind = error.get("kind") if isinstance(error, Mapping) else None
        if kind == "not_supported" or (kind == "missing" and name not in REQUIRED):
            continue
        if error is None and name not in REQUIRED:
            continue  # was not asked
        missing.append((name, f"{name} could not be read: {_why_unread(gpu, error)}"))
    return missing


def _why_unread(gpu: Mapping[str, Any], error: Any) -> str:
    if not isinstance(error, Mapping):
        error = gpu.get("error")
    if isinstance(error, Mapping):
        words = [str(error.get(key)) for key in ("error", "text") if error.get(key)]
        if words:
            return ": ".join(words)
    return "the driver hung" if gpu.get("state") == "hung" else "it was not asked"


def _values_and_errors(gpu: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    values, errors = gpu.get("values"), gpu.get("errors")
    return (values if isinstance(values, Mapping) else {}), (errors if isinstance(errors, Mapping) else {})


def _as_number(value: Any) -> int | None:
    """A number or a boolean as a number; None for anything else."""
    return int(value) if isinstance(value, (int, bool)) else None
