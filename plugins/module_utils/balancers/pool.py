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
        """How many servers of a pool of this size must serve. A share is rounded up: half of three is two."""
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
    """Whether a server gets new requests and is known to be healthy. Backups and servers of weight 0 get none."""
    healthy = member.health == UP or (count_unchecked and member.health == UNKNOWN)
    return member.admin == ACTIVE and healthy and member.weight != 0 and not member.backup


def may_serve(member: PoolMember) -> bool:
    """Whether users may depend on a server: in or entering traffic, not known to be down, and with a weight."""
    return (member.admin == ACTIVE or member.pending) and member.health != DOWN and member.weight != 0


def serving(pool: Iterable[PoolMember], count_unchecked: bool, without: str = "") -> list[str]:
    """The names of the servers that serve, except C(without)."""
    return [member.name for member in pool if member.name != without and serves(member, count_unchecked)]


def total(pool: Iterable[PoolMember]) -> int:
    """The size of the pool, whatever state its servers are in. Backups are a reserve, not a part."""
    return sum(1 for member in pool if not member.backup)


def describe(pool: Iterable[PoolMember]) -> str:
    """The pool on one line, for a reason."""
    return ", ".join(f"{member.name} {member.admin}/{member.health}" for member in pool)
