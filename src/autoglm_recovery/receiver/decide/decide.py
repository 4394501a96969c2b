# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do about an incident now.  One pure function, with its reason."""

from __future__ import annotations

from collections.abc import Iterator

from autoglm_recovery.policy.model import Policy
from autoglm_recovery.receiver.decide.guards import RULES, GuardFinding, explained, watched
from autoglm_recovery.receiver.decide.ladder import next_step
from autoglm_recovery.receiver.values.model import Decision, Verb
from autoglm_recovery.receiver.values.situation import Situation


def decide(policy: Policy, situation: Situation) -> Decision:
    """Return what to do now: the next step of the ladder, or what the first rule that objects makes of it."""
    step = next_step(policy, situation)
    return next((f.verdict for f in examine(policy, situation, step) if f.verdict is not None), step)


def examine(policy: Policy, situation: Situation, step: Decision) -> Iterator[GuardFinding]:
    """Say how each rule stands towards a step, in the order in which they decide."""
    # No person is called about an effect while its cause is being dealt with, nor where the policy only watches; beyond
    # that a call needs no leave.
    rules = RULES if step.verb is Verb.run else (explained, watched)
    for rule in rules:
        yield from rule(policy, situation, step)
