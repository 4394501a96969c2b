# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The alerts that a kernel line raises: the one source of the alert rules and of the fast alerts.

Alertmanager takes two alerts for one when all their labels are equal.  A fault is a series of the exporter, so both
ways keep the same labels of it (``IDENTITY``), and add the same ones of ``KernelAlert``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

# Labels that identify a fault.  Empty ones are dropped, as Prometheus does.
IDENTITY = ("kind", "xid", "sxid", "gpu", "device", "service", "pool")
# Further labels of a fault's series: its class, and the GPU instance that it names.
SERIES = (*IDENTITY, "mig_gi", "mig_ci", "failure_class")

# A burst of lines is one fault until it has been silent for this long.
BURST = timedelta(minutes=3)
# An OOM kill is over when the service answers; an answer from before the kill may be this old.
SHORT = timedelta(seconds=30)
# An intruder who is silent is still there; people need the time to come.
LONG = timedelta(hours=1)


@dataclass(frozen=True)
class KernelAlert:
    """An alert for kernel faults of one class.  It fires for ``hold`` after the last line, by rule and by fast path."""

    name: str
    failure_class: str
    severity: str
    hold: timedelta
    summary: str
    needs_service: bool = False
    # It fires for a while after a line was logged, even if the fault is over.
    nature: str = "event"

    @property
    def fixed(self) -> dict[str, str]:
        """Return the labels that the rule adds."""
        return {"failure_class": self.failure_class, "severity": self.severity, "nature": self.nature}


KERNEL_ALERTS = (
    KernelAlert("GPUFellOffBus", "gpu_lost", "critical", BURST, "the kernel lost a GPU"),
    KernelAlert("GPUKernelFault", "gpu_fault", "critical", BURST, "the kernel reports a GPU fault"),
    KernelAlert("GPUFabricFault", "gpu_comm", "critical", BURST, "the kernel reports a fault of the GPU fabric"),
    KernelAlert("GPUThermalFault", "thermal", "critical", BURST, "the kernel reports a GPU short of cooling or power"),
    KernelAlert("GPUUnclassedFault", "unknown", "warning", BURST, "the kernel reports a GPU fault without a class"),
    KernelAlert("ServiceOOMKilled", "oom", "critical", SHORT, "the OOM killer ended a process", needs_service=True),
    KernelAlert(
        "ServiceUnexpectedExec",
        "intrusion",
        "critical",
        LONG,
        "a program ran that may not run there",
        needs_service=True,
    ),
)
BY_CLASS = {alert.failure_class: alert for alert in KERNEL_ALERTS}


def alert_of(fault: Mapping[str, str]) -> KernelAlert | None:
    """Return the alert that a fault with these series labels raises, if any."""
    alert = BY_CLASS.get(fault.get("failure_class", ""))
    if alert is None or (alert.needs_service and not fault.get("service")):
        return None
    return alert


def labels_of(alert: KernelAlert, host: str, fault: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Return all labels of a fast alert.  ``more``: what the operator's Prometheus adds (external labels)."""
    kept = {name: fault.get(name, "") for name in IDENTITY}
    labels = {**more, **kept, "host": host, "alertname": alert.name, **alert.fixed}
    return {name: value for name, value in labels.items() if value}


def summary_of(alert: KernelAlert, host: str, fault: Mapping[str, str]) -> str:
    """Return one sentence for people, the same that the rule's template gives."""
    code = fault.get("xid") or fault.get("sxid") or ""
    what = " ".join(part for part in (fault.get("kind", ""), code) if part)
    place = fault.get("gpu") or fault.get("device") or fault.get("service") or ""
    return f"{host}: {alert.summary} ({what}{f' on {place}' if place else ''})"
