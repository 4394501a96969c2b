# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The evidence about a GPU, with the kernel's log, as faults/arbitration expects it: three witnesses. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...faults.arbitration import arbitration, by_catalogue, by_nvml
from ...faults.catalogue.kinds import NAMED_KINDS, lookup_kind
from ...faults.catalogue.numbers import Overrides, lookup_sxid, lookup_xid
from .findings import FAULT, WARNING, GpuFinding, action_of, fault, gravest, unique, unknown, warning
from .readable import REQUIRED

Events = Sequence[Mapping[str, Any]]

# Whether these were read is judged here (readable.py), in fewer words and for more values.
_JUDGED_HERE = frozenset({"state", *(name for name in (*REQUIRED, *by_nvml.REQUIRED) if name != "recovery_action")})


def hear_all(
    gpu: Mapping[str, Any],
    findings: Sequence[GpuFinding],
    events: Events | None,
    kernel_required: bool,
    driver: str | None,
    overrides: Overrides,
) -> dict[str, Any]:
    """Verdict, failure_class, recommended_action, reasons, rule and witnesses. events: None: the log was not read."""
    telling = [finding for finding in findings if finding.level != WARNING]
    # A difference from the inventory is a bad reading, but no failure class and nothing to repair.
    odd = [finding for finding in telling if finding.level == FAULT and finding.failure_class == "unknown"]
    told = arbitration.arbitrate(
        events,
        gpu,
        driver_version=driver,
        findings=[_as_witness_finding(finding) for finding in telling if finding not in odd],
        optional=_JUDGED_HERE if kernel_required else _JUDGED_HERE | {"kernel_log"},
        overrides=overrides,
    ).as_dict()
    if events is None and not kernel_required:
        reason = "the kernel's log was not read"
        told["witnesses"]["catalogue"].update(verdict="absent", reasons=[reason])
    if odd:
        _add_findings(told, odd)
    if told["verdict"] == "healthy":
        told["recommended_action"] = None
    return told


def _add_findings(told: dict[str, Any], odd: Sequence[GpuFinding]) -> None:
    if told["verdict"] != "unhealthy":
        told.update(verdict="unhealthy", failure_class="unknown", rule="inventory")
    told["recommended_action"] = gravest([told["recommended_action"], action_of(odd)])
    told["reasons"] = unique([*told["reasons"], *(finding.reason for finding in odd)])


def _as_witness_finding(finding: GpuFinding) -> by_catalogue.WitnessFinding:
    is_fault = finding.level == FAULT
    return by_catalogue.WitnessFinding(
        rule=f"check:{finding.failure_class}" if is_fault else "unread",
        failure_class=finding.failure_class if is_fault else "unknown",
        severity="critical" if is_fault else "warning",
        action=finding.wanted() or "observe",
        reason=finding.reason,
    )


def check_overrides(overrides: Overrides) -> None:
    """Check overrides. Raises ValueError for an unknown code, class or action."""
    for kind, codes in overrides.items():
        if kind not in ("xid", "sxid", "kind") or not isinstance(codes, Mapping):
            raise ValueError(f"overrides are of xid and sxid, code by code, and of kind; not of {kind!r}")
        for code, own in codes.items():
            if kind == "kind":
                if code not in NAMED_KINDS or not isinstance(own, Mapping):
                    raise ValueError(f"override of kind {code!r}: a kind of kernel line and what it means are needed")
                lookup_kind(code, None, overrides)
                continue
            if not str(code).isdigit() or not isinstance(own, Mapping):
                raise ValueError(f"override of {kind} {code!r}: a number and what it means are needed")
            if kind == "xid":
                lookup_xid(int(code), overrides)
            else:
                lookup_sxid(int(code), overrides=overrides)


def judge_events(events: Events, driver: str | None, overrides: Overrides | None = None) -> Iterator[GpuFinding]:
    """The catalogue's findings for events that name no GPU."""
    for one in by_catalogue.judge_faults(events, driver, overrides):
        if one.harmful:
            yield fault(one.failure_class or "unknown", f"the kernel logged: {one.reason}", one.action)
        elif one.doubtful:
            yield unknown(f"the kernel logged: {one.reason}")
        else:
            yield warning(f"the kernel logged: {one.reason}")
