# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which action comes next on the ladder, leaving aside whether it may run now."""

from __future__ import annotations

from autoglm_recovery.knowledge.faults.classes import DESTRUCTIVE_ACTIONS, GPU_ACTIONS
from autoglm_recovery.policy.durations import format_duration
from autoglm_recovery.policy.model import Policy
from autoglm_recovery.receiver.model import Decision, FaultMode, Verb
from autoglm_recovery.receiver.situation import Situation


def next_step(policy: Policy, situation: Situation) -> Decision:
    """Find the rung that comes next.

    A rung is behind us when its action ran for this failure in an incident before, when it failed here more often than
    C(retries) allows, or when this GPU has had enough of it.  The rungs are taken in order: a higher one comes only
    when those below it are behind us.
    """
    strategy = policy.recovery.strategy(situation.failure_class)
    ladder = strategy.ladder(situation.failure_class)
    if not ladder:
        return Decision(Verb.escalate, f"no action is defined for failure class {situation.failure_class}")
    start = max((ladder.index(a) + 1 for a in situation.earlier_actions if a in ladder), default=0)
    for rung in range(start, len(ladder)):
        action = ladder[rung]
        tried = sum(attempt.action == action for attempt in situation.attempts)
        if tried > strategy.retries or worn_out(policy, situation, action):
            continue
        if action not in situation.playbooks:
            return Decision(Verb.escalate, f"the next action is {action}, for which no playbook is installed", action)
        refused = _refused(situation, action)
        if refused:
            return Decision(Verb.escalate, refused, action)
        return Decision(
            Verb.run, _why(policy, situation, ladder, rung, tried), action=action, attempt=len(situation.attempts) + 1
        )
    return Decision(Verb.escalate, f"the ladder has ended: {_history(policy, situation)}")


def worn_out(policy: Policy, situation: Situation, action: str) -> bool:
    """Tell whether the GPU has had this action so often that the next rung is due, although the incident is new."""
    done = (situation.gpu_actions or {}).get(action, 0)
    return action in GPU_ACTIONS and done >= policy.recovery.gpu_memory.attempts


def _refused(situation: Situation, action: str) -> str | None:
    """Say why an action must not be taken on a failure of this kind, whatever the ladder says."""
    if action not in DESTRUCTIVE_ACTIONS:
        return None
    if situation.failure_class == "unknown" and action != "safe_shutdown":
        return f"{action} may destroy something, and nobody has named this failure"
    if situation.mode is FaultMode.partitioned:
        return f"{action} may destroy something, and in a partition nobody knows who is alive"
    return None


def _why(policy: Policy, situation: Situation, ladder: tuple[str, ...], rung: int, tried: int) -> str:
    place = f"rung {rung + 1} of {len(ladder)} for {situation.failure_class}"
    history = _history(policy, situation)
    if tried:
        return f"{ladder[rung]} once more, {place}: {history}"
    if history:
        back = "the failure came back: " if situation.earlier_actions and not situation.attempts else ""
        return f"{ladder[rung]}, {place}: {back}{history}"
    if situation.mode is FaultMode.persistent:
        return f"{ladder[rung]}, {place}: the failure persists"
    return f"{ladder[rung]}, {place}: first time within the window"


def _history(policy: Policy, situation: Situation) -> str:
    told = [f"{attempt.action} {attempt.state}" for attempt in situation.attempts]
    told += [f"{action} ran for an earlier incident" for action in sorted(situation.earlier_actions)]
    within = format_duration(policy.recovery.gpu_memory.within)
    told += [
        f"{action} ran {count} times on {situation.target.gpu} within {within}"
        for action, count in sorted((situation.gpu_actions or {}).items())
        if worn_out(policy, situation, action)
    ]
    return ", ".join(told)
