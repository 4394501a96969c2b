# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every load balancer is asked, and the shapes of the answers.

A balancer that cannot do a thing raises NotSupported; one that was asked and did not do it raises BalancerError.  A
count that could not be read is None with a reason and never zero: whoever reads it is about to stop a server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

ACTIVE, DRAINED, MAINTENANCE = "active", "drained", "maintenance"
UP, DOWN, UNKNOWN = "up", "down", "unknown"

# Names reach command lines, sockets and paths of an API. What no balancer allows in a name is refused before that.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:\[\]/-]*\Z")


class BalancerNotSupported(Exception):
    """This balancer, or this configuration of it, cannot do what was asked. The text says which."""


# Names of a balancer's making stand in a reason, and there may be thousands of them, or a long one.
_LONGEST_REASON = 4000


class BalancerError(Exception):
    """The balancer was asked and did not do it.

    C(kind): C(unreachable), C(denied), C(unknown_backend), C(unknown_server), C(refused) (it said no), C(unreadable)
    (its answer was not understood) or C(unproven) (it said yes, and reading it back shows otherwise).  C(reason) is cut
    where nobody would read on.
    """

    def __init__(self, kind: str, reason: str) -> None:
        if len(reason) > _LONGEST_REASON:
            reason = f"{reason[:_LONGEST_REASON]}..."
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


@dataclass(frozen=True)
class PoolMember:
    """One server of the pool as the balancer has it now.

    admin: what people told the balancer, C(active), C(drained) or C(maintenance).  health: what its own checks say,
    C(up), C(down) or C(unknown) where it does not check, or has not yet.  weight: its share of the traffic, None where
    untold.  backup: gets traffic only when no other server does.  says: the balancer's own words.  pending: it was
    told so and does not do so yet, because somebody was killed between the two.
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
    """A number of requests in flight. C(value) None means that it could not be told, and C(reason) says why.

    kind: C(read); C(unsupported), the witness never tells; C(unread), it answered and did not tell; C(gone), nothing
    listens there; C(silent), no answer in time, or no way to it.
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
    """What would keep a drain from being done, and what a person does about it, which may be empty."""

    what: str
    do: str = ""


class Balancer(Protocol):
    """One pool behind one balancer. All methods raise BalancerError; those that change something prove it first.

    Whoever decides on what state() said and then changes something holds exclusively() for both.
    """

    name: str

    def members(self) -> tuple[PoolMember, ...]:
        """The whole pool, in one reading."""

    def state(self, server: str) -> PoolMember:
        """One server."""

    def drain(self, server: str) -> None:
        """No new requests; those in flight go on. Returns when reading it back shows so."""

    def ready(self, server: str) -> None:
        """New requests again. Returns when reading it back shows so."""

    def in_flight(self, server: str) -> Count:
        """Requests that the balancer has with the server now. Does not raise."""

    def weight(self, server: str) -> Weight:
        """The server's share of the traffic."""

    def set_weight(self, server: str, value: int) -> None:
        """Change it. Returns when reading it back shows so."""

    def incarnation(self) -> str:
        """Another value means that the balancer has restarted, and may have forgotten what it was told."""

    def obstacles(self) -> list[Obstacle]:
        """What would keep a drain by this user from being done, as far as asking tells. Changes nothing."""

    def exclusively(self) -> AbstractContextManager[None]:
        """Keep every other task of ours on this host from changing this pool."""


class BalancerKind(Balancer, Protocol):
    """What the class of a kind of balancer says of itself, so that the registry needs no more than its name.

    needs: the options without which it cannot be opened, beside its kind.  options: the argument spec of those that it
    has, beside the ones that all kinds have; see options.py.
    """

    needs: ClassVar[tuple[str, ...]]
    options: ClassVar[Mapping[str, Mapping[str, Any]]]

    @classmethod
    def opened(cls, options: Mapping[str, Any]) -> Balancer:
        """The adapter of one pool, by options that are there and were looked at. Asks nothing. Raises ValueError."""


def check_name(what: str, name: str) -> str:
    """The name, or ValueError if no balancer could have a thing of that name."""
    if not _NAME.match(name):
        raise ValueError(f"{what} {name[:100]!r} is no name of one: letters, digits and . _ : - / [ ] are allowed")
    return name


def find(server: str, pool: tuple[PoolMember, ...], where: str) -> PoolMember:
    """The server in the pool, or BalancerError that names those which are there."""
    for member in pool:
        if member.name == server:
            return member
    names = ", ".join(member.name for member in pool[:20]) or "none"
    raise BalancerError("unknown_server", f"{where} has no server {server!r}; it has: {names}")
