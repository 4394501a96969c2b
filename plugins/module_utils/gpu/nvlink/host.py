# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Readings of a host's NVLink fabric beside NVML: the boot and driver load, the fabric manager's service, and the
kernel's log. Nothing here raises."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ...faults.lines.reading import parse_line
from ...host import clocks
from ...host.command import Runner
from ...host.kernel_log import KernelLog
from ...host.kernel_log import read as read_kernel_log
from ...host.unread import Unread
from ...services.systemctl import show

FABRIC_MANAGER = "nvidia-fabricmanager.service"
SWITCHES = Path("bus/pci/devices")
# NVLink errors of GPUs: 74 up to NVLink 4, the others from NVLink 5 on.
NVLINK_XIDS = (74, *range(144, 151))

# A thread that the driver starts when it is loaded, and that lives as long as the module.
_DRIVER_THREAD = "nv_queue"
_NVIDIA, _BRIDGE = "0x10de", "0x0680"


def identity(proc: Path, driver: str | None) -> dict[str, Any]:
    """The fields that must be equal for two samples to be comparable. Null where one could not be read."""
    return {"boot_id": clocks.boot_id(proc), "driver": driver, "driver_started": _driver_started(proc)}


def seconds_since_boot(proc: Path) -> float:
    """By /proc/uptime; it goes on while a host sleeps, and nobody sets it."""
    try:
        return float((proc / "uptime").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        with open("/proc/uptime", encoding="ascii") as uptime:
            return float(uptime.read().split()[0])


def _driver_started(proc: Path) -> int | None:
    """Clock ticks since boot at which the driver's oldest thread began."""
    started = []
    try:
        entries = [entry for entry in os.listdir(proc) if entry.isdigit()]
    except OSError:
        return None
    for entry in entries:
        try:
            name, _parenthesis, rest = (proc / entry / "stat").read_text("utf-8", "replace").rpartition(")")
            if name.endswith(f"({_DRIVER_THREAD}"):
                started.append(int(rest.split()[19]))
        except (OSError, ValueError, IndexError):
            continue
    return min(started) if started else None


def count_switches(sys: Path) -> int | None:
    """NVSwitches on this host's PCI bus; null where the bus cannot be read."""
    count = 0
    try:
        for entry in (sys / SWITCHES).iterdir():
            vendor = (entry / "vendor").read_text("ascii", "replace").strip()
            kind = (entry / "class").read_text("ascii", "replace").strip()
            count += vendor == _NVIDIA and kind.startswith(_BRIDGE)
    except OSError:
        return None
    return count


def fabric_manager(run: Runner, timeout: float) -> dict[str, Any]:
    """C({"there", "state", "enabled", "error"}); there is null, and error says why, where systemd cannot be asked."""
    try:
        properties = show(FABRIC_MANAGER, run, timeout)
    except Unread as unread:
        return {"there": None, "state": None, "enabled": None, "error": str(unread)}
    there = properties.get("LoadState") == "loaded"
    return {
        "there": there,
        "state": properties["ActiveState"] if there else None,
        "enabled": properties.get("UnitFileState", "").startswith("enabled") if there else None,
        "error": None,
    }


def kernel_events(run: Runner, timeout: float, now: float, window: float) -> dict[str, Any]:
    """C({"source", "events": [...], "error"}): SXids, and Xids that are about NVLink, of the last seconds.

    An event is what faults/lines/reading.py makes of the line, with C(at) (seconds since boot, or null where the line
    does not tell; then it is kept) and C(line).
    """
    try:
        log = read_kernel_log(run, timeout)
    except Unread as unread:
        return {"source": None, "events": [], "error": str(unread)}
    return {"source": log.source, "events": recent_events(log, now, window), "error": None}


def recent_events(log: KernelLog, now: float, window: float) -> list[dict[str, Any]]:
    """The events of a log that concern NVLink."""
    found = []
    for line in log.lines:
        if "Xid (" not in line.text or (line.at is not None and line.at < now - window):
            continue
        event = parse_line(line.text)
        if event["kind"] == "sxid" or (event["kind"] == "xid" and event.get("xid") in NVLINK_XIDS):
            found.append({**event, "at": line.at, "line": line.text[:400]})
    return found
