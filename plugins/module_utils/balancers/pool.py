# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many servers of a pool really serve, and how many must."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from .protocol import ACTIVE, DOWN, UNKNOWN, UP, PoolMember

_NEEDED = re.compile(r"(?P<number>[0-9]{1,6})(?P<percent>%?)\Z")


@dataclass(frozen=True)
class MinimumActive:
    """At least this many servers, or this share of the pool."""

    number: int
    percent: bool = False

    def of(self, total: int) -> int:
        """Servers that must serve, in a pool of so many. A share is rounded up: half of three is two."""
        return math.ceil(self.number * total / 100) if self.percent else self.number

    def __str__(self) -> str:
        return f"{self.number}%" if self.percent else str(self.number)


def parse_needed(text: str) -> MinimumActive:
    """Read C(2) or C(50%). Raises ValueError."""
    match = _NEEDED.match(str(text).strip())
    if not match or (match["percent"] and int(match["number"]) > 100):
        raise ValueError(f"min_available must be a number of servers such as 2, or a share such as 50%, not {text!r}")
    return MinimumActive(int(match["number"]), bool(match["percent"]))


def serves(member: PoolMember, count_unchecked: bool) -> bool:
    """Whether new requests go to it and somebody knows that it answers. A backup waits, and weight 0 gets nothing."""
    healthy = member.health == UP or (count_unchecked and member.health == UNKNOWN)
    return member.admin == ACTIVE and healthy and member.weight != 0 and not member.backup


def may_serve(member: PoolMember) -> bool:
    """Whether users could lose something with it. Only of what is known to be down is it known that they do not."""
    return (member.admin == ACTIVE or member.pending) and member.health != DOWN and member.weight != 0


def serving(pool: Iterable[PoolMember], count_unchecked: bool, without: str = "") -> list[str]:
    """The names of those that serve, without one of them."""
    return [member.name for member in pool if member.name != without and serves(member, count_unchecked)]


def total(pool: Iterable[PoolMember]) -> int:
    """The size of the pool, whatever state its servers are in. Backups are a reserve, not a part."""
    return sum(1 for member in pool if not member.backup)


def describe(pool: Iterable[PoolMember]) -> str:
    """The pool on one line, for a reason."""
    return ", ".join(f"{member.name} {member.admin}/{member.health}" for member in pool)
