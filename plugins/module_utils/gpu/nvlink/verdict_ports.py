# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on the state and counters of InfiniBand and RoCE ports. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..judging.findings import GpuFinding, fault, unknown, warning

CLASS = "gpu_comm"


def port_key(port: Mapping[str, Any]) -> str:
    """The key of a port in the baseline."""
    return f"port/{port['port']}"


def judge_ports(
    ports: Mapping[str, Any],
    deltas: Mapping[str, Mapping[str, Mapping[str, float]]],
    was_up: Mapping[str, Any],
    expected: Sequence[str],
    limits: Mapping[str, float],
) -> Iterator[GpuFinding]:
    """A port that is down is a fault if it is expected, or was up since the driver was loaded; many have no cable."""
    if ports["error"] is not None:
        yield unknown(f"the network ports could not be read: {ports['error']}", CLASS)
    there = {port["port"] for port in ports["ports"]}
    for name in expected:
        if name not in there:
            yield fault(CLASS, f"port {name} is expected and not there")
    for key in was_up:
        name = key.partition("/")[2]
        if key.startswith("port/") and name not in there and name not in expected:
            yield fault(CLASS, f"port {name} was there since the driver was loaded and is gone")
    for port in ports["ports"]:
        yield from _judge_port(port, deltas.get(port_key(port), {}), port_key(port) in was_up, expected, limits)


def _judge_port(
    port: Mapping[str, Any],
    changes: Mapping[str, Mapping[str, float]],
    was_up: bool,
    expected: Sequence[str],
    limits: Mapping[str, float],
) -> Iterator[GpuFinding]:
    name = f"port {port['port']} ({port['link_layer'] or 'unknown link layer'})"
    for what, why in port["unread"].items():
        yield unknown(f"{name}: {what} could not be read: {why}", CLASS)
    if port["state"] not in (None, "active"):
        words = f"{name} is {port['state']} ({port['physical_state'] or 'physical state not known'})"
        if port["port"] in expected:
            yield fault(CLASS, f"{words}, and is expected to be up")
        elif was_up:
            yield fault(CLASS, f"{words}, and was up since the driver was loaded")
        else:
            yield warning(f"{words}; taken as not used")
    for counter, change in changes.items():
        limit = limits.get(counter, -1.0)
        if limit >= 0 and change["per_hour"] > limit:
            yield fault(
                CLASS,
                f"{name}: {counter} grew by {change['delta']:.0f}, {change['per_hour']:g} an hour; "
                f"the limit is {limit:g}",
            )
