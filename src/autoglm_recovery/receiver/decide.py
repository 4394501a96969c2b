# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do about an incident now.  One pure function, with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from autoglm_recovery.policy.durations import format_duration
from autoglm_recovery.policy.model import Autonomy, Policy, Strategy
from autoglm_recovery.receiver.model import Attempt, Decision, FaultMode, Target, Verb


@dataclass(frozen=True)
class Situation:
    """Everything a decision may depend on.

    C(attempts) are the runs of this incident, oldest first.  C(earlier_actions) are the actions that were run for the
    same failure of the same target in incidents before this one, within the policy's C(persistent_within).
    """

    failure_class: str
    mode: FaultMode
    target: Target
    opened_at: float
    now: float
    playbooks: frozenset[str]
    attempts: tuple[Attempt, ...] = ()
    earlier_actions: frozenset[str] = frozenset()
    approved: bool = False
    last_action_on_target_at: float | None = None
    busy_with: int | None = None
    running: int = 0
    host_actions_last_hour: int = 0


def decide(policy: Policy, situation: Situation) -> Decision:
    """Return what to do now.

    The order matters: what must never be done comes first, what is only not yet due comes after it, and the limits of
    the fleet come last, so that the reason a person reads is the strongest one.
    """
    strategy = policy.recovery.strategy(situation.failure_class)
    step = next_step(strategy, situation)
    if step.verb is not Verb.run:
        return step
    for check in (_autonomy, _due, _guardrails):
        verdict = check(policy, strategy, situation, step)
        if verdict is not None:
            return verdict
    return step


def next_step(strategy: Strategy, situation: Situation) -> Decision:
    """Find the rung of the ladder that comes next, leaving aside whether it is due."""
    ladder = strategy.ladder(situation.failure_class)
    if not ladder:
        return Decision(Verb.escalate, f"no action is defined for failure class {situation.failure_class}")
    start = max((ladder.index(a) + 1 for a in situation.earlier_actions if a in ladder), default=0)
    for rung in range(start, len(ladder)):
        action = ladder[rung]
        tried = sum(attempt.action == action for attempt in situation.attempts)
        if tried > strategy.retries:
            continue
        if action not in situation.playbooks:
            return Decision(Verb.escalate, f"the next action is {action}, for which no playbook is installed", action)
        return Decision(
            Verb.run, _why(situation, ladder, rung, tried), action=action, attempt=len(situation.attempts) + 1
        )
    return Decision(Verb.escalate, f"the ladder has ended: {_history(situation)}")


def _why(situation: Situation, ladder: tuple[str, ...], rung: int, tried: int) -> str:
    place = f"rung {rung + 1} of {len(ladder)} for {situation.failure_class}"
    if tried:
        return f"{ladder[rung]} once more, {place}: {_history(situation)}"
    if situation.attempts:
        return f"{ladder[rung]}, {place}: {_history(situation)}"
    if situation.mode is FaultMode.persistent:
        return f"{ladder[rung]}, {place}: the failure came back after {', '.join(sorted(situation.earlier_actions))}"
    return f"{ladder[rung]}, {place}: first time within the window"


def _history(situation: Situation) -> str:
    told = [f"{attempt.action} {attempt.state}" for attempt in situation.attempts]
    told += [f"{action} ran for an earlier incident" for action in sorted(situation.earlier_actions)]
    return ", ".join(told)


def _autonomy(policy: Policy, _strategy: Strategy, situation: Situation, step: Decision) -> Decision | None:
    if situation.approved:
        return None
    autonomy = policy.recovery.autonomy.of(situation.failure_class, situation.target.pool)
    if autonomy is Autonomy.watch:
        return Decision(Verb.hold, f"autonomy is watch; would run {step.reason}", step.action, step.attempt)
    if autonomy is Autonomy.ask:
        return Decision(Verb.hold, f"autonomy is ask; waits for approval of {step.reason}", step.action, step.attempt)
    return None


def _due(_policy: Policy, strategy: Strategy, situation: Situation, step: Decision) -> Decision | None:
    waits: list[tuple[float, str]] = []
    if not situation.attempts:
        waits.append((situation.opened_at + strategy.delay.total_seconds(), f"delay {format_duration(strategy.delay)}"))
    else:
        last = situation.attempts[-1]
        pause = strategy.backoff.pause(sum(a.action == step.action for a in situation.attempts))
        if last.action == step.action:
            waits.append((last.ended_at + pause.total_seconds(), f"backoff {format_duration(pause)}"))
    if situation.last_action_on_target_at is not None and strategy.cooldown > timedelta(0):
        until = situation.last_action_on_target_at + strategy.cooldown.total_seconds()
        waits.append((until, f"cooldown {format_duration(strategy.cooldown)} of the target"))
    until, why = max(waits, default=(0.0, ""))
    if situation.now < until:
        return Decision(Verb.wait, f"{why}, then {step.reason}", step.action, step.attempt, not_before=until)
    return None


def _guardrails(policy: Policy, _strategy: Strategy, situation: Situation, step: Decision) -> Decision | None:
    guardrails = policy.guardrails

    def later(why: str) -> Decision:
        return Decision(Verb.wait, f"{why}, then {step.reason}", step.action, step.attempt)

    if situation.host_actions_last_hour >= guardrails.max_actions_per_host_per_hour:
        return Decision(
            Verb.escalate,
            f"{situation.host_actions_last_hour} actions ran on {situation.target.host} within the last hour; the "
            f"guardrail allows {guardrails.max_actions_per_host_per_hour}",
            step.action,
        )
    if situation.busy_with is not None:
        return later(f"incident {situation.busy_with} has a run on {situation.target.host}")
    if situation.running >= guardrails.max_concurrent_runs:
        return later(f"{situation.running} runs are going on; the guardrail allows {guardrails.max_concurrent_runs}")
    return None
