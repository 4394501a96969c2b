# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on fabric state, fabric manager and the kernel's lines. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..judging.findings import GpuFinding, fault, unknown, warning

CLASS = "gpu_comm"

_TROUBLE = {
    "degraded_bandwidth": "its bandwidth is degraded",
    "route_recovery": "a route is being recovered",
    "route_unhealthy": "a route is unhealthy",
    "access_timeout_recovery": "an access timeout is being recovered from",
}


def judge_fabric(name: str, gpu: Mapping[str, Any], switched: bool) -> Iterator[GpuFinding]:
    """One GPU's part in the fabric. switched: it is known to belong to one; a PCIe card that does not is no fault."""
    fabric = gpu["fabric"]
    if fabric is None or fabric["state"] == "not_supported":
        return
    state = fabric["state"]
    if state == "not_started":
        words = f"{name}: it is not registered with the fabric manager (not_started)"
        yield fault(CLASS, words) if switched else warning(words)
        return
    if state == "in_progress":
        yield unknown(f"{name}: its registration with the fabric manager is in progress", CLASS)
        return
    if fabric["status"] != 0:
        yield fault(CLASS, f"{name}: the fabric was set up with error {fabric['status']}")
    if fabric["summary"] in ("unhealthy", "limited_capacity"):
        yield fault(CLASS, f"{name}: the fabric calls itself {fabric['summary']}")
    yield from _judge_health(name, fabric["health"] or {})


def _judge_health(name: str, health: Mapping[str, Any]) -> Iterator[GpuFinding]:
    for bit, words in _TROUBLE.items():
        value = health.get(bit)
        if value is True:
            yield fault(CLASS, f"{name}: fabric: {words} ({bit})")
        elif isinstance(value, str):
            yield unknown(f"{name}: fabric: {bit} has a {value} that nobody here knows", CLASS)
    configuration = health.get("incorrect_configuration")
    if configuration not in (None, "none"):
        yield fault(CLASS, f"{name}: fabric: its configuration is incorrect ({configuration})")
    if health.get("partition_assigned") is False:
        yield warning(f"{name}: fabric: no partition is assigned to it")
    if health.get("global_manager_connected") is False:
        yield warning(f"{name}: fabric: the global fabric manager is not connected")


def judge_manager(manager: Mapping[str, Any], switches: bool) -> Iterator[GpuFinding]:
    """Switches on this host's own bus need a manager here; those of a rack have theirs elsewhere."""
    if manager["there"] is None:
        words = f"the fabric manager's service could not be asked for: {manager['error']}"
        yield unknown(words, CLASS) if switches else warning(words)
    elif manager["there"] and manager["state"] != "active" and (switches or manager["enabled"]):
        words = f"the fabric manager's service is {manager['state']}"
        starting = manager["state"] in ("activating", "reloading")
        yield unknown(words, CLASS) if starting else fault(CLASS, words)
    elif not manager["there"] and switches:
        yield fault(CLASS, "this host has NVSwitches and no fabric manager is installed")


def judge_kernel(kernel: Mapping[str, Any], required: bool) -> Iterator[GpuFinding]:
    """NVSwitch and NVLink errors of the last minutes, each reported once."""
    if kernel["error"] is not None:
        words = f"NVSwitch errors could not be looked for: {kernel['error']}"
        yield unknown(words, CLASS) if required else warning(words)
    told: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for event in kernel["events"]:
        told.setdefault(_identity_of(event), []).append(event)
    for events in told.values():
        yield _judge_event(events[-1], len(events))


def _identity_of(event: Mapping[str, Any]) -> tuple[Any, ...]:
    severity = event.get("severity") or (event.get("nvlink5") or {}).get("severity")
    return (event["kind"], event.get("sxid", event.get("xid")), event.get("pci"), event.get("link"), severity)


def _judge_event(event: Mapping[str, Any], count: int) -> GpuFinding:
    """The finding of an event: the printed severity decides; a line without one is not taken for harmless."""
    where = f"{event['pci']}" + (f" link {event['link']}" if event.get("link") is not None else "")
    times = f", {count} times" if count > 1 else ""
    if event["kind"] == "sxid":
        severity = event.get("severity")
        words = f"NVSwitch {event.get('nvswitch')} ({where}) logged SXid {event['sxid']}"
    else:
        severity = (event.get("nvlink5") or {}).get("severity")
        words = f"GPU {where} logged Xid {event['xid']}"
    words += f" ({severity or 'no severity printed'}){times}"
    if severity is not None and severity.lower().replace("-", "") in ("nonfatal", "correctable"):
        return warning(words)
    return fault(CLASS, words)
