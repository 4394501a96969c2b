# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What engines report during a drain: requests in flight, and whether the other servers of the pool are healthy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..engines.protocol import Engine, Reading, Stats
from .protocol import DOWN, UNKNOWN, UP, Count, PoolMember

_SILENT = ("timeout", "reset", "unreachable", "tls")


def engine_in_flight(engine: Engine | None) -> Count:
    """Requests that the engine has, running and waiting. Errors of the engine end up in the count."""
    if engine is None:
        return Count(None, "no engine_url was given", "unsupported")
    live = engine.live()
    if live.kind == "refused":
        return Count(None, live.reason, "gone")
    if live.kind in _SILENT:
        return Count(None, live.reason, "silent")
    return _count_from_stats(engine.stats())


def with_peers(pool: tuple[PoolMember, ...], peers: Mapping[str, Engine]) -> tuple[PoolMember, ...]:
    """The pool, with engines in C(peers) asked for their health where the balancer does not know it."""
    return tuple(
        _with_own_answer(member, peers[member.name].ready())
        if member.health == UNKNOWN and member.name in peers
        else member
        for member in pool
    )


def _with_own_answer(member: PoolMember, ready: Reading) -> PoolMember:
    if ready.value:
        return replace(member, health=UP, says=ready.reason)
    gone = ready.value is False or ready.kind == "refused"
    return replace(member, health=DOWN if gone else UNKNOWN, says=ready.reason)


def _count_from_stats(stats: Stats) -> Count:
    if stats.in_flight is None:
        return Count(None, f"engine: {stats.in_flight_unread or 'it does not tell'}", "unread")
    return Count(stats.in_flight, f"engine: {stats.running} running, {stats.waiting} waiting")
