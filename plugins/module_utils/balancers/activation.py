# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a server back into traffic, all at once or in steps of its weight."""

from __future__ import annotations

from dataclasses import dataclass

from . import witnesses
from .draining import DrainContext, DrainOutcome, wait_until
from .protocol import ACTIVE, DOWN, BalancerError, BalancerNotSupported, PoolMember, find


@dataclass(frozen=True)
class ActivationPlan:
    """How a server is brought back into traffic.

    weight: the share to end at, None to keep the present one.  ramp: seconds from the first step to the last, 0 for no
    ramp.  deadline: seconds until the engine must be ready, and again until the balancer must not report it down.
    """

    weight: int | None = None
    ramp: float = 0.0
    steps: int = 5
    deadline: float = 300.0
    require_ready: bool = True


def ramp_weights(target: int, steps: int) -> list[int]:
    """Ascending weights that end in the target. A weight of 1 has no steps: the list then has one entry."""
    return sorted({max(1, round(target * step / steps)) for step in range(1, steps + 1)} | {target}) if target else [0]


def activate(context: DrainContext, plan: ActivationPlan, check_mode: bool = False) -> DrainOutcome:
    """Make the server active unless it is already. Errors of the balancer or the engine end up in the outcome."""
    outcome = DrainOutcome()
    began = context.clock.now()
    try:
        _activate(context, plan, check_mode, outcome)
    except (BalancerError, BalancerNotSupported) as error:
        outcome.outcome = "failed"
        outcome.reasons.append(str(error))
    outcome.seconds = round(context.clock.now() - began, 3)
    return outcome


def _activate(context: DrainContext, plan: ActivationPlan, check_mode: bool, outcome: DrainOutcome) -> None:
    balancer, server = context.balancer, context.server
    outcome.before = _reread_server(context, outcome)
    outcome.in_flight_before = outcome.balancer = balancer.in_flight(server)
    outcome.engine = witnesses.engine_in_flight(context.engine)
    active, target = outcome.before.admin == ACTIVE and not outcome.before.pending, _final_weight(context, plan)
    todo = _weights_to_set(active, outcome.before.weight, target, plan)
    outcome.changed = not active or bool(todo)
    if target is None and outcome.before.weight == 0:
        outcome.changed, outcome.outcome = False, "refused"
        outcome.reasons.append(f"{server} has weight 0, by which it gets nothing however active it is: give a weight")
        return
    if check_mode or (not outcome.changed and outcome.before.health != DOWN):
        outcome.outcome = "active"
        outcome.reasons.append(f"{server} {'is' if not outcome.changed else 'would be'} active")
        return
    outcome.changed = False
    if not active:
        _wait_for_engine(context, plan, outcome)
        if outcome.reasons:
            return
    with balancer.exclusively():
        _bring_in(context, active, todo, outcome)
    _wait_for_health(context, plan, outcome)
    if outcome.outcome == "active":
        _raise_weight_in_steps(context, plan, todo[1:], outcome)
    outcome.balancer = balancer.in_flight(server)


def _final_weight(context: DrainContext, plan: ActivationPlan) -> int | None:
    """The weight to end at, None where the weight is not to be changed."""
    if plan.weight is not None or not plan.ramp:
        return plan.weight
    weight = context.balancer.weight(context.server)
    return weight.current if weight.full is None else weight.full


def _weights_to_set(active: bool, current: int | None, target: int | None, plan: ActivationPlan) -> list[int]:
    """The weights to set, in order. A ramp that was interrupted goes on from where it is."""
    if target is None or (active and current == target):
        return []
    steps = ramp_weights(target, plan.steps) if plan.ramp else [target]
    further = [weight for weight in steps if not active or current is None or weight > current]
    return further or [target]


def _wait_for_engine(context: DrainContext, plan: ActivationPlan, outcome: DrainOutcome) -> None:
    engine = context.engine
    if engine is None or not plan.require_ready:
        return
    if not wait_until(lambda: engine.ready().value is True, context.clock, plan.deadline, context.poll):
        reason = engine.ready().reason
        outcome.reasons.append(f"{context.server} was left out of traffic: its engine is not ready: {reason}")


def _bring_in(context: DrainContext, active: bool, todo: list[int], outcome: DrainOutcome) -> None:
    """Set the first weight, then activate: the server must not get its full share for the moment in between."""
    if todo:
        context.balancer.set_weight(context.server, todo[0])
        outcome.changed = True
    if not active:
        context.balancer.ready(context.server)
        outcome.changed = True


def _wait_for_health(context: DrainContext, plan: ActivationPlan, outcome: DrainOutcome) -> None:
    up = wait_until(lambda: _reread_server(context, outcome).health != DOWN, context.clock, plan.deadline, context.poll)
    seen = outcome.after
    if up:
        outcome.outcome = "active"
        outcome.reasons.append(f"{context.server} is active ({seen.says if seen else ''})")
    else:
        says = seen.says if seen else "nothing"
        outcome.reasons.append(f"{context.server} is active, but after {plan.deadline:g} s the balancer says {says}")


def _raise_weight_in_steps(context: DrainContext, plan: ActivationPlan, todo: list[int], outcome: DrainOutcome) -> None:
    if plan.ramp and not todo:
        outcome.reasons.append(
            f"no slow start: a weight of {outcome.after and outcome.after.weight} leaves no step before it"
        )
    for weight in todo:
        context.clock.sleep(plan.ramp / len(todo))
        with context.balancer.exclusively():
            if _reread_server(context, outcome).admin != ACTIVE:
                outcome.outcome = "failed"
                outcome.reasons.append(f"somebody took {context.server} out of traffic during its slow start")
                return
            context.balancer.set_weight(context.server, weight)
    if todo:
        _reread_server(context, outcome)
        outcome.reasons.append(f"slow start over {plan.ramp:g} s to weight {todo[-1]}")


def _reread_server(context: DrainContext, outcome: DrainOutcome) -> PoolMember:
    outcome.pool = context.balancer.members()
    outcome.after = find(context.server, outcome.pool, "the balancer")
    return outcome.after
