# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory between snapshots of the GPUs: the GPUs seen, how many links were up, and which service used each.

A GPU that was seen and is not listed any more is lost.  A link is missing if it was up before in this boot, or if it is
up on the other GPUs of the same model: a board with fewer links, or one that uses only some of them, is healthy.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from autoglm_recovery.exporter.faults import gpu_name
from autoglm_recovery.exporter.services import NOBODY, NodeService, Services

Snapshot = Mapping[str, Any]


@dataclass(frozen=True)
class KnownGpu:
    """A GPU that was seen.  ``owner``: the service that used it last; ``shared``: there were several."""

    gpu: str
    uuid: str
    index: int
    links_up: int = 0
    owner: str = ""


@dataclass
class GpuOwnerMemory:
    """Learns from each snapshot.  Safe to ask from several threads."""

    services: Services
    expected: int | None = None
    _known: dict[str, KnownGpu] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def known(self) -> list[KnownGpu]:
        """Return all GPUs that were seen, by index."""
        with self._lock:
            return sorted(self._known.values(), key=lambda one: (one.index, one.gpu))

    def owner_of(self, gpu: str) -> NodeService | None:
        """Return the service that used a GPU last; None where several shared it."""
        with self._lock:
            known = self._known.get(gpu)
        return self.services.named(known.owner) if known is not None else None

    def knows(self, gpu: str) -> bool:
        """Return whether this is the address of a GPU that was seen."""
        with self._lock:
            return gpu in self._known

    def learn(self, snapshot: Snapshot, service_of: Callable[[int | None], NodeService | None]) -> None:
        """Learn from a snapshot."""
        if snapshot["nvml"]["state"] != "read":
            return
        listed = set()
        with self._lock:
            for device in snapshot["gpus"]:
                seen = _identify(device)
                if seen is None:
                    continue
                listed.add(seen.gpu)
                before = self._known.get(seen.gpu)
                if before is not None and before.uuid == seen.uuid:
                    seen = replace(seen, links_up=max(seen.links_up, before.links_up), owner=before.owner)
                owners = {service_of(pid) for pid in pids_on(device)} - {None}
                if owners:
                    seen = replace(seen, owner=_only_owner(owners))
                self._known[seen.gpu] = seen
            # The operator has configured the number: a GPU beyond it was taken out on purpose.
            if self.expected is not None and len(listed) >= self.expected:
                self._known = {gpu: known for gpu, known in self._known.items() if gpu in listed}

    def name_of(self, device: Mapping[str, Any]) -> KnownGpu:
        """Return the GPU's identity, from memory if the GPU does not answer."""
        seen = _identify(device)
        if seen is not None:
            return seen
        uuid, index = device["values"].get("uuid"), device["index"]
        pci = device["values"].get("pci")
        for known in self.known():
            if (pci and known.gpu == gpu_name(pci)) or (uuid and known.uuid == uuid):
                return known
        claimed = next((known for known in self.known() if known.index == index), None)
        return claimed or KnownGpu(gpu_name(pci) if pci else f"index-{index}", uuid or "", index)

    def missing_links(self, device: Mapping[str, Any], all_devices: Iterable[Mapping[str, Any]]) -> int | None:
        """Return how many links are down that should be up; None where that is unknown."""
        up = links_up(device)
        if up is None:
            return None
        best = max((known.links_up for known in self.known() if known.gpu == self.name_of(device).gpu), default=0)
        model = device["values"].get("name")
        peers = [links_up(peer) or 0 for peer in all_devices if model and peer["values"].get("name") == model]
        if up == 0 and best == 0:
            return 0  # this GPU does not use NVLink
        return max(best, *peers, up) - up

    def dump(self) -> list[dict[str, Any]]:
        """Return what the state file keeps."""
        return [vars(known) for known in self.known()]

    def restore(self, stored: object, same_boot: bool) -> None:
        """Take over the valid entries of a state file."""
        for entry in stored if isinstance(stored, list) else []:
            if not isinstance(entry, dict):
                continue
            gpu, uuid, index = entry.get("gpu"), entry.get("uuid"), entry.get("index")
            links, owner = entry.get("links_up"), entry.get("owner")
            if not isinstance(gpu, str) or not isinstance(uuid, str) or type(index) is not int or not gpu:
                continue
            links_up_then = links if same_boot and type(links) is int else 0
            self._known[gpu] = KnownGpu(gpu, uuid, index, links_up_then, owner if isinstance(owner, str) else "")


def links_up(device: Mapping[str, Any]) -> int | None:
    """Return how many links are up; None where they were not read."""
    links = device["values"].get("nvlinks")
    return None if links is None else sum(bool(link["up"]) for link in links)


def pids_on(device: Mapping[str, Any]) -> set[int]:
    """Return the processes on a GPU."""
    lists = (device["values"].get(f"processes_{kind}") or [] for kind in ("compute", "graphics", "mps"))
    return {process["pid"] for processes in lists for process in processes}


def _identify(device: Mapping[str, Any]) -> KnownGpu | None:
    pci, uuid = device["values"].get("pci"), device["values"].get("uuid")
    if not pci or not uuid:
        return None
    return KnownGpu(gpu_name(pci), uuid, device["index"], links_up(device) or 0)


def _only_owner(owners: set[NodeService | None]) -> str:
    return (owners.pop() or NOBODY).name if len(owners) == 1 else ""
