# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the catalogue says of kernel faults: the number, and whatever else the line tells.

A fault is a dictionary with the fields of C(autoglm kernel-events), and may have C(count), how often it was seen.  An
event that repeats or explains another one (C(is_new_fault) false) says nothing of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .catalogue import FAULT_ACTIONS, Entry, Overrides, graver, lookup_sxid, lookup_xid
from .nvlink4 import decode_nvlink4
from .nvlink5 import Decoded, decode_nvlink5

Fault = Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """One thing that one witness says.  rule: its name, such as xid:79, counter:remap_failure, driver:recovery_action.

    failure_class: None where nothing has failed.  action: one of FAULT_ACTIONS.
    """

    rule: str
    failure_class: str | None
    severity: str
    action: str
    reason: str

    @property
    def harmful(self) -> bool:
        """Whether something has failed, and it is known what."""
        return self.action != "observe" and self.failure_class not in (None, "unknown")

    @property
    def doubtful(self) -> bool:
        """Whether something is there that nobody can name."""
        return self.action != "observe" and self.failure_class in (None, "unknown")


# kind: (failure class, severity, action, words) of the lines about GPUs that carry no number.
_NAMED = {
    "gpu_init_failure": ("gpu_lost", "critical", "reboot_node", "the driver could not initialise a GPU"),
    "nvlink_init_failure": ("gpu_comm", "critical", "switch_comm_path", "NVLink could not be initialised"),
    # The line reads the same whether the host's library is meant or one in a container; NVML's own error tells.
    "driver_mismatch": (
        "unknown",
        "warning",
        "call_person",
        "a library of another version than the driver's called it",
    ),
    "peermem_error": (
        "gpu_comm",
        "warning",
        "call_person",
        "the GPU's memory could not be shared with the network card",
    ),
    "pcie_dpc": ("gpu_lost", "critical", "reboot_node", "the PCIe port has cut its device off"),
}
_AER = {
    "correctable": ("gpu_fault", "info", "observe", "PCIe errors that were corrected"),
    "non-fatal": ("gpu_fault", "warning", "observe", "PCIe errors that were not corrected; the link goes on"),
    "fatal": ("gpu_lost", "critical", "reboot_node", "a fatal PCIe error"),
}
# Kinds that tell of hosts and processes, and are other people's business.
NOT_OF_GPUS = (
    "none",
    "oom_kill",
    "oom_kill_record",
    "oom_invoked",
    "oom_reaper",
    "hung_task",
    "soft_lockup",
    "kernel_panic",
    "segfault",
    "edac_ce",
    "edac_ue",
    "mce",
    "gpu_identity",
)


def judge_faults(
    faults: Sequence[Fault], driver_version: str | None = None, overrides: Overrides | None = None
) -> list[Finding]:
    """What the catalogue says of each fault, in their order.  Xid 154 is the driver's word, and is not among them."""
    told = [fault for fault in faults if _tells(fault)]
    return [_judge(fault, len(told) == 1, driver_version, overrides) for fault in told]


def _tells(fault: Fault) -> bool:
    if fault.get("is_new_fault") is False or fault.get("kind") in NOT_OF_GPUS:
        return False
    follows = fault.get("kind") == "xid" and fault.get("xid") == 154
    return not (follows and last_recovery([fault]) is not None)


def last_recovery(faults: Sequence[Fault]) -> int | None:
    """The recovery action that the last Xid 154 among the faults announces."""
    for fault in reversed(faults):
        recovery = fault.get("recovery")
        to = recovery.get("to") if isinstance(recovery, Mapping) else None
        if fault.get("xid") == 154 and isinstance(to, int):
            return to
    return None


def _judge(fault: Fault, alone: bool, driver_version: str | None, overrides: Overrides | None) -> Finding:
    kind = str(fault.get("kind"))
    code = fault.get(kind)
    if kind == "xid" and isinstance(code, int):
        return _judge_xid(code, fault, alone, driver_version, overrides)
    if kind == "sxid" and isinstance(code, int):
        return _judge_sxid(code, fault, overrides)
    if kind in ("gpu_off_bus_text", "gpu_off_bus_multiline"):
        return _finding(lookup_xid(79, overrides), "the driver says that the GPU has fallen off the bus")
    named = _NAMED.get(kind)
    if kind == "pcie_aer":
        named = _AER.get(str(fault.get("severity")))
    elif named is None and kind.startswith("ib_"):
        named = ("gpu_comm", "warning", "call_person", "the network card reports a fault")
    if named is None:
        return Finding(f"kernel:{kind[:40]}", "unknown", "warning", "call_person", f"a kernel line of kind {kind[:40]}")
    return Finding(f"kernel:{kind}", *named)


def _judge_xid(
    code: int, fault: Fault, alone: bool, driver_version: str | None, overrides: Overrides | None
) -> Finding:
    entry = lookup_xid(code, overrides)
    if entry.overridden:
        return _finding(entry)
    if entry.rule == "nvlink5":
        words = _part(fault, "nvlink5")
        return _from_decoded(
            decode_nvlink5(
                code,
                words.get("intrinfo"),
                words.get("error_status"),
                words.get("severity"),
                words.get("unit"),
                driver_version,
            )
        )
    if entry.rule == "nvlink4":
        words = _part(fault, "nvlink4")
        if not words.get("registers"):
            return _finding(entry, "it has no registers that could be read, so the link is left")
        return _from_decoded(decode_nvlink4(words["registers"], alone, _count(fault), words.get("link")))
    contained = _part(fault, "containment")
    if contained.get("reset_required") or contained.get("drain_and_reset"):
        asks = "a reset" if contained.get("reset_required") else "a reset once it is drained"
        reason = f"Xid {code}: {entry.title}; the line itself asks for {asks}"
        return Finding(f"xid:{code}:containment", "gpu_fault", "critical", graver(entry.action, "reset_gpu"), reason)
    return _finding(entry)


def _judge_sxid(code: int, fault: Fault, overrides: Overrides | None) -> Finding:
    entry = lookup_sxid(code, fault.get("severity"), str(fault.get("text") or ""), overrides)
    link = fault.get("link")
    if (
        link is not None
        and not entry.overridden
        and entry.failure_class == "gpu_comm"
        and entry.action == "reboot_node"
    ):
        return Finding(
            f"sxid:{code}:link",
            "gpu_comm",
            entry.severity,
            "reset_gpu",
            f"SXid {code}: {entry.title}, on link {link} alone: the GPU at its other end is reset, with its neighbours",
        )
    return _finding(entry)


def _finding(entry: Entry, remark: str = "") -> Finding:
    name = "Xid" if entry.kind == "xid" else "SXid"
    told = "; ".join(filter(None, (entry.title, remark, "the fleet's policy decides" if entry.overridden else "")))
    rule = f"{'policy:' if entry.overridden else ''}{entry.kind}:{entry.code}"
    return Finding(rule, entry.failure_class, entry.severity, entry.action, f"{name} {entry.code}: {told}")


def _from_decoded(decoded: Decoded) -> Finding:
    return Finding(decoded.rule, decoded.failure_class, decoded.severity, decoded.action, "; ".join(decoded.reasons))


def _part(fault: Fault, name: str) -> Mapping[str, Any]:
    part = fault.get(name)
    return part if isinstance(part, Mapping) else {}


def _count(fault: Fault) -> int:
    count = fault.get("count")
    return count if isinstance(count, int) and count > 0 else 1


def gravest(findings: Sequence[Finding]) -> Finding | None:
    """The finding that asks for most; of equals the first."""
    return max(findings, key=lambda finding: FAULT_ACTIONS.index(finding.action), default=None)
