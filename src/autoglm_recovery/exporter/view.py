# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The view of the GPUs that combines a snapshot with the memory of earlier ones.  Pure but for reading the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Optional

from autoglm_recovery.exporter.gpu_metrics import GpuView, HostView
from autoglm_recovery.exporter.memory import GpuOwnerMemory, KnownGpu, Snapshot, pids_on
from autoglm_recovery.exporter.services import NOBODY, NodeService
from autoglm_recovery.knowledge.gpu.judging.expectations import Expectations
from autoglm_recovery.knowledge.gpu.judging.verdict import Surroundings, assess

# As Python 3.9 writes it: this one is evaluated.
ServiceOf = Callable[[Optional[int]], Optional[NodeService]]


def not_looked_yet(memory: GpuOwnerMemory) -> HostView:
    """Return the view before the first snapshot: the known GPUs, with unknown health."""
    known = memory.known()
    gpus = [GpuView(one, "unknown", owner=_owner_or_nobody(memory, one)) for one in known]
    return HostView("unknown", gpus, expected=memory.expected if memory.expected is not None else len(known))


def view_of(snapshot: Snapshot, memory: GpuOwnerMemory, service_of: ServiceOf) -> HostView:
    """Return the view of a snapshot that the memory has already learnt from."""
    assessed = assess(snapshot, Expectations(gpus=memory.expected), Surroundings())
    verdicts = [one["verdict"] for one in assessed["gpus"]]
    readable = snapshot["nvml"]["state"] == "read"
    seen = [
        _view_of_device(device, verdict, snapshot, memory, service_of)
        for device, verdict in zip(snapshot["gpus"], verdicts)
    ]
    names = {view.known.gpu for view in seen}
    gone = [
        GpuView(
            known, "unhealthy" if readable else "unknown", "gone", lost=readable, owner=_owner_or_nobody(memory, known)
        )
        for known in memory.known()
        if known.gpu not in names
    ]
    gpus = sorted([*seen, *gone], key=lambda view: (view.known.index, view.known.gpu))
    error = snapshot["nvml"]["error"]
    return HostView(
        verdict=_worst_verdict({assessed["verdict"], *(view.verdict for view in gpus)}),
        gpus=gpus,
        expected=_expected_gpus(snapshot, memory),
        present=_present_by_witness(snapshot),
        error=error["error"] if error else None,
        versions=snapshot["nvml"]["values"],
    )


def errors_in(snapshot: Snapshot) -> Iterator[str]:
    """Yield the name of each error of a snapshot, except for values that the GPU or driver does not support."""
    if snapshot["nvml"]["error"]:
        yield snapshot["nvml"]["error"]["error"]
    for device in snapshot["gpus"]:
        if device["error"]:
            yield device["error"]["error"]
        kinds = {error["error"]: error["kind"] for error in device["errors"].values()}
        yield from (name for name, kind in kinds.items() if kind not in ("not_supported", "missing"))


def _view_of_device(
    device: Mapping[str, Any], verdict: str, snapshot: Snapshot, memory: GpuOwnerMemory, service_of: ServiceOf
) -> GpuView:
    known = memory.name_of(device)
    owners = {pid: service for pid in pids_on(device) if (service := service_of(pid)) is not None}
    missing = memory.missing_links(device, snapshot["gpus"])
    return GpuView(
        known=known,
        verdict=_worst_verdict({verdict, "unhealthy" if missing else "healthy"}),
        state=device["state"],
        values=device["values"],
        lost=device["state"] == "lost",
        links_missing=missing,
        owner=_owner_or_nobody(memory, known),
        services=owners,
    )


def _worst_verdict(verdicts: set[str]) -> str:
    return next((verdict for verdict in ("unhealthy", "unknown") if verdict in verdicts), "healthy")


def _expected_gpus(snapshot: Snapshot, memory: GpuOwnerMemory) -> int:
    """Return how many GPUs there should be.  A GPU that is bound to another driver does not count."""
    if memory.expected is not None:
        return memory.expected
    return max(_gpus_on_bus(snapshot) or 0, len(memory.known()))


def _present_by_witness(snapshot: Snapshot) -> dict[str, int]:
    present = {}
    on_bus, nodes = _gpus_on_bus(snapshot), snapshot["host"]["nodes"]["value"]
    if on_bus is not None:
        present["pci"] = on_bus
    if nodes is not None:
        present["device_files"] = len(nodes)
    if snapshot["nvml"]["state"] == "read":
        present["nvml"] = len(snapshot["gpus"])
    return present


def _gpus_on_bus(snapshot: Snapshot) -> int | None:
    devices = snapshot["host"]["pci"]["value"]
    return None if devices is None else sum(one["driver"] in (None, "nvidia") for one in devices)


def _owner_or_nobody(memory: GpuOwnerMemory, known: KnownGpu) -> NodeService:
    return memory.owner_of(known.gpu) or NOBODY
