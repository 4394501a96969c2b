# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The findings of rules, and how they combine into one verdict. Pure.

A C(fault) was read and is one.  C(unknown) is what had to be read and was not.  A C(warning) changes no verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ...faults.catalogue.numbers import FAULT_ACTIONS
from ...faults.classes import ROOT_CAUSE_ORDER

FAULT, UNKNOWN, WARNING = "fault", "unknown", "warning"

# What is done about a class when the rule asks for nothing else.  C(unknown): something is not as the inventory says,
# which no repair changes.
_USUAL = {
    "gpu_lost": "reboot_node",
    "gpu_fault": "reset_gpu",
    "gpu_comm": "switch_comm_path",
    "thermal": "shed_load",
    "crash": "restart_process",
    "unknown": "call_person",
}


@dataclass(frozen=True)
class GpuFinding:
    """action: one of FAULT_ACTIONS; None: what is usual for the class."""

    level: str
    reason: str
    failure_class: str = "unknown"
    action: str | None = None

    def wanted(self) -> str | None:
        """The action of this finding. A missing reading never leads to an action, except that a person looks."""
        if self.level == WARNING:
            return None
        return "call_person" if self.level == UNKNOWN else self.action or _USUAL[self.failure_class]


def fault(failure_class: str, reason: str, action: str | None = None) -> GpuFinding:
    return GpuFinding(FAULT, reason, failure_class, action)


def unknown(reason: str, failure_class: str = "unknown") -> GpuFinding:
    return GpuFinding(UNKNOWN, reason, failure_class)


def warning(reason: str) -> GpuFinding:
    return GpuFinding(WARNING, reason)


def verdict_of(findings: Iterable[GpuFinding]) -> str:
    """C(unhealthy) if anything is a fault, else C(unknown) if anything was not read, else C(healthy)."""
    levels = {finding.level for finding in findings}
    if FAULT in levels:
        return "unhealthy"
    return "unknown" if UNKNOWN in levels else "healthy"


def class_of(findings: Sequence[GpuFinding]) -> str | None:
    """The class that explains the others; None when healthy."""
    verdict = verdict_of(findings)
    level = {"unhealthy": FAULT, "unknown": UNKNOWN}.get(verdict)
    classes = {finding.failure_class for finding in findings if finding.level == level}
    return min(classes, key=ROOT_CAUSE_ORDER.index) if classes else None


def gravest(actions: Iterable[str | None]) -> str | None:
    known = [action for action in actions if action is not None]
    return max(known, key=FAULT_ACTIONS.index) if known else None


def action_of(findings: Iterable[GpuFinding]) -> str | None:
    """The gravest action of the findings; None where there is nothing to do."""
    return gravest(finding.wanted() for finding in findings)


def summary(findings: Sequence[GpuFinding]) -> dict[str, Any]:
    """The keys that every module of the collection returns, and the warnings beside them."""
    telling = [finding for finding in findings if finding.level != WARNING]
    return {
        "verdict": verdict_of(findings),
        "failure_class": class_of(findings),
        "reasons": unique(finding.reason for finding in sorted(telling, key=lambda one: one.level != FAULT)),
        "warnings": unique(finding.reason for finding in findings if finding.level == WARNING),
        "recommended_action": action_of(findings),
    }


def unique(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))
