# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab's tests look at on a node, before and after."""

from __future__ import annotations

from dataclasses import dataclass

from .hosts import Host
from .memory_limit import UNIT

EVIDENCE = "/var/lib/autoglm/evidence"


@dataclass(frozen=True)
class Footprint:
    """What a repair changes on a node, and what must be the same where nothing was to be repaired."""

    invocation: str  # systemd gives every start of a unit a new one
    evidence: frozenset[str]

    @classmethod
    def of(cls, node: Host) -> Footprint:
        """Look at a node."""
        listing = node.run("find", "/var/lib", "-path", f"{EVIDENCE}/*", "-name", "manifest.json")
        return cls(node.unit(UNIT, "InvocationID")["InvocationID"], frozenset(listing.split()))


def last_end(node: Host) -> str:
    """What systemd said about the last end of the server's main process."""
    lines = node.run("journalctl", "--unit", UNIT, "--no-pager", "--output=cat").splitlines()
    return [line for line in lines if "Main process exited" in line][-1]


def starts(node: Host) -> int:
    """How often systemd has started the server since the node booted."""
    lines = node.run("journalctl", "--unit", UNIT, "--no-pager", "--output=cat").splitlines()
    return sum(line.startswith("Started ") for line in lines)
