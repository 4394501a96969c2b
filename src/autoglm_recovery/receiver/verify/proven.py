# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a fault is over.  Pure: what is known of an incident's alerts, runs and checks, and what that proves.

The end of an alert is not the end of a fault.  Alertmanager tells of an alert that Prometheus stopped sending as of one
that ended (dispatch/dispatch.go, ``flush``): its ``endsAt``, four times the resend delay after it was last sent
(rules/alerting.go of Prometheus, ``ValidUntil``), has passed.  In the webhook the two look alike.  What tells them
apart is the Watchdog, which the same Prometheus sends in the same way: with Prometheus gone it expires within a resend
delay of the others.  One that is told of as firing later than that, and was told of without a gap since before the end,
was sent by a Prometheus that has not been away: one that comes back may not have found the fault again yet (``for``).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from autoglm_recovery.policy.own import ActionProof
from autoglm_recovery.receiver.values.alerts import IncidentAlerts
from autoglm_recovery.receiver.values.model import NO_ATTEMPT, RunState
from autoglm_recovery.receiver.values.watchdog import WatchdogStretch
from autoglm_recovery.receiver.verify.proof import Proof

# --rules.alert.resend-delay of Prometheus is 1 minute; as much again for what is on its way.
EXPIRY_SPREAD_S = 120.0


@dataclass(frozen=True)
class Check:
    """The newest reading of the service by the check playbook: ``holds`` is None where it told nothing."""

    holds: bool | None
    said: str
    begun_at: float
    ended_at: float


@dataclass(frozen=True)
class ProofFacts:
    """Everything the proof verdict depends on.

    ``expression`` is what Prometheus says to ``verify``, None where nobody asks.
    ``asked_at`` is when the service was first asked after the last run, ``well_at`` when it was first found well.
    ``proof`` is what the last run's action says of its proof; None of a built-in one, whose playbook proves its repair.
    """

    alerts: IncidentAlerts
    last: RunState | None
    last_ended_at: float
    watchdog: WatchdogStretch
    check: Check | None = None
    expression: Proof | None = None
    asked_at: float | None = None
    well_at: float | None = None
    proof: ActionProof | None = None

    @property
    def fresh(self) -> Check | None:
        """Return the check, unless something happened after it had begun."""
        after = max(self.last_ended_at, self.alerts.told_at)
        return self.check if self.check is not None and self.check.begun_at >= after else None

    @property
    def struck_again(self) -> bool:
        """Tell whether an alert has come after the last run was proven: it is not late, but new.

        Of one that would fire on without a word it is its beginning that counts: told again, it says nothing new.
        """
        well_at, denied_at, began_at = self.well_at, self.alerts.denied_at, self.alerts.began_at
        if well_at is not None and denied_at is not None and denied_at >= well_at:
            return True
        if well_at is None and self.expression is not None and self.expression.holds:
            # When it began to hold nobody knows: what the repair itself has raised is told by then.
            well_at = self.last_ended_at + EXPIRY_SPREAD_S
        return well_at is not None and began_at is not None and began_at > well_at

    @property
    def untouched(self) -> bool:
        """Tell whether an alert fires about which nothing was done at all."""
        return self.alerts.fires and (self.last is None or self.last in NO_ATTEMPT)


class ProofState(StrEnum):
    """What is proven of a fault.

    ``proven``: it is over.  ``watched``: the service is well, but an alert still fires that would not fire anew if the
    fault came back.  ``failing``: it is not over.  ``unproven``: nobody can tell.
    """

    proven = "proven"
    watched = "watched"
    failing = "failing"
    unproven = "unproven"


@dataclass(frozen=True)
class ProofVerdict:
    """What the facts prove about the fault, and the reason in words."""

    word: ProofState
    said: str = ""


def verdict(known: ProofFacts) -> ProofVerdict:
    """Say whether the fault is over."""
    judged = _judge(known)
    if judged.word is ProofState.proven and known.alerts.hides:
        return ProofVerdict(ProofState.watched, judged.said)
    return judged


def _judge(known: ProofFacts) -> ProofVerdict:
    there = _firing_evidence(known)
    if there is not None:
        return ProofVerdict(ProofState.failing, there)
    if known.expression is not None:
        if known.expression.holds:
            return ProofVerdict(ProofState.proven, f", and verify holds: {known.expression.said}")
        return ProofVerdict(ProofState.unproven, f"verify has not been seen to hold: {known.expression.said}")
    check = known.fresh
    if check is not None and check.holds is not None:
        words = f", and its own probe says so: {check.said}" if check.holds else f"its own probe: {check.said}"
        return ProofVerdict(ProofState.proven if check.holds else ProofState.failing, words)
    return _judge_by_action(known) or _judge_by_ends(known)


def _judge_by_action(known: ProofFacts) -> ProofVerdict | None:
    """Say what an own action's playbook proves by ending well; None where the ends of the alerts are to be asked."""
    if known.last is not RunState.succeeded:
        return None
    if known.proof is ActionProof.playbook:
        return ProofVerdict(ProofState.proven, ", and its playbook has ended well, which is its proof")
    if known.proof is ActionProof.service:
        return ProofVerdict(
            ProofState.unproven, "the alerts alone prove nothing, the service itself is to say that it is well"
        )
    return None


def _firing_evidence(known: ProofFacts) -> str | None:
    """Say which of the alerts tells that there is a fault, whatever else is said of the service; None if none does."""
    if known.alerts.denies:
        return "the alert fires"
    if known.struck_again:
        return "an alert fires that began after the repair was proven"
    return "an alert fires, and nothing was done about it" if known.untouched else None


def _judge_by_ends(known: ProofFacts) -> ProofVerdict:
    """Say what the ends of the alerts prove, where nobody else says anything."""
    ended_at = known.alerts.ended_at
    if ended_at is None:
        return ProofVerdict(ProofState.unproven, "the end of such an alert proves nothing")
    if known.last is not RunState.succeeded:
        return ProofVerdict(ProofState.unproven, "no run has succeeded, and the end of an alert alone proves nothing")
    if known.fresh is not None:
        # Asked since, it did not say what it said when the repair was proven: the host may be gone.
        return ProofVerdict(ProofState.unproven, "the alert has ended, and the service cannot tell how it is")
    if known.watchdog.at <= ended_at + EXPIRY_SPREAD_S:
        return ProofVerdict(
            ProofState.unproven, "its end may be an expiry: no Watchdog has been heard that was sent after it"
        )
    if known.watchdog.since > ended_at:
        return ProofVerdict(
            ProofState.unproven, "its end may be an expiry: Prometheus was not heard when it ended, and is again"
        )
    return ProofVerdict(ProofState.proven)
