# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The states that an operator can order a server into, and whether a server has reached one."""

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
    "cleared": "clear",
}

# What nobody can see in a server is ordered each time: an empty cache, and a scheduler that was put right.
UNSEEN = frozenset({"reset", "cleared"})


@dataclass(frozen=True)
class Condition:
    """The readings of a server before or after an order. C(reasons): one for each reading that is None."""

    accepting: bool | None
    awake: bool | None
    in_flight: int | None
    reasons: tuple[str, ...] = ()


def look(engine: Engine) -> Condition:
    """Read a server's condition. Errors of the server end up in the reasons."""
    accepting, awake, stats = engine.accepting(), engine.awake(), engine.stats()
    told = (("accepting", accepting), ("awake", awake))
    reasons = [f"{name}: {reading.reason}" for name, reading in told if reading.value is None]
    if stats.in_flight is None:
        reasons.append(f"in_flight: {stats.in_flight_unread}")
    return Condition(accepting.value, awake.value, stats.in_flight, tuple(reasons))


def is_reached(state: str, seen: Condition) -> bool:
    """Whether a server is known to be in the state already, so that no order is needed.

    Those of C(UNSEEN) are never reached. C(stopped) and C(paused) are not told apart: a
    server that holds back new requests has reached both.
    """
    if state == "accepting":
        return seen.accepting is True
    if state in ("stopped", "paused"):
        return seen.accepting is False
    if state in ("asleep", "awake"):
        return seen.awake is (state == "awake")
    return state == "aborted" and seen.in_flight == 0


def expected(state: str, seen: Condition) -> Condition:
    """The condition that an order should lead to, as far as it can be predicted."""
    if state in ("accepting", "stopped", "paused"):
        return replace(seen, accepting=state == "accepting")
    if state == "cleared":
        return replace(seen, accepting=True, in_flight=0)
    if state in ("asleep", "awake"):
        return replace(seen, awake=state == "awake")
    return replace(seen, in_flight=0) if state == "aborted" else seen


def contradiction(state: str, seen: Condition) -> str | None:
    """Why the readings show that an order was not carried out although the server said so; None if they do not."""
    if state in ("accepting", "cleared") and seen.accepting is False:
        return "it still holds back new requests"
    if state in ("stopped", "paused") and seen.accepting is True:
        return "it still takes new requests"
    if state == "asleep" and seen.awake is True:
        return "it is still awake"
    if state == "awake" and seen.awake is False:
        return "it is still asleep"
    return None
