# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a service is kept from talking to anybody, decided of what was read alone; reading.py reads.

It is cut off by rules in its own network namespace where these hold all of it: no process of it is in another one, may
take the rules away, or holds what passes them.  Otherwise it is frozen, so that it neither talks nor is lost.
What could not be read is cut off by nobody: rules in the wrong namespace would cut the host off.
"""

from __future__ import annotations

from dataclasses import dataclass

CUT, FREEZE, REFUSED = "cut", "freeze", "refused"

# Numbers of capabilities(7). With the first rules are taken away, with the second other namespaces are entered.
NET_ADMIN, NET_RAW, SYS_ADMIN = 12, 13, 21
_BREAKS_OUT = {NET_ADMIN: "CAP_NET_ADMIN", SYS_ADMIN: "CAP_SYS_ADMIN"}
_MOST_NAMED = 5


@dataclass(frozen=True)
class ProcessSeen:
    """A process of the service.

    began: seconds of the boot-time clock, which with the number names it.  namespaces: the network namespaces of its
    threads.  capabilities: which it has or can get back, by number.  holds: what it has open that passes any rule of
    its namespace, in words.
    """

    pid: int
    began: float
    stopped: bool
    namespaces: frozenset[str]
    capabilities: frozenset[int] = frozenset()
    holds: tuple[str, ...] = ()


@dataclass(frozen=True)
class ServiceSeen:
    """A service as it was read.

    main: its main process, None where it has none.  host_namespaces: those of the host's init and of whoever reads.
    has_us: whether whoever reads is a process of it.  watchdog: who would end it for being frozen; empty for nobody.
    can_cut: whether the programs for it are there.  unread: what could not be read.
    """

    label: str
    main: int | None
    processes: tuple[ProcessSeen, ...] = ()
    host_namespaces: frozenset[str] = frozenset()
    has_us: bool = False
    watchdog: str = ""
    can_cut: bool = True
    unread: tuple[str, ...] = ()

    @property
    def began(self) -> float | None:
        """When the main process began."""
        return next((each.began for each in self.processes if each.pid == self.main), None)

    @property
    def own_namespace(self) -> str:
        """The one namespace of all its processes that is not the host's; empty where there is none."""
        found = {name for each in self.processes for name in each.namespaces}
        return next(iter(found)) if len(found) == 1 and not found & self.host_namespaces else ""


@dataclass(frozen=True)
class IsolationDecision:
    """What is to be done, and why.  packets: whether bare packets have to be kept from its interfaces too."""

    outcome: str
    words: str
    packets: bool = False


def decide(seen: ServiceSeen, may_freeze: bool) -> IsolationDecision:
    """Whether to cut a service off, to freeze it, or to leave it as it is."""
    never = _why_never(seen)
    if never:
        return IsolationDecision(REFUSED, never)
    open_ways = why_not_cut(seen)
    if not open_ways:
        packets = any(NET_RAW in each.capabilities for each in seen.processes)
        return IsolationDecision(CUT, "all of it is in a network namespace of its own", packets)
    return frozen_instead("; ".join(open_ways), seen, may_freeze)


def frozen_instead(why_not: str, seen: ServiceSeen, may_freeze: bool) -> IsolationDecision:
    """What is done where it cannot be cut off."""
    words = f"it cannot be cut off from the network: {why_not}"
    if not may_freeze:
        return IsolationDecision(REFUSED, f"{words}; and it is not to be frozen")
    if seen.watchdog:
        return IsolationDecision(REFUSED, f"{words}; and frozen it would be ended by {seen.watchdog}")
    return IsolationDecision(FREEZE, words)


def _why_never(seen: ServiceSeen) -> str:
    if seen.unread:
        return f"not all of it could be read: {'; '.join(seen.unread)}"
    if seen.main is None:
        return "it has no process that could be kept from talking"
    if seen.began is None:
        return f"its main process {seen.main} is not among those that were read"
    if seen.has_us:
        return "this run comes out of it, and would end itself"
    if not seen.host_namespaces or not all(each.namespaces for each in seen.processes):
        return "which network namespaces there are could not be read"
    return ""


def why_not_cut(seen: ServiceSeen) -> list[str]:
    """By which ways it could talk on in spite of rules in its namespace; none where these hold all of it."""
    ways = []
    main = {name for each in seen.processes if each.pid == seen.main for name in each.namespaces}
    if main & seen.host_namespaces:
        ways.append("it has the host's network")
    else:
        elsewhere = [each.pid for each in seen.processes if each.namespaces - main] or ([] if len(main) == 1 else [0])
        if elsewhere:
            ways.append(f"it is in more than one network namespace ({_named(elsewhere)})")
    for number, name in _BREAKS_OUT.items():
        holders = [each.pid for each in seen.processes if number in each.capabilities]
        if holders:
            ways.append(f"it could undo that by {name} ({_named(holders)})")
    ways.extend(f"process {each.pid} holds {what}" for each in seen.processes for what in each.holds[:_MOST_NAMED])
    if not seen.can_cut:
        ways.append("the host has no nft and nsenter")
    return ways


def _named(pids: list[int]) -> str:
    more = "" if len(pids) <= _MOST_NAMED else f" and {len(pids) - _MOST_NAMED} more"
    return f"process {', '.join(map(str, pids[:_MOST_NAMED]))}{more}"
