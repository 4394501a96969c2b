# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rule stood in the way of which incident, and for how long: heard from the decisions as they are made."""

from __future__ import annotations

from dataclasses import dataclass

from autoglm_recovery.policy.model import Policy
from autoglm_recovery.receiver.decide.decide import examine
from autoglm_recovery.receiver.decide.ladder import next_step
from autoglm_recovery.receiver.fleet.site_config import SiteConfig
from autoglm_recovery.receiver.values.model import Decision, Verb
from autoglm_recovery.receiver.values.situation import Situation

# Where no rule objects to a call for a person, it is the ladder itself that has nothing more.
LADDER = "ladder"


@dataclass
class Stop:
    """One rule in the way of one incident without a break.  ``until`` is None while it is; ``asks`` for a person's
    word.

    ``reason`` is the first; it may have changed its figures meanwhile.
    """

    incident_id: int
    host: str
    failure_class: str
    rule: str
    verb: Verb
    action: str | None
    reason: str
    since: float
    until: float | None = None
    asks: bool = False


class Tally:
    """Gathers what stopped incidents."""

    def __init__(self) -> None:
        self.stops: list[Stop] = []
        self._standing: dict[int, Stop] = {}

    def decided(self, config: SiteConfig, situation: Situation, decision: Decision) -> None:
        """Hear a decision."""
        before = self._standing.get(situation.incident_id)
        rule = objecting(config.policy, situation)
        if before is not None and (before.rule, before.verb) == (rule, decision.verb):
            return
        if before is not None:
            before.until = situation.now
            del self._standing[situation.incident_id]
        if rule is None:
            return
        stop = Stop(
            situation.incident_id,
            situation.target.host,
            situation.failure_class,
            rule,
            decision.verb,
            decision.action,
            decision.reason,
            situation.now,
            asks=decision.asks,
        )
        self._standing[situation.incident_id] = stop
        self.stops.append(stop)


def objecting(policy: Policy, situation: Situation) -> str | None:
    """Return the rule that decides against running something now; None if something is run."""
    step = next_step(policy, situation)
    for finding in examine(policy, situation, step):
        if finding.verdict is not None:
            return finding.rule
    return None if step.verb is Verb.run else LADDER
