# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may act on this host now: one run at a time, a person's or a receiver's. These are the decisions; host_lock.py
has the files.

A run holds the host for as long as its next step may take, and renews that lease before each step. A run that was
killed or frozen loses the host when the lease ends, or at once where its process is known to be gone. A run that has
lost the host must not go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Holder:
    """A run that holds a host.

    run: the run's unique key.  who: for people.  host: the target's inventory name.  token: its fencing token, None for
    a person's run.  since: seconds since 1970.  until: seconds since this host booted.  boot: the id of that boot.
    process: where ansible-playbook runs, as its controller reported; this host only stores it.
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
    """The present moment on this host. at_work: whether a task that changes something is being executed."""

    now: float
    boot: str
    at_work: bool


def why_not(held: Holder | None, asking: Holder, moment: HostNow, ended: str | None) -> str | None:
    """Why a run may not take the host, None if it may.

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
    """Why a run that held the host has lost it, None if it still holds it.

    A lease that is over can be renewed as long as no other run has taken the host.
    """
    if held is None:
        return "nobody holds it any more: it was taken over and given back, or this host has booted"
    return None if held.run == asking.run else f"{held.who} has taken it over"


def _is_newer(asking: Holder, held: Holder) -> bool:
    """Whether a run has a higher token on the same target: its receiver has taken over from the older run."""
    return (
        asking.host == held.host and asking.token is not None and held.token is not None and asking.token > held.token
    )
