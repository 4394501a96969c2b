# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a server back into traffic, all at once or in steps of its weight."""

from __future__ import annotations

from dataclasses import dataclass

from . import witnesses
from .draining import DrainOutcome, DrainPeers, wait_until
from .protocol import ACTIVE, DOWN, BalancerError, BalancerNotSupported, PoolMember, find


@dataclass(frozen=True)
class ActivationPlan:
    """weight: the share to end at, None for the one there is.  ramp: seconds from the first step to the last, 0 for
    none.  deadline: seconds until the engine must be ready, and again until the balancer must not call it down."""

    weight: int | None = None
    ramp: float = 0.0
    steps: int = 5
    deadline: float = 300.0
    require_ready: bool = True


def ramp_weights(target: int, steps: int) -> list[int]:
    """Ascending weights that end in the target. A weight of 1 has no steps: the list then has one entry."""
    return sorted({max(1, round(target * step / steps)) for step in range(1, steps + 1)} | {target}) if target else [0]


def activate(parts: DrainPeers, plan: ActivationPlan, check_mode: bool = False) -> DrainOutcome:
    """Make the server active, or find it so. Raises nothing that a balancer or an engine may cause."""
    outcome = DrainOutcome()
    began = parts.clock.now()
    try:
        _activate(parts, plan, check_mode, outcome)
    except (BalancerError, BalancerNotSupported) as error:
        outcome.outcome = "failed"
        outcome.reasons.append(str(error))
    outcome.seconds = round(parts.clock.now() - began, 3)
    return outcome


def _activate(parts: DrainPeers, plan: ActivationPlan, check_mode: bool, outcome: DrainOutcome) -> None:
    balancer, server = parts.balancer, parts.server
    outcome.before = _see(parts, outcome)
    outcome.in_flight_before = outcome.balancer = balancer.in_flight(server)
    outcome.engine = witnesses.engine_in_flight(parts.engine)
    active, target = outcome.before.admin == ACTIVE and not outcome.before.pending, _target(parts, plan)
    todo = _weights(active, outcome.before.weight, target, plan)
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
        _wait_for_engine(parts, plan, outcome)
        if outcome.reasons:
            return
    with balancer.exclusively():
        _bring_in(parts, active, todo, outcome)
    _wait_for_health(parts, plan, outcome)
    if outcome.outcome == "active":
        _climb(parts, plan, todo[1:], outcome)
    outcome.balancer = balancer.in_flight(server)


def _target(parts: DrainPeers, plan: ActivationPlan) -> int | None:
    """The weight to end at, None where the weight is none of our business."""
    if plan.weight is not None or not plan.ramp:
        return plan.weight
    weight = parts.balancer.weight(parts.server)
    return weight.current if weight.full is None else weight.full


def _weights(active: bool, current: int | None, target: int | None, plan: ActivationPlan) -> list[int]:
    """The weights to set, in order. A ramp that was interrupted goes on from where it is."""
    if target is None or (active and current == target):
        return []
    steps = ramp_weights(target, plan.steps) if plan.ramp else [target]
    further = [weight for weight in steps if not active or current is None or weight > current]
    return further or [target]


def _wait_for_engine(parts: DrainPeers, plan: ActivationPlan, outcome: DrainOutcome) -> None:
    engine = parts.engine
    if engine is None or not plan.require_ready:
        return
    if not wait_until(lambda: engine.ready().value is True, parts.clock, plan.deadline, parts.poll):
        reason = engine.ready().reason
        outcome.reasons.append(f"{parts.server} was left out of traffic: its engine is not ready: {reason}")


def _bring_in(parts: DrainPeers, active: bool, todo: list[int], outcome: DrainOutcome) -> None:
    """Weight first: it must not get its full share for the moment in between."""
    if todo:
        parts.balancer.set_weight(parts.server, todo[0])
        outcome.changed = True
    if not active:
        parts.balancer.ready(parts.server)
        outcome.changed = True


def _wait_for_health(parts: DrainPeers, plan: ActivationPlan, outcome: DrainOutcome) -> None:
    up = wait_until(lambda: _see(parts, outcome).health != DOWN, parts.clock, plan.deadline, parts.poll)
    seen = outcome.after
    if up:
        outcome.outcome = "active"
        outcome.reasons.append(f"{parts.server} is active ({seen.says if seen else ''})")
    else:
        says = seen.says if seen else "nothing"
        outcome.reasons.append(f"{parts.server} is active, but after {plan.deadline:g} s the balancer says {says}")


def _climb(parts: DrainPeers, plan: ActivationPlan, todo: list[int], outcome: DrainOutcome) -> None:
    if plan.ramp and not todo:
        outcome.reasons.append(
            f"no slow start: a weight of {outcome.after and outcome.after.weight} leaves no step before it"
        )
    for weight in todo:
        parts.clock.sleep(plan.ramp / len(todo))
        with parts.balancer.exclusively():
            if _see(parts, outcome).admin != ACTIVE:
                outcome.outcome = "failed"
                outcome.reasons.append(f"somebody took {parts.server} out of traffic during its slow start")
                return
            parts.balancer.set_weight(parts.server, weight)
    if todo:
        _see(parts, outcome)
        outcome.reasons.append(f"slow start over {plan.ramp:g} s to weight {todo[-1]}")


def _see(parts: DrainPeers, outcome: DrainOutcome) -> PoolMember:
    outcome.pool = parts.balancer.members()
    outcome.after = find(parts.server, outcome.pool, "the balancer")
    return outcome.after
