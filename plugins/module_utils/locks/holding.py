# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may act on this host now: one run at a time, a person's or a receiver's. The decisions; host_lock.py keeps them.

A run holds the host for as long as its next step may take, and says so again before each step (a lease). One that was
killed or frozen loses the host when that time is over, or at once where somebody knows that its process is gone. A run
that finds itself without the host must not go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Holder:
    """A run that holds a host.

    run: names the run among all. who: for people. host: the target's inventory name. token: its fencing token, None for
    a person's. since: seconds since 1970. until: seconds since this host booted. boot: names that boot. process: where
    ansible-playbook runs, as its controller told; data that this host only keeps.
    """

    run: str
    who: str
    host: str
    token: int | None
    since: float
    until: float
    boot: str
    process: dict[str, Any]


@dataclass(frozen=True)
class HostNow:
    """Now, on this host. at_work: whether a task that changes something is being executed."""

    now: float
    boot: str
    at_work: bool


def why_not(held: Holder | None, asking: Holder, moment: HostNow, ended: str | None) -> str | None:
    """Say why a run may not take the host, or None if it may.

    ended: the run whose process is known to be gone.
    """
    if held is None or held.run == asking.run or held.boot != moment.boot:
        return None
    if _is_newer(asking, held):
        return None
    if held.run != ended and moment.now < held.until:
        return f"{held.who} holds it"
    if moment.at_work:
        return f"{held.who} has ended or lost it, but one of its tasks is still at work"
    return None


def why_lost(held: Holder | None, asking: Holder) -> str | None:
    """Say why a run that had the host has it no more, or None if it has.

    A lease that is over is renewed as long as nobody else has come.
    """
    if held is None:
        return "nobody holds it any more: it was taken over and given back, or this host has booted"
    return None if held.run == asking.run else f"{held.who} has taken it over"


def _is_newer(asking: Holder, held: Holder) -> bool:
    """A newer run on the same target has been given what the older one was working on."""
    return (
        asking.host == held.host and asking.token is not None and held.token is not None and asking.token > held.token
    )
