# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an order stands to an incident: to be given, given already, or not possible.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..host.plain import one_line

ENDED = ("resolved", "closed")
UNFINISHED = ("open", "waiting", "running", "verifying", "held", "escalated", "unproven")
STATES = (*UNFINISHED, *ENDED)

# In which states the receiver takes an order; a test holds this to the receiver's own table.
POSSIBLE: Mapping[str, tuple[str, ...]] = {
    "approve": ("held",),
    "reject": ("held",),
    "retry": ("held", "escalated", "unproven"),
    "close": UNFINISHED,
    "cancel": ("running",),
}
# Where an incident is right after it; a run that is cancelled has still to end.
LEADS_TO: Mapping[str, str] = {
    "approve": "open",
    "reject": "closed",
    "retry": "open",
    "close": "closed",
    "cancel": "running",
}


class OrderRefused(ValueError):
    """The incident's state does not allow the order, and it was not the last one either."""


@dataclass(frozen=True)
class Standing:
    """Whether an order has still to be given, and why not."""

    to_give: bool
    reason: str


def standing(action: str, incident: Mapping[str, Any]) -> Standing:
    """How an order stands to an incident, as the receiver shows it.

    One that was the last order about the incident is not given again where the incident's state does not allow it.
    Where the state does, something has happened since, such as another action that is held, and it is a new order.

    Raises OrderRefused.
    """
    state, named = incident["state"], f"incident {incident['id']} is {one_line(incident['state'], 20)}"
    if action == "cancel" and state == "running" and _is_being_cancelled(incident):
        return Standing(False, f"{named}, and its run is being cancelled already")
    if state in POSSIBLE[action]:
        return Standing(True, named)
    if action == "close" and state in ENDED:
        return Standing(False, f"{named} already")
    last = last_order(incident)
    if last is not None and last.split(" ", 1)[0] == action:
        return Standing(False, f"{named}; the last order about it was: {one_line(last, 300)}")
    raise OrderRefused(f"{named}; {action} is for incidents that are {', '.join(POSSIBLE[action])}")


def last_order(incident: Mapping[str, Any]) -> str | None:
    """What was ordered last about an incident, in the words of its timeline: C(approve by alice ...).

    None also where the receiver has left out lines of a long timeline: the last order may be one of them.
    """
    left_out = incident.get("left_out")
    if isinstance(left_out, dict) and left_out.get("timeline"):
        return None
    said = [line["text"] for line in incident["timeline"] if isinstance(line, dict) and line.get("kind") == "order"]
    return str(said[-1]) if said else None


def shown(incident: Mapping[str, Any]) -> dict[str, Any]:
    """An incident without the lists of what belongs to it."""
    return {name: value for name, value in incident.items() if not isinstance(value, (list, dict))}


def _is_being_cancelled(incident: Mapping[str, Any]) -> bool:
    newest = incident["runs"][-1] if incident["runs"] else {}
    return isinstance(newest, dict) and newest.get("cancel") is not None
