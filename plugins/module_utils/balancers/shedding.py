# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shed a part of a server's load at its balancer, and bring it back: the shell around shares.py.

Under the pool's lock: read, decide, write the note, tell the balancer, read back. Where the balancer refuses in the
middle, what was in force is put back. A task that is killed leaves the note, by which the next one goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..engines.protocol import Engine
from . import shares, witnesses
from .protocol import Balancer, BalancerError, BalancerNotSupported, PoolMember, find
from .shares import ServerLoad, ShedNote, ShedPlan, ShedRefused, ShedRules
from .shed_notes import ShedNotes


@dataclass(frozen=True)
class ShedContext:
    """One server, its balancer and its notes. C(peers): the engines of the others, for a balancer without checks.

    about: service, incident, cause, who, why and since, for a note that is begun.
    """

    balancer: Balancer
    server: str
    notes: ShedNotes
    peers: Mapping[str, Engine] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)


@dataclass
class ShedOutcome:
    """What a task returns. C(outcome): C(shed), C(raised), C(whole), C(queried), C(refused) or C(failed)."""

    outcome: str = "failed"
    changed: bool = False
    reasons: list[str] = field(default_factory=list)
    before: ServerLoad | None = None
    after: ServerLoad | None = None
    note_before: ShedNote | None = None
    note: ShedNote | None = None
    pool: Sequence[PoolMember] = ()

    @property
    def ok(self) -> bool:
        return self.outcome in ("shed", "raised", "whole", "queried")


def act(context: ShedContext, state: str, rules: ShedRules, check_mode: bool = False) -> ShedOutcome:
    """Do what C(state) says: C(shed), C(raised) (one step), C(restored) or C(queried). Errors end up in the outcome."""
    outcome = ShedOutcome()
    try:
        if state == "queried" or check_mode:
            _act(context, state, rules, True, outcome)
        else:
            with context.balancer.exclusively():
                _act(context, state, rules, False, outcome)
    except ShedRefused as error:
        outcome.outcome = "refused"
        outcome.reasons.append(str(error))
    except (BalancerError, BalancerNotSupported) as error:
        outcome.outcome = "failed" if outcome.changed else "refused"
        outcome.reasons.append(str(error))
    return outcome


def _act(context: ShedContext, state: str, rules: ShedRules, only_look: bool, outcome: ShedOutcome) -> None:
    note = outcome.note_before = outcome.note = context.notes.of(context.server)
    if note is None and state in ("raised", "restored"):
        # Not even asked how it stands: a balancer that is gone must not fail the repair of what was never shed.
        outcome.outcome = "whole"
        outcome.reasons.append(f"no run has shed load of {context.server}")
        return
    outcome.pool = witnesses.with_peers(context.balancer.members(), context.peers)
    me = find(context.server, outcome.pool, "the balancer")
    now, unsupported = _read(context.balancer, me)
    outcome.before = outcome.after = now
    if state == "queried":
        outcome.outcome = "queried"
        outcome.reasons.append(f"it was shed to {note.share}%" if note else f"no run has shed load of {context.server}")
        return
    plan = _plan(context, state, rules, now, note, outcome)
    outcome.reasons += [*plan.reasons, *(unsupported if state == "shed" else ())]
    _carry_out(context, plan, me, now, only_look, outcome)
    outcome.outcome = "whole" if plan.note is None else {"shed": "shed"}.get(state, "raised")


def _plan(
    context: ShedContext, state: str, rules: ShedRules, now: ServerLoad, note: ShedNote | None, outcome: ShedOutcome
) -> ShedPlan:
    if state == "shed":
        noted = [name for name in context.notes.servers() if name != context.server]
        why = shares.why_not(context.server, outcome.pool, noted, rules)
        if why:
            raise ShedRefused(why)
        plan = shares.shed(now, note, rules)
        if note is None and plan.note is not None:
            return replace(plan, note=_about(plan.note, context.about))
        return plan
    if note is None:  # who calls has answered that
        raise ShedRefused(f"no run has shed load of {context.server}")
    return shares.raise_one_step(now, note, rules.steps) if state == "raised" else shares.restore(now, note)


def _about(note: ShedNote, told: Mapping[str, str]) -> ShedNote:
    texts = {name: told.get(name, "") for name in ("service", "incident", "cause", "who", "why", "since")}
    return ShedNote(note.before, note.ours, note.share, note.first, note.ceiling, **texts)


def _read(balancer: Balancer, me: PoolMember) -> tuple[ServerLoad, list[str]]:
    """What is in force, and what this balancer cannot change. Raises BalancerNotSupported where that is all."""
    unsupported: list[str] = []
    weight = limit = None
    can_limit = True
    try:
        balancer.weights_count()
        weight = balancer.weight(me.name).current
    except BalancerNotSupported as error:
        unsupported.append(f"no weight is changed: {error}")
    try:
        limit = balancer.limit(me.name)
    except BalancerNotSupported as error:
        can_limit = False
        unsupported.append(f"no limit is set: {error}")
    if weight is None and not can_limit:
        raise BalancerNotSupported(f"load cannot be shed at this balancer: {'; '.join(unsupported)}")
    return ServerLoad(weight, limit), unsupported


def _carry_out(
    context: ShedContext, plan: ShedPlan, me: PoolMember, now: ServerLoad, only_look: bool, outcome: ShedOutcome
) -> None:
    outcome.note = plan.note
    outcome.after = plan.wanted
    # What a killed task has written and nobody has read yet is told again.
    tells = plan.wanted != now or me.pending
    outcome.changed = tells or plan.note != outcome.note_before
    if only_look or not outcome.changed:
        return
    outcome.changed = False
    if plan.note is not None and plan.note != outcome.note_before:
        context.notes.write(context.server, plan.note)
        outcome.changed = True
    if tells:
        _tell(context, plan.wanted, now, me.pending, outcome)
    if plan.note is None:
        context.notes.remove(context.server)
        outcome.changed = True


def _tell(context: ShedContext, wanted: ServerLoad, now: ServerLoad, again: bool, outcome: ShedOutcome) -> None:
    """Set, and read back."""
    try:
        told = _set(context, wanted, now, again, outcome)
    except (BalancerError, BalancerNotSupported):
        outcome.changed = True
        outcome.reasons.append(_put_back(context, now, outcome))
        raise
    outcome.changed = True
    found = find(context.server, context.balancer.members(), "the balancer")
    read, _unsupported = _read(context.balancer, found)
    outcome.after = read
    if read != told or found.pending:
        raise BalancerError("unproven", f"the balancer was told {told} for {context.server} and has {read}")


def _set(context: ShedContext, wanted: ServerLoad, now: ServerLoad, again: bool, outcome: ShedOutcome) -> ServerLoad:
    """What the balancer was told: without the weight, where it takes none at run time and there is a limit to set."""
    if wanted.weight is not None and (again or wanted.weight != now.weight):
        try:
            context.balancer.set_weight(context.server, wanted.weight)
        except BalancerNotSupported as error:
            if wanted.limit == now.limit:
                raise
            outcome.reasons.append(f"no weight is changed: {error}")
            wanted = replace(wanted, weight=now.weight)
    if wanted.limit != now.limit:
        context.balancer.set_limit(context.server, wanted.limit)
    return wanted


def _put_back(context: ShedContext, now: ServerLoad, outcome: ShedOutcome) -> str:
    """After a refusal in the middle: what was in force, and the note that was. Returns what came of it."""
    try:
        me = find(context.server, context.balancer.members(), "the balancer")
        _set(context, now, _read(context.balancer, me)[0], False, outcome)
        if outcome.note_before is None:
            context.notes.remove(context.server)
        else:
            context.notes.write(context.server, outcome.note_before)
    except (BalancerError, BalancerNotSupported) as error:
        return f"what was in force could NOT be put back, and the note stays: {error}"
    outcome.note, outcome.after, outcome.changed = outcome.note_before, now, False
    return "what was in force was put back"
