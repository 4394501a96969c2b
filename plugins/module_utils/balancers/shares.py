# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of its load a server keeps: how far weight and limit go down, and how they come back. Pure.

Promises, each a property of tests/unit/plugins/module_utils/balancers/test_shares.py:

- shedding never takes a weight or a limit to zero, and never above what is in force;
- what comes back is at most what was there before the first shed, and in the end exactly that;
- what somebody else has set meanwhile is never overruled;
- the pool keeps as many servers with their whole load as it must have, and more than a share of it is never reduced.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from .pool import MinimumActive, describe, serving, total
from .protocol import ACTIVE, DOWN, UNKNOWN, PoolMember

WHOLE = 100


@dataclass(frozen=True)
class ServerLoad:
    """What a balancer gives a server: its share of the traffic, and how many requests at once at most.

    weight: None where weights do nothing.  limit: None for no limit, and where the balancer has none for one server.
    """

    weight: int | None
    limit: int | None = None


@dataclass(frozen=True)
class ShedNote:
    """What is kept of a server whose load was shed, so that any later run can bring it back.

    before: what was in force before the first shed.  ours: every setting that runs have made since.  share: percent of
    before that was asked for last.  first: the share that was asked for when it was shed.  ceiling: the limit that was
    given for a server without one.
    """

    before: ServerLoad
    ours: tuple[ServerLoad, ...]
    share: int
    first: int
    ceiling: int | None = None
    service: str = ""
    incident: str = ""
    cause: str = ""
    who: str = ""
    why: str = ""
    since: str = ""


@dataclass(frozen=True)
class ShedRules:
    """What the operator asked for. C(share): percent that the server keeps.  C(steps): from there to the whole."""

    share: int
    steps: int
    ceiling: int | None = None
    needed: MinimumActive = field(default_factory=lambda: MinimumActive(1))
    most_reduced: int = 50
    count_unchecked: bool = False


@dataclass(frozen=True)
class ShedPlan:
    """What to set, and the note to keep with it. C(note) None: nothing is shed any more."""

    wanted: ServerLoad
    note: ShedNote | None
    reasons: tuple[str, ...] = ()


class ShedRefused(Exception):
    """Nothing may, or can, be shed. The text says why."""


def reduced(before: ServerLoad, share: int, ceiling: int | None, first: int) -> ServerLoad:
    """A share of what there was, and never nothing. A ceiling is whole at the first share and grows with it."""
    weight = None if before.weight is None else _part(before.weight, share)
    if before.limit is not None:
        return ServerLoad(weight, _part(before.limit, share))
    return ServerLoad(weight, None if ceiling is None else max(1, ceiling * share // first))


def shed(now: ServerLoad, note: ShedNote | None, rules: ShedRules) -> ShedPlan:
    """Shed down to the share. One that is shed already is measured by what there was before the first time.

    Raises ShedRefused where nothing would become less.
    """
    before = now if note is None else _before(now, note)
    wanted = reduced(before, rules.share, rules.ceiling, rules.share)
    wanted = ServerLoad(_lower(wanted.weight, now.weight), _lower(wanted.limit, now.limit))
    if wanted == before:
        raise ShedRefused(
            f"nothing would become less: its weight is {before.weight}, and it has no limit of requests at once."
            " Give the servers of this pool weights such as 100 and not 1, or a limit, or give one here"
        )
    kept = ShedNote(before, (), rules.share, rules.share) if note is None else replace(note, before=before)
    kept = replace(kept, share=rules.share, first=rules.share, ceiling=rules.ceiling)
    return ShedPlan(wanted, _with(kept, wanted), (f"it keeps {rules.share}%: {_words(before, wanted)}",))


def next_share(note: ShedNote, steps: int) -> int:
    """The share of one step further up, 100 for the last one."""
    step = max(1, -(-(WHOLE - note.first) // max(steps, 1)))
    return min(WHOLE, note.share + step)


def raise_one_step(now: ServerLoad, note: ShedNote, steps: int) -> ShedPlan:
    """One step up. The last one ends at what there was before."""
    share = next_share(note, steps)
    if share >= WHOLE or not _is_ours(now, note):
        # A balancer that was restarted has forgotten it, or somebody has set all of it: nothing of ours is left.
        return restore(now, note)
    goal = reduced(note.before, share, note.ceiling, note.first)
    wanted = ServerLoad(
        _raised(now.weight, goal.weight, note.before.weight, [ours.weight for ours in note.ours]),
        _raised(now.limit, goal.limit, note.before.limit, [ours.limit for ours in note.ours]),
    )
    return ShedPlan(wanted, _with(replace(note, share=share), wanted), (f"up to {share}%: {_words(now, wanted)}",))


def restore(now: ServerLoad, note: ShedNote) -> ShedPlan:
    """All of it, at once."""
    weights, limits = [ours.weight for ours in note.ours], [ours.limit for ours in note.ours]
    wanted = ServerLoad(
        _restored(now.weight, note.before.weight, weights), _restored(now.limit, note.before.limit, limits)
    )
    if wanted == now and now != note.before:
        return ShedPlan(now, None, (f"somebody has set {_told(now)} meanwhile, which is left as it is",))
    words = "its whole load is back" if wanted == note.before else "what was ours is back, and the rest left as it is"
    return ShedPlan(wanted, None, (f"{words}: {_words(now, wanted)}",))


def why_not(server: str, members: Sequence[PoolMember], noted: Collection[str], rules: ShedRules) -> str:
    """Why the pool cannot take what this server would give up; empty if it can.

    noted: the servers of the pool whose load is shed, by the notes.
    """
    me = next((member for member in members if member.name == server), None)
    if me is None:
        return f"the balancer has no server {server!r}; it has: {', '.join(each.name for each in members) or 'none'}"
    if me.admin != ACTIVE or me.health == DOWN or me.weight == 0:
        return f"{server} gets no requests as it is ({describe([me])}): there is nothing to shed"
    others = [name for name in serving(members, rules.count_unchecked, without=server) if name not in noted]
    needed, size = max(1, rules.needed.of(total(members))), total(members)
    if len(others) < needed:
        unchecked = any(each.health == UNKNOWN and each.admin == ACTIVE and each.name != server for each in members)
        hint = "; the balancer does not know the health of some: give peers, or count_unchecked" if unchecked else ""
        return (
            f"{len(others)} of the others serve with their whole load, and {needed} must be left to take what {server}"
            f" gives up: {describe(members)}{_already(noted)}{hint}"
        )
    reduced_then = {name for name in (*noted, server) if any(each.name == name for each in members)}
    if len(reduced_then) * WHOLE > max(size * rules.most_reduced, WHOLE):
        return (
            f"{len(reduced_then)} of {size} would be reduced, and at most {rules.most_reduced}% may be{_already(noted)}"
        )
    return ""


def _already(noted: Collection[str]) -> str:
    return f"; reduced already: {', '.join(sorted(noted))}" if noted else ""


def _part(number: int, share: int) -> int:
    return max(1, number * share // WHOLE)


def _lower(wanted: int | None, now: int | None) -> int | None:
    """The lower of two, of which None is the highest."""
    return now if wanted is None else wanted if now is None else min(wanted, now)


def _before(now: ServerLoad, note: ShedNote) -> ServerLoad:
    """What there was before the first shed; what somebody else has set since is a new beginning."""

    def of(value: int | None, was: int | None, ours: Sequence[int | None]) -> int | None:
        return was if value == was or value in ours else value

    return ServerLoad(
        of(now.weight, note.before.weight, [each.weight for each in note.ours]),
        of(now.limit, note.before.limit, [each.limit for each in note.ours]),
    )


def _is_ours(now: ServerLoad, note: ShedNote) -> bool:
    """Whether anything of what is in force is what a run has made of it."""
    weight = now.weight != note.before.weight and now.weight in [each.weight for each in note.ours]
    return weight or (now.limit != note.before.limit and now.limit in [each.limit for each in note.ours])


def _raised(now: int | None, goal: int | None, before: int | None, ours: Sequence[int | None]) -> int | None:
    if now == before or now not in ours or now is None:
        return now
    return goal if goal is None else max(now, goal)


def _restored(now: int | None, before: int | None, ours: Sequence[int | None]) -> int | None:
    return before if now in ours else now


def _with(note: ShedNote, made: ServerLoad) -> ShedNote:
    """The note with one more setting of ours."""
    return note if made in note.ours else replace(note, ours=(*note.ours, made))


def _words(one: ServerLoad, other: ServerLoad) -> str:
    changes = []
    if one.weight != other.weight:
        changes.append(f"weight {one.weight} -> {other.weight}")
    if one.limit != other.limit:
        changes.append(f"at once {_count(one.limit)} -> {_count(other.limit)}")
    return ", ".join(changes) or f"{_told(other)} already"


def _told(setting: ServerLoad) -> str:
    told = [] if setting.weight is None else [f"weight {setting.weight}"]
    return ", ".join([*told, *([] if setting.limit is None else [f"at once {setting.limit}"])]) or "nothing"


def _count(limit: int | None) -> str:
    return "as many as there are" if limit is None else str(limit)
