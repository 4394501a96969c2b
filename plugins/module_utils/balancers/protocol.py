# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The protocol of every load balancer, and the types of its answers.

An adapter raises BalancerNotSupported for what its balancer cannot do, and BalancerError where the balancer failed. A
count that could not be read is None with a reason and never zero: the caller is about to stop a server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

ACTIVE, DRAINED, MAINTENANCE = "active", "drained", "maintenance"
UP, DOWN, UNKNOWN = "up", "down", "unknown"

# Names reach command lines, sockets and API paths. Characters that no balancer allows in a name are refused first.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:\[\]/-]*\Z")


class BalancerNotSupported(Exception):
    """This balancer, or its configuration, cannot do this. The text says what is missing."""


# A reason quotes names that the balancer chose: there may be thousands of them, or a very long one.
_LONGEST_REASON = 4000


class BalancerError(Exception):
    """The balancer failed to do what the adapter asked.

    C(kind): C(unreachable), C(denied), C(unknown_backend), C(unknown_server), C(refused) (the balancer said no),
    C(unreadable) (its answer was not understood) or C(unproven) (it said yes, and reading back shows otherwise).
    C(reason) is cut to a readable length.
    """

    def __init__(self, kind: str, reason: str) -> None:
        if len(reason) > _LONGEST_REASON:
            reason = f"{reason[:_LONGEST_REASON]}..."
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


@dataclass(frozen=True)
class PoolMember:
    """One server of the pool as the balancer reports it now.

    admin: the state that operators set, C(active), C(drained) or C(maintenance).  health: by the balancer's own checks,
    C(up), C(down), or C(unknown) without checks or before the first one.  weight: share of the traffic, None where
    unknown.  backup: gets traffic only when no other server does.  says: the balancer's own words.  pending: admin is
    not in force yet, for example because a task was killed before its reload.
    """

    name: str
    admin: str
    health: str
    weight: int | None = None
    backup: bool = False
    says: str = ""
    pending: bool = False


@dataclass(frozen=True)
class Count:
    """A number of requests in flight. C(value) None means that it is unknown, and C(reason) says why.

    kind: C(read); C(unsupported), the witness has no such number; C(unread), its answer had no number; C(gone), nothing
    listens there; C(silent), no answer in time, or unreachable.
    """

    value: int | None
    reason: str
    kind: str = "read"


@dataclass(frozen=True)
class Weight:
    """The weight in force, and the one of the configuration where the balancer keeps both."""

    current: int
    full: int | None = None


@dataclass(frozen=True)
class Obstacle:
    """What would keep a drain from succeeding, and what a person can do about it, which may be empty."""

    what: str
    do: str = ""


class Balancer(Protocol):
    """One pool behind one balancer. All methods may raise BalancerError.

    Methods that change something return only once reading back shows the change. A caller that decides by state() and
    then changes something holds exclusively() around both.
    """

    name: str

    def members(self) -> tuple[PoolMember, ...]:
        """The whole pool, in one reading."""

    def state(self, server: str) -> PoolMember:
        """One server."""

    def drain(self, server: str) -> None:
        """Stop new requests; those in flight go on."""

    def ready(self, server: str) -> None:
        """Let the server get new requests again."""

    def in_flight(self, server: str) -> Count:
        """Requests that the balancer has with the server now. Does not raise."""

    def weight(self, server: str) -> Weight:
        """The server's share of the traffic."""

    def set_weight(self, server: str, value: int) -> None:
        """Change the server's share of the traffic."""

    def weights_count(self) -> None:
        """Raise BalancerNotSupported where this balancer sends the same to a server whatever its weight is."""

    def limit(self, server: str) -> int | None:
        """How many requests at once the balancer gives the server at most; None for as many as there are.

        Raises BalancerNotSupported where it has no limit for a single server.
        """

    def set_limit(self, server: str, value: int | None) -> None:
        """Change that limit."""

    def incarnation(self) -> str:
        """A value that changes when the balancer restarts, and may have forgotten a drain."""

    def obstacles(self) -> list[Obstacle]:
        """What would keep a drain by this user from succeeding, as far as can be found without a change."""

    def exclusively(self) -> AbstractContextManager[None]:
        """Keep every other task of ours on this host from changing this pool."""


class BalancerKind(Balancer, Protocol):
    """A class of balancer with its own options, so that the registry needs nothing but the class.

    needs: the options that are required, beside C(kind).  options: the argument spec of its own options, beside those
    of every kind; see options.py.
    """

    needs: ClassVar[tuple[str, ...]]
    options: ClassVar[Mapping[str, Mapping[str, Any]]]

    @classmethod
    def opened(cls, options: Mapping[str, Any]) -> Balancer:
        """The adapter of one pool, from complete and checked options. Contacts nothing. Raises ValueError."""


def check_name(what: str, name: str) -> str:
    """The name. Raises ValueError for one that no balancer allows."""
    if not _NAME.match(name):
        raise ValueError(f"{what} {name[:100]!r} is no name of one: letters, digits and . _ : - / [ ] are allowed")
    return name


def find(server: str, pool: tuple[PoolMember, ...], where: str) -> PoolMember:
    """The server in the pool. Raises BalancerError, with the names that there are, where it is missing."""
    for member in pool:
        if member.name == server:
            return member
    names = ", ".join(member.name for member in pool[:20]) or "none"
    raise BalancerError("unknown_server", f"{where} has no server {server!r}; it has: {names}")
