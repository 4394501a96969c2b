# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An operator's order to one server: what it takes to bring it into a state, decided from what was read of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from .protocol import Engine

# State that may be asked for -> the method that brings it about.
ORDERS: Mapping[str, str] = {
    "accepting": "resume_accepting",
    "stopped": "stop_accepting",
    "paused": "pause",
    "aborted": "abort_all",
    "asleep": "sleep",
    "awake": "wake",
    "reset": "reset",
}


@dataclass(frozen=True)
class Condition:
    """What was read of a server before or after an order. C(reasons): why a None is None."""

    accepting: bool | None
    awake: bool | None
    in_flight: int | None
    reasons: tuple[str, ...] = ()


def look(engine: Engine) -> Condition:
    """Read a server's condition. Does not raise."""
    accepting, awake, stats = engine.accepting(), engine.awake(), engine.stats()
    told = (("accepting", accepting), ("awake", awake))
    reasons = [f"{name}: {reading.reason}" for name, reading in told if reading.value is None]
    if stats.in_flight is None:
        reasons.append(f"in_flight: {stats.in_flight_unread}")
    return Condition(accepting.value, awake.value, stats.in_flight, tuple(reasons))


def is_reached(state: str, seen: Condition) -> bool:
    """Is a server in the state already? What is not known is not reached, and the order is given once more.

    A cache cannot be seen to be empty, so that C(reset) is never reached.  What holds back new requests is left alone,
    whether it froze the others or let them end.
    """
    if state == "accepting":
        return seen.accepting is True
    if state in ("stopped", "paused"):
        return seen.accepting is False
    if state in ("asleep", "awake"):
        return seen.awake is (state == "awake")
    return state == "aborted" and seen.in_flight == 0


def expected(state: str, seen: Condition) -> Condition:
    """What an order should make of a server, as far as it can be told beforehand."""
    if state in ("accepting", "stopped", "paused"):
        return replace(seen, accepting=state == "accepting")
    if state in ("asleep", "awake"):
        return replace(seen, awake=state == "awake")
    return replace(seen, in_flight=0) if state == "aborted" else seen


def contradiction(state: str, seen: Condition) -> str | None:
    """What shows that an order was answered as done and was not, or None when nothing does."""
    if state == "accepting" and seen.accepting is False:
        return "it still holds back new requests"
    if state in ("stopped", "paused") and seen.accepting is True:
        return "it still takes new requests"
    if state == "asleep" and seen.awake is True:
        return "it is still awake"
    if state == "awake" and seen.awake is False:
        return "it is still asleep"
    return None
