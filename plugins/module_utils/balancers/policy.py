# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The next step of a drain, and the reason for it: one pure function.

Promises, each a property of tests/unit/plugins/module_utils/balancers/test_policy.py:

- a drain never takes a pool below the minimum that must serve, and is undone where the pool turns out to be below;
- a server is never called drained while any readable witness counts a request, nor after a single reading;
- an unreadable count is never zero: the reason names it, and the drain waits for it until the deadline;
- the deadline always ends the drain.

Two hosts may drain one pool at once, and no balancer here has a compare-and-swap. Each reads the pool again after its
change. If both servers left, the one with the greater name is put back at once; the other one waits SETTLE seconds for
that, and is then put back too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .pool import MinimumActive, describe, may_serve, serving, total
from .protocol import ACTIVE, DOWN, UP, Count, PoolMember

SETTLE = 3.0

# Which witnesses must report zero. C(all): all that can answer. C(any): one suffices. Other values name that one.
WITNESSES = ("all", "any", "balancer", "engine")
REMAINING = ("fail", "wait", "abort")


@dataclass(frozen=True)
class DrainRules:
    """What the operator asked for. Deadlines are seconds: the second one begins where the first one ends."""

    needed: MinimumActive
    count_unchecked: bool = False
    witnesses: str = "all"
    deadline: float = 300.0
    remaining: str = "fail"
    remaining_deadline: float = 600.0
    zeros: int = 2
    wait: bool = True  # False: being out of traffic is enough, the caller waits for requests in flight


@dataclass(frozen=True)
class PoolReading:
    """One reading. C(pool) None means that the balancer could not be read, and C(unread) says why."""

    pool: tuple[PoolMember, ...] | None
    balancer: Count
    engine: Count
    unread: str = ""
    restarted: bool = False  # the balancer has restarted since the drain


@dataclass(frozen=True)
class DrainProgress:
    """What this task has done so far.

    before: the pool before this task.  told: the server was out of traffic already, or the balancer was told to drain
    it.  drained_here: this task drained it.  quiet: how many consecutive readings before this one were zero.
    seconds: since the task began.  out: seconds since the server left the traffic.
    """

    server: str
    before: tuple[PoolMember, ...] = ()
    told: bool = False
    drained_here: bool = False
    quiet: int = 0
    seconds: float = 0.0
    out: float = 0.0
    aborted: bool = False
    abort_refused: str = ""


@dataclass(frozen=True)
class DrainStep:
    """The next step of a drain.

    verb: C(drain), C(wait), C(abort) or C(done); or the task ends in failure: C(refuse) (nothing was changed),
    C(put_back) (make the server active again if this task drained it) or C(fail) (leave the server as it is).
    quiet: this reading was zero.
    """

    verb: str
    reason: str
    quiet: bool = False


def decide(look: PoolReading, progress: DrainProgress, rules: DrainRules) -> DrainStep:
    """The next step."""
    if look.pool is None:
        reason = f"the balancer cannot be read: {look.unread}"
        return _wait_or_give_up(reason, progress, rules) if progress.told else DrainStep("refuse", reason)
    me = next((member for member in look.pool if member.name == progress.server), None)
    if me is None:
        names = ", ".join(member.name for member in look.pool) or "none"
        reason = f"the balancer has no server {progress.server!r}; it has: {names}"
        return DrainStep("fail" if progress.told else "refuse", reason)
    if me.admin == ACTIVE or me.pending:
        return _in_traffic(me, look, progress, rules)
    return _step_below_minimum(me, look.pool, progress, rules) or _out_of_traffic(me, look, progress, rules)


def _out_of_traffic(me: PoolMember, look: PoolReading, progress: DrainProgress, rules: DrainRules) -> DrainStep:
    quiet, reason = at_rest(me, look, rules)
    if not rules.wait:
        return DrainStep("done", f"{me.name} is out of traffic, and what is in flight is not waited for: {reason}")
    if not quiet:
        return _wait_or_give_up(reason, progress, rules)
    if progress.quiet + 1 >= rules.zeros:
        return DrainStep("done", reason, quiet=True)
    return replace(_wait_or_give_up(f"{reason}; looking again to be sure", progress, rules), quiet=True)


def at_rest(me: PoolMember, look: PoolReading, rules: DrainRules) -> tuple[bool, str]:
    """Whether nothing is in flight, and which witnesses say so."""
    balancer, engine = look.balancer, _trusted_engine_count(look.engine, me)
    for who, count in (("balancer", balancer), ("engine", engine)):
        if count.value:
            return False, f"{count.value} in flight by the {who} ({count.reason})"
    counts = {"balancer": balancer, "engine": engine}
    zero = [who for who, count in counts.items() if count.value == 0]
    if rules.witnesses in counts:
        asked = [rules.witnesses]
    else:
        asked = [who for who, count in counts.items() if _can_answer(count, me)]
    missing = [who for who in asked if who not in zero]
    told = "; ".join(f"{who}: {count.reason}" for who, count in counts.items())
    if rules.witnesses == "any" and zero:
        return True, told
    if not asked:
        return False, f"no witness can tell what is in flight: {told}"
    if missing:
        return False, f"unknown, by the {' and the '.join(missing)}: {told}"
    return True, told


def _in_traffic(me: PoolMember, look: PoolReading, progress: DrainProgress, rules: DrainRules) -> DrainStep:
    """The step for a server in traffic: not drained yet, forgotten by a restart, or made active by another person."""
    pool = look.pool or ()
    reason = _why_it_must_stay(me, pool, rules)
    if not progress.told:
        return (
            DrainStep("refuse", reason)
            if reason
            else DrainStep("drain", f"{me.name} is active and {_describe_rest(me, pool, rules)}")
        )
    if not look.restarted and not me.pending:
        return DrainStep("fail", f"somebody made {me.name} active again while it was being drained")
    if reason:  # after a restart its first checks may not be over
        return _wait_or_give_up(f"the balancer restarted and forgot the drain; for now {reason}", progress, rules)
    late = _wait_or_give_up("", progress, rules)
    return DrainStep("drain", "the balancer restarted and forgot the drain") if late.verb != "put_back" else late


def _why_it_must_stay(me: PoolMember, pool: tuple[PoolMember, ...], rules: DrainRules) -> str:
    """Why the server may not leave; empty if it may. A server that is known to be down may always leave."""
    left, needed = serving(pool, rules.count_unchecked, without=me.name), rules.needed.of(total(pool))
    if len(left) >= needed or not may_serve(me):
        return ""
    unchecked = any(m.health not in (UP, DOWN) and m.admin == ACTIVE and m.name != me.name for m in pool)
    hint = "; the balancer does not know the health of some: give peers, or count_unchecked" if unchecked else ""
    return (
        f"without {me.name} {len(left)} of {total(pool)} would serve, and min_available is {rules.needed}"
        f" ({needed}): {describe(pool)}{hint}"
    )


def _describe_rest(me: PoolMember, pool: tuple[PoolMember, ...], rules: DrainRules) -> str:
    left = serving(pool, rules.count_unchecked, without=me.name)
    dead = f" (it is down: {me.says})" if me.health == DOWN else ""
    return f"without it {len(left)} of {total(pool)} serve{dead}"


def _step_below_minimum(
    me: PoolMember, pool: tuple[PoolMember, ...], progress: DrainProgress, rules: DrainRules
) -> DrainStep | None:
    """The step if the pool is below its minimum with the server out; None if it is not, or another task drained it."""
    left, needed = serving(pool, rules.count_unchecked, without=me.name), rules.needed.of(total(pool))
    if len(left) >= needed or not progress.drained_here or me.health == DOWN:
        return None
    was_serving = set(serving(progress.before, rules.count_unchecked))
    rivals = [m.name for m in pool if m.name != me.name and m.admin != ACTIVE and m.name in was_serving]
    reason = (
        f"with {me.name} out {len(left)} of {total(pool)} serve, below min_available {rules.needed}: {describe(pool)}"
    )
    if rivals and me.name < max(rivals) and progress.out < SETTLE and progress.seconds < rules.deadline:
        return DrainStep(
            "wait", f"{reason}; {', '.join(rivals)} left at the same time and {max(rivals)} is to come back"
        )
    return DrainStep("put_back", reason)


def _wait_or_give_up(reason: str, progress: DrainProgress, rules: DrainRules) -> DrainStep:
    """Wait until the deadline; after it, do what the operator chose for requests that remain."""
    if progress.seconds < rules.deadline:
        return DrainStep("wait", reason)
    late = f"after {rules.deadline:g} s: {reason}"
    if rules.remaining == "fail":
        return DrainStep("put_back", late)
    if rules.remaining == "abort" and progress.abort_refused:
        return DrainStep("put_back", f"{late}; {progress.abort_refused}")
    if progress.seconds >= rules.deadline + rules.remaining_deadline:
        return DrainStep("put_back", f"after {rules.deadline + rules.remaining_deadline:g} s: {reason}")
    if rules.remaining == "abort" and not progress.aborted:
        return DrainStep("abort", late)
    return DrainStep("wait", late)


def _trusted_engine_count(engine: Count, me: PoolMember) -> Count:
    """The engine's count; zero for an engine that is gone, unless the balancer's checks say that it is up."""
    if engine.kind != "gone":
        return engine
    if me.health == UP:
        return Count(None, f"{engine.reason}, but the balancer's checks say it is up", "unread")
    return Count(0, f"the engine is gone: {engine.reason}", "gone")


def _can_answer(count: Count, me: PoolMember) -> bool:
    """Whether a witness can be asked. A silent engine still counts, unless the balancer's own checks say it is down."""
    return count.kind != "unsupported" and not (count.kind == "silent" and me.health == DOWN)
