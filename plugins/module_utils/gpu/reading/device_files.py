# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who keeps GPUs and their driver busy, beside what NVML lists: open device files, and modules of the kernel."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...leftovers import processes as running
from ...leftovers.selection import DRI_DEVICE_PREFIX, ObservedProcess
from ...services.ownership import unit_of
from .presence import Roots

_NODE = re.compile(r"/dev/nvidia(\d+)(?: \(deleted\))?\Z")
_DRI = re.compile(re.escape(DRI_DEVICE_PREFIX) + r"((?:card|renderD)\d+)(?: \(deleted\))?\Z")
_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]\Z")
# They use the driver without any file.  nvidia_uvm and nvidia_modeset are the driver's own.
_CLIENTS = ("nvidia_drm", "nvidia_peermem", "nvidia_fs", "gdrdrv")


@dataclass(frozen=True)
class Holders:
    """Who has which device file open: C({pid, comm, unit}).

    by_minor: N of /dev/nvidiaN.  by_pci: the GPU of a file below /dev/dri.  without_gpu: who has no such file and one
    of the driver's own, as /dev/nvidiactl.  unseen: how many processes may not be looked into; None where not even
    their number is known, as in a container.  modules: those of the kernel that use the driver; None where unreadable.
    """

    by_minor: Mapping[int, list[dict[str, Any]]] = field(default_factory=dict)
    by_pci: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    without_gpu: tuple[dict[str, Any], ...] = ()
    unseen: int | None = None
    modules: tuple[str, ...] | None = None


def read_holders(roots: Roots) -> Holders:
    """Look at every process of the host."""
    try:
        found = running.read(roots.proc)
    except OSError:
        return Holders(modules=_modules(roots.proc))
    by_minor: dict[int, list[dict[str, Any]]] = {}
    by_pci: dict[str, list[dict[str, Any]]] = {}
    without: list[dict[str, Any]] = []
    for process in found:
        told = {"pid": process.pid, "comm": process.name, "unit": unit_of(process.groups)}
        minors = _minors(process)
        for minor in minors:
            by_minor.setdefault(minor, []).append(told)
        for pci in _drawn_on(process, roots.sys):
            by_pci.setdefault(pci, []).append(told)
        if process.holds_gpu and not minors:
            without.append(told)
    unseen = sum(not process.seen for process in found) if sees_all_processes(roots.proc) else None
    return Holders(by_minor, by_pci, tuple(without), unseen, _modules(roots.proc))


def sees_all_processes(proc: Path) -> bool:
    """Whether process ids here are those of NVML, which uses the host's: not so in a container's own namespace."""
    try:
        return (proc / "2/comm").read_text(encoding="utf-8", errors="replace").strip() == "kthreadd"
    except OSError:
        return False


def _minors(process: ObservedProcess) -> list[int]:
    return [int(match[1]) for device in process.devices for match in [_NODE.match(device)] if match]


def _drawn_on(process: ObservedProcess, sys: Path) -> set[str]:
    """The PCI addresses of the cards whose files below /dev/dri a process has open."""
    found = set()
    for device in process.devices:
        match = _DRI.match(device)
        try:
            pci = (sys / "class/drm" / match[1] / "device").resolve(strict=True).name if match else ""
        except OSError:
            continue
        if _ADDRESS.match(pci):
            found.add(pci)
    return found


def _modules(proc: Path) -> tuple[str, ...] | None:
    try:
        lines = (proc / "modules").read_text("ascii", "replace").splitlines()
    except OSError:
        return None
    loaded = {line.split(" ", 1)[0] for line in lines}
    return tuple(name for name in _CLIENTS if name in loaded)
