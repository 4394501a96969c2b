# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three witnesses, one verdict on one GPU: the catalogue, the driver, the live counters.  A pure function.

    arbitrate(faults, gpu, driver_version="570.133.20") -> Arbitration; Arbitration.as_dict() is fit for JSON

faults     the kernel faults of this GPU that are still open, as C(autoglm kernel-events) tells them, each with C(count)
           where it was seen more than once; [] if the log was read and holds none; None if it could not be read.
           Which of them are past, because a reset or a reboot came after them, is the caller's to know.
gpu        what NVML said: one of gpu/snapshot.py's C(gpus), of which C(state), C(values) and C(errors) are read; None
           if nothing could be asked.
findings   what else the caller found (Finding of by_catalogue.py): PCIe width, links, fabric, inventory.
optional   names that may stay unread and the GPU still be healthy: C(kernel_log), C(driver), or a name in C(values).
overrides  the fleet's own word on codes, as catalogue.py takes it: C(faults) of the policy.

Output: verdict healthy, unhealthy or unknown; failure_class and recommended_action (None if healthy and nothing is even
worth watching; FAULT_ACTIONS is their order); reasons in words, the decisive one first; rule, the name of what decided;
witnesses {catalogue, driver, counters}, each {verdict, failure_class, action, rule, reasons, unread}, whose verdict may
also be C(absent): the driver is too old to have one.

The rules, which are tested as properties:
- the gravest action of all witnesses is recommended, so the driver may raise and never lowers;
- one witness that proves a failure makes unhealthy; nothing makes healthy but three that were heard, each of which may
  be absent only where the driver has no such thing, or optional;
- what could not be read is unknown.  Not supported by this GPU is an answer, and counts as read;
- an unknown code never leads to more than calling a person.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..catalogue.numbers import FAULT_ACTIONS, Overrides
from ..classes import ROOT_CAUSE_ORDER
from .by_catalogue import Fault, WitnessFinding, gravest, judge_faults, last_recovery
from .by_nvml import Testimony, hear_counters, hear_driver


@dataclass(frozen=True)
class Witness:
    """The verdict of one witness alone."""

    verdict: str
    failure_class: str | None
    action: str | None
    rule: str | None
    reasons: tuple[str, ...]
    unread: tuple[str, ...]


@dataclass(frozen=True)
class Arbitration:
    """The verdict, and the evidence for it."""

    verdict: str
    failure_class: str | None
    recommended_action: str | None
    reasons: tuple[str, ...]
    rule: str
    witnesses: dict[str, Witness]

    def as_dict(self) -> dict[str, Any]:
        """Plain lists and dictionaries."""
        plain: dict[str, Any] = _as_lists(asdict(self))
        return plain


def arbitrate(
    faults: Sequence[Fault] | None,
    gpu: Mapping[str, Any] | None,
    *,
    driver_version: str | None = None,
    findings: Sequence[WitnessFinding] = (),
    optional: Collection[str] = (),
    overrides: Overrides | None = None,
) -> Arbitration:
    """The verdict on one GPU."""
    heard = {
        "catalogue": _hear_catalogue(faults, driver_version, overrides),
        "driver": hear_driver(gpu, last_recovery(faults or ()), driver_version),
        "counters": hear_counters(gpu, findings),
    }
    witnesses = {name: _witness(told, optional, name) for name, told in heard.items()}
    everything = [finding for told in heard.values() for finding in told.findings]
    harmful = [finding for finding in everything if finding.harmful]
    decisive = gravest(harmful) if harmful else None
    if decisive is not None:
        told_first = [decisive, *(finding for finding in everything if finding is not decisive)]
        reasons = [finding.reason for finding in told_first]
        reasons += [reason for witness in witnesses.values() for reason in witness.unread]
        return Arbitration(
            "unhealthy",
            _class_of_cause(heard, harmful),
            decisive.action,
            _without_repeats(reasons),
            decisive.rule,
            witnesses,
        )
    doubts = [finding for finding in everything if finding.doubtful]
    unread = [reason for witness in witnesses.values() for reason in witness.unread]
    observed = [finding.reason for finding in everything if not finding.doubtful]
    if doubts or unread:
        rule = doubts[0].rule if doubts else "unread"
        reasons = [finding.reason for finding in doubts] + unread + observed
        return Arbitration("unknown", "unknown", "call_person", _without_repeats(reasons), rule, witnesses)
    action = "observe" if everything else None
    return Arbitration("healthy", None, action, _without_repeats(observed), "all-read", witnesses)


def _hear_catalogue(
    faults: Sequence[Fault] | None, driver_version: str | None, overrides: Overrides | None
) -> Testimony:
    if faults is None:
        return Testimony((), (("kernel_log", "the kernel's log could not be read"),))
    return Testimony(tuple(judge_faults(faults, driver_version, overrides)), ())


def _witness(heard: Testimony, optional: Collection[str], name: str) -> Witness:
    """The verdict of one witness alone. Missing readings that are optional are left out of C(unread)."""
    spared = name == "driver" and "driver" in optional
    unread = tuple(reason for item, reason in heard.unread if item not in optional and not spared)
    worst = gravest([finding for finding in heard.findings if finding.harmful])
    doubt = next((finding for finding in heard.findings if finding.doubtful), None)
    reasons = tuple(finding.reason for finding in heard.findings)
    if worst is not None:
        return Witness("unhealthy", worst.failure_class, worst.action, worst.rule, reasons, unread)
    if doubt is not None or unread:
        rule = doubt.rule if doubt else "unread"
        return Witness("unknown", "unknown", "call_person", rule, reasons, unread)
    if heard.absent:
        return Witness("absent", None, None, None, (*reasons, heard.absent), ())
    return Witness("healthy", None, "observe" if heard.findings else None, None, reasons, ())


def _class_of_cause(heard: Mapping[str, Testimony], harmful: Sequence[WitnessFinding]) -> str:
    """The class of the root cause.

    The driver advises an action without naming the failure: its class only counts if its action is graver than all
    others, so that the class leads to the ladder with that action.
    """
    of_driver = [finding for finding in harmful if finding in heard["driver"].findings]
    others = [finding for finding in harmful if finding not in of_driver]
    asked = max((FAULT_ACTIONS.index(finding.action) for finding in others), default=-1)
    raising = [finding for finding in of_driver if FAULT_ACTIONS.index(finding.action) > asked]
    classes = [finding.failure_class or "unknown" for finding in (*others, *raising)]
    return min(classes, key=ROOT_CAUSE_ORDER.index)


def _without_repeats(reasons: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(reasons))


def _as_lists(value: Any) -> Any:
    """Tuples as lists, so that a dictionary equals what JSON gives back."""
    if isinstance(value, dict):
        return {key: _as_lists(one) for key, one in value.items()}
    return [_as_lists(one) for one in value] if isinstance(value, (list, tuple)) else value
