# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done about a server that does not get on, from what C(inference_health) said of it. Pure.

A promise, which is a property of tests/unit/plugins/module_utils/health/test_clearing.py: nothing is cleared or
restarted unless the server is known to be unhealthy, which none is that makes progress.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..services.protocol import PAUSED, STOPPED_STATES

# LEAVE: it is well.  REFUSE: nothing may be done.  CLEAR: by the engine's own order.  RESTART: by a new process.
LEAVE, REFUSE, CLEAR, RESTART = "leave", "refuse", "clear", "restart"

# What hangs, and what has died. Others start, or are held back by somebody's order: nothing in them stands still.
_HANGS, _DIED = ("deadlock", "unresponsive"), ("crash", "oom")


class Way(NamedTuple):
    """C(why): a sentence for people, without a full stop."""

    way: str
    why: str


def first_way(state: Mapping[str, Any]) -> Way:
    """What to do about a server, from the keys that C(inference_health) returns. What is not there is unknown."""
    verdict, found = state.get("verdict"), state.get("failure_class")
    reasons = _reasons(state)
    if verdict == "healthy":
        return Way(LEAVE, reasons)
    if verdict != "unhealthy":
        return Way(REFUSE, f"whether it is broken could not be read: {reasons}")
    if found in _DIED:
        return Way(RESTART, f"its process, or one of its workers, has died ({found}): {reasons}")
    if found not in _HANGS:
        return Way(REFUSE, f"it is {found}, and nothing in it hangs: {reasons}")
    return _way_of_a_hang(_part(state, "inference"), f"{found}: {reasons}")


def way_after_the_order(state: Mapping[str, Any]) -> Way:
    """What is left to do once an engine was told to clear itself and a while has passed."""
    verdict, reasons = state.get("verdict"), _reasons(state)
    if verdict == "healthy":
        return Way(LEAVE, reasons)
    if verdict == "unhealthy":
        return Way(RESTART, f"cleared, it is still {state.get('failure_class')}: {reasons}")
    return Way(REFUSE, f"cleared, it is not proven to generate, and not known to be broken either: {reasons}")


def _way_of_a_hang(inference: Mapping[str, Any], why: str) -> Way:
    service, live = _part(inference, "service"), _part(inference, "live")
    if service.get("main_pid") is None:
        return Way(RESTART, f"{why}; it has no process that could be told anything")
    if service.get("state") == PAUSED or service.get("process_state") in STOPPED_STATES:
        return Way(RESTART, f"{why}; its process is stopped, and takes no order")
    if live.get("value") is not True:
        return Way(RESTART, f"{why}; its API takes no order")
    return Way(CLEAR, why)


def _part(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    part = document.get(key)
    return part if isinstance(part, Mapping) else {}


def _reasons(state: Mapping[str, Any]) -> str:
    reasons = state.get("reasons")
    told = "; ".join(map(str, reasons)) if isinstance(reasons, (list, tuple)) else ""
    return told or str(state.get("msg") or "nothing was said")
