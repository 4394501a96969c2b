# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a reboot may be ordered now. Decided of what was read alone; reading.py reads and orders.

One order reboots once: with the boot that was to end still running nothing has happened yet, and to order it again ends
the same boot; with another one it has happened, and what comes next is the proof.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..host import clocks
from .note import ORDERED, PROVEN, RebootNote

# What is to be done.
ORDER, GO_ON, ON_ITS_WAY, REFUSED = "order", "go_on", "on_its_way", "refused"


@dataclass(frozen=True)
class HostSeen:
    """What a host says of itself.

    boot: the id of this boot, None where it could not be read.  systemd: whether systemd is its init.
    stopping: whether it shuts down, or our order to do so waits.  scheduled: the shutdown that somebody has planned.
    blocked_by: who forbids a shutdown now.  unread: what of this could not be read.
    """

    boot: str | None
    systemd: bool
    stopping: bool = False
    scheduled: str = ""
    blocked_by: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class RebootAsked:
    """What is asked for.

    controller_boot: the boot of the machine that runs the playbook, empty where it could not be read.  now: seconds
    since 1970.  min_interval: seconds in which a host is not rebooted twice.  force: a person's word for a second one.
    """

    controller_boot: str
    now: float
    min_interval: float
    force: bool = False


@dataclass(frozen=True)
class RebootDecision:
    """What is to be done, and why."""

    outcome: str
    words: str


def decide(seen: HostSeen, note: RebootNote | None, asked: RebootAsked) -> RebootDecision:
    """Whether to order a reboot, to go on with one that was ordered before, or to refuse it."""
    never = _why_never(seen, asked)
    if never:
        return RebootDecision(REFUSED, never)
    if note is not None and note.state == ORDERED:
        if note.boot != seen.boot and not asked.force:
            words = f"it was rebooted already, and nobody has proven yet that it is well: {note.said()}"
            return RebootDecision(GO_ON, words)
        if note.boot == seen.boot and seen.stopping:
            return RebootDecision(ON_ITS_WAY, f"it is on its way: {note.said()}")
    why = _why_not_now(seen) or _why_not_again(seen, note, asked)
    if why:
        return RebootDecision(REFUSED, why)
    return RebootDecision(ORDER, "nothing stands against it")


def _why_never(seen: HostSeen, asked: RebootAsked) -> str:
    """What no person's word passes: nobody could tell what the reboot has ended, or whether there was one."""
    if seen.boot is None:
        return "the kernel does not say which boot this is, so that nobody could tell a reboot from none"
    if not asked.controller_boot:
        return "whether this run comes from the same machine cannot be known: its controller does not tell its boot"
    if asked.controller_boot == seen.boot:
        return "this run comes from the same kernel: the reboot would end its own controller. Start it from elsewhere"
    if not seen.systemd:
        return "its init is not systemd"
    return ""


def _why_not_now(seen: HostSeen) -> str:
    if seen.stopping:
        return "it shuts down already, by somebody else's order"
    if seen.scheduled:
        return f"somebody has planned a shutdown: {seen.scheduled}. To do without that one: shutdown -c"
    if seen.blocked_by:
        return f"a shutdown is forbidden now by {'; '.join(seen.blocked_by)}. See systemd-inhibit --list"
    if seen.unread:
        return f"whether a reboot disturbs somebody could not be read: {'; '.join(seen.unread)}"
    return ""


def _why_not_again(seen: HostSeen, note: RebootNote | None, asked: RebootAsked) -> str:
    """A reboot that has not cured is not tried again soon. A clock that was set back makes the last one no older."""
    if note is None or note.boot == seen.boot or asked.force or asked.now >= note.at + asked.min_interval:
        return ""
    came = "it was well then" if note.state == PROVEN else f"it did not cure: {note.words or 'nothing was proven'}"
    return (
        f"it was rebooted less than {asked.min_interval:.0f} s ago ({note.said()}), and {came}. "
        f"Not before {clocks.in_words(note.at + asked.min_interval)}, or by a person with force=true"
    )


def after_proof(note: RebootNote | None, boot: str | None, state: str, words: str) -> RebootNote | None:
    """The note after a proof, or after one that failed. What was not rebooted is not proven, and its note stays."""
    if note is None or boot is None or note.boot == boot:
        return note
    return RebootNote(**{**vars(note), "state": state, "words": words})
