# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults from kernel events: each is counted once, with its class, its device and the service that it affects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from autoglm_recovery.exporter.kmsg import KernelRecord
from autoglm_recovery.exporter.services import NOBODY, NodeService, Services
from autoglm_recovery.knowledge.faults.arbitration.by_catalogue import about_gpus, judge_faults
from autoglm_recovery.knowledge.faults.arbitration.recovery import RECOVERY, announced
from autoglm_recovery.knowledge.faults.catalogue.kinds import lookup_kind
from autoglm_recovery.knowledge.faults.catalogue.numbers import Overrides
from autoglm_recovery.knowledge.faults.lines.reading import parse_line

Event = dict[str, Any]

# Kinds whose address is a GPU's; in other kinds it is a switch's, a port's or a network card's.
_ABOUT_GPUS = (
    "xid",
    "gpu_off_bus_text",
    "gpu_off_bus_multiline",
    "gpu_init_failure",
    "gpu_power_cable",
    "gpu_probe_failure",
)
# Kinds that may be about any card of the host.
_ABOUT_ANYTHING = ("pcie_aer", "pcie_dpc", "pcie_link_down")
# A container with an old library logs this too, without harm to the host; NVML shows whether the host is affected.
_COUNTED_ONLY = ("driver_mismatch",)
_REMEMBERED = 64
_PARTS_WINDOW = 5.0


@dataclass(frozen=True)
class CountedFault:
    """A fault with the labels under which the ledger counts it, its time, and what else people should read."""

    labels: dict[str, str]
    at: float
    detail: str = ""


@dataclass
class FaultObserver:
    """Turns records, in their order, into faults; some faults take several lines.

    The functions find the service of a process and of a GPU, and whether an address is a GPU's, as far as known.
    """

    services: Services
    service_of_pid: Callable[[int | None], NodeService | None]
    owner_of_gpu: Callable[[str], NodeService | None]
    is_gpu: Callable[[str], bool]
    overrides: Overrides | None = None
    driver_version: str | None = None
    _groups: dict[int, str] = field(default_factory=dict)
    _parts: tuple[float, str] = (0.0, "")

    def take(self, record: KernelRecord) -> CountedFault | None:
        """Return the fault that a record completes, if any."""
        event = parse_line(record.text)
        kind = event["kind"]
        if kind == "none" or event.get("is_new_fault") is False:
            return None
        if kind == "oom_kill_record":
            self._remember_group(event)
            return None
        if kind == "gpu_off_bus_multiline" and not self._is_complete(event, record.at):
            return None
        return CountedFault(self._labels_of(event), record.at)

    def _remember_group(self, event: Event) -> None:
        """Remember the control group, which is in the line before the one about the kill."""
        if event.get("pid") is None:
            return  # the kernel cuts a line that is too long, before the path
        self._groups[event["pid"]] = event.get("task_memcg") or ""
        if len(self._groups) > _REMEMBERED:
            del self._groups[next(iter(self._groups))]

    def _is_complete(self, event: Event, at: float) -> bool:
        """Tell whether an event is complete: newer drivers spread one message over three lines."""
        if event.get("part") != 3:
            self._parts = (at, event.get("pci") or self._parts[1])
            return False
        begun, pci = self._parts
        self._parts = (0.0, "")
        event["pci"] = event.get("pci") or (pci if at - begun <= _PARTS_WINDOW else "")
        return True

    def _labels_of(self, event: Event) -> dict[str, str]:
        pci = event.get("pci") or ""
        known = event["kind"] in _ABOUT_ANYTHING and self.is_gpu(gpu_name(pci))
        about_gpu = event["kind"] in _ABOUT_GPUS or known
        gpu = gpu_name(pci) if about_gpu else ""
        service = self._service_of(event, gpu) or NOBODY
        labels = {
            "kind": event["kind"],
            "xid": _text(event.get("xid")),
            "sxid": _text(event.get("sxid")),
            "gpu": gpu,
            "device": "" if about_gpu else pci,
            "mig_gi": _text(event.get("mig_gi")),
            "mig_ci": _text(event.get("mig_ci")),
            "failure_class": "" if event["kind"] in _ABOUT_ANYTHING and not known else self._class_of(event),
            "service": service.name,
            "pool": service.pool,
        }
        return {name: value for name, value in labels.items() if value}

    def _class_of(self, event: Event) -> str:
        """Return the class; empty where there is nothing to do, or where only a person can decide."""
        own = lookup_kind(event["kind"], None, self.overrides)
        if own.overridden:
            return "" if own.action == "observe" else own.failure_class or "unknown"
        if event["kind"] == "oom_kill":
            return "oom"
        if not about_gpus(event) or event["kind"] in _COUNTED_ONLY:
            return ""
        if event.get("xid") == 154 and "recovery" in event:
            return _recovery_class(announced(event["recovery"]))
        findings = judge_faults([event], self.driver_version, self.overrides)
        if not findings or findings[0].action == "observe":
            return ""
        return "unknown" if findings[0].action == "call_person" else findings[0].failure_class or "unknown"

    def _service_of(self, event: Event, gpu: str) -> NodeService | None:
        pid = event.get("pid")
        group = self._groups.pop(pid, None) if event["kind"] == "oom_kill" and pid is not None else None
        if group is not None:
            return self.services.of_group(group)
        return self.service_of_pid(pid) or (self.owner_of_gpu(gpu) if gpu else None)


def _recovery_class(number: int | None) -> str:
    """Return the class for Xid 154, which has NVML's number of a recovery action; an unknown number is for a person."""
    if number == 0:
        return ""
    failure_class, action, _ = RECOVERY.get(number or 0, ("unknown", "call_person", ""))
    return "unknown" if action == "call_person" else failure_class


def gpu_name(pci: str) -> str:
    """Return a PCI address as kernel lines write it: without the function, in lower case."""
    return pci.lower().partition(".")[0]


def _text(value: object) -> str:
    return "" if value is None else str(value)
