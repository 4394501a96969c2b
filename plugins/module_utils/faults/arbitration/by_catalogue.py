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

from ..catalogue.kinds import HOST_KINDS, lookup_kind
from ..catalogue.numbers import FAULT_ACTIONS, CatalogueEntry, Overrides, graver, lookup_sxid, lookup_xid
from ..catalogue.nvlink4 import decode_nvlink4
from ..catalogue.nvlink5 import Decoded, decode_nvlink5
from ..lines.heads import GPU_TRIGGERS
from .recovery import announced

Fault = Mapping[str, Any]


@dataclass(frozen=True)
class WitnessFinding:
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
        """Whether it reports a failure of a known class."""
        return self.action != "observe" and self.failure_class not in (None, "unknown")

    @property
    def doubtful(self) -> bool:
        """Whether it reports something whose class is unknown."""
        return self.action != "observe" and self.failure_class in (None, "unknown")


# Kinds that tell of hosts and processes, or repeat another: no witness about a GPU.
NOT_OF_GPUS = (
    "none",
    "oom_kill_record",
    "oom_invoked",
    "oom_announced",
    "oom_group_kill",
    "oom_reaper",
    "gpu_identity",
    "amdgpu_process",
    *sorted(HOST_KINDS),
)


def about_gpus(fault: Fault) -> bool:
    """Whether a line may be evidence about a GPU; an unreadable line counts too if it names the driver."""
    kind = fault.get("kind")
    if kind == "unreadable":
        return fault.get("trigger") in GPU_TRIGGERS
    return kind not in NOT_OF_GPUS


def judge_faults(
    faults: Sequence[Fault], driver_version: str | None = None, overrides: Overrides | None = None
) -> list[WitnessFinding]:
    """The catalogue's finding for each fault, in their order. Xid 154 is left out: it is the driver's own verdict."""
    told = [fault for fault in faults if _says_something(fault)]
    return [_judge(fault, len(told) == 1, driver_version, overrides) for fault in told]


def _says_something(fault: Fault) -> bool:
    if fault.get("is_new_fault") is False or not about_gpus(fault):
        return False
    follows = fault.get("kind") == "xid" and fault.get("xid") == 154
    return not (follows and last_recovery([fault]) is not None)


def last_recovery(faults: Sequence[Fault]) -> int | None:
    """The recovery action that the last Xid 154 among the faults announces."""
    for fault in reversed(faults):
        recovery = fault.get("recovery")
        action = announced(recovery) if isinstance(recovery, Mapping) else None
        if fault.get("xid") == 154 and action is not None:
            return action
    return None


def _judge(fault: Fault, alone: bool, driver_version: str | None, overrides: Overrides | None) -> WitnessFinding:
    kind = str(fault.get("kind"))
    code = fault.get(kind)
    if kind == "xid" and isinstance(code, int):
        return _judge_xid(code, fault, alone, driver_version, overrides)
    if kind == "sxid" and isinstance(code, int):
        return _judge_sxid(code, fault, overrides)
    if kind in ("gpu_off_bus_text", "gpu_off_bus_multiline"):
        return _finding_from(lookup_xid(79, overrides), "the driver says that the GPU has fallen off the bus")
    stage = fault.get("severity") or fault.get("stage")
    return _finding_of_kind(lookup_kind(kind, stage if isinstance(stage, str) else None, overrides))


def _finding_of_kind(entry: CatalogueEntry) -> WitnessFinding:
    remark = "; the fleet's policy decides" if entry.overridden else ""
    rule = f"{'policy:' if entry.overridden else ''}kernel:{entry.mnemonic}"
    return WitnessFinding(rule, entry.failure_class, entry.severity, entry.action, f"{entry.title}{remark}")


def _judge_xid(
    code: int, fault: Fault, alone: bool, driver_version: str | None, overrides: Overrides | None
) -> WitnessFinding:
    entry = lookup_xid(code, overrides)
    if entry.overridden:
        return _finding_from(entry)
    if entry.rule == "nvlink5":
        words = _part_of(fault, "nvlink5")
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
        words = _part_of(fault, "nvlink4")
        if not words.get("registers"):
            return _finding_from(entry, "it has no registers that could be read, so the link is left")
        return _from_decoded(decode_nvlink4(words["registers"], alone, _count_of(fault), words.get("link")))
    contained = _part_of(fault, "containment")
    if contained.get("reset_required") or contained.get("drain_and_reset"):
        asks = "a reset" if contained.get("reset_required") else "a reset once it is drained"
        reason = f"Xid {code}: {entry.title}; the line itself asks for {asks}"
        return WitnessFinding(
            f"xid:{code}:containment", "gpu_fault", "critical", graver(entry.action, "reset_gpu"), reason
        )
    return _finding_from(entry)


def _judge_sxid(code: int, fault: Fault, overrides: Overrides | None) -> WitnessFinding:
    entry = lookup_sxid(code, fault.get("severity"), str(fault.get("text") or ""), overrides)
    link = fault.get("link")
    if (
        link is not None
        and not entry.overridden
        and entry.failure_class == "gpu_comm"
        and entry.action == "reboot_node"
    ):
        return WitnessFinding(
            f"sxid:{code}:link",
            "gpu_comm",
            entry.severity,
            "reset_gpu",
            f"SXid {code}: {entry.title}, on link {link} alone: the GPU at its other end is reset, with its neighbours",
        )
    return _finding_from(entry)


def _finding_from(entry: CatalogueEntry, remark: str = "") -> WitnessFinding:
    name = "Xid" if entry.kind == "xid" else "SXid"
    told = "; ".join(filter(None, (entry.title, remark, "the fleet's policy decides" if entry.overridden else "")))
    rule = f"{'policy:' if entry.overridden else ''}{entry.kind}:{entry.code}"
    return WitnessFinding(rule, entry.failure_class, entry.severity, entry.action, f"{name} {entry.code}: {told}")


def _from_decoded(decoded: Decoded) -> WitnessFinding:
    return WitnessFinding(
        decoded.rule, decoded.failure_class, decoded.severity, decoded.action, "; ".join(decoded.reasons)
    )


def _part_of(fault: Fault, name: str) -> Mapping[str, Any]:
    part = fault.get(name)
    return part if isinstance(part, Mapping) else {}


def _count_of(fault: Fault) -> int:
    count = fault.get("count")
    return count if isinstance(count, int) and count > 0 else 1


def gravest(findings: Sequence[WitnessFinding]) -> WitnessFinding | None:
    """The finding with the gravest action; of equals the first."""
    return max(findings, key=lambda finding: FAULT_ACTIONS.index(finding.action), default=None)
