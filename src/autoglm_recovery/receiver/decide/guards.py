# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules that may stop the next step.  Each is looked at, and says in words how it stands."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from autoglm_recovery.durations import format_duration
from autoglm_recovery.knowledge.faults.classes import OUT_OF_SERVICE, REBOOT
from autoglm_recovery.knowledge.host import clocks
from autoglm_recovery.policy.guardrails import Unreachable, allowed
from autoglm_recovery.policy.model import Autonomy, Policy, Strategy
from autoglm_recovery.receiver.decide.breaker import Circuit, read_breaker
from autoglm_recovery.receiver.decide.ladder import tries
from autoglm_recovery.receiver.values.model import Decision, Verb
from autoglm_recovery.receiver.values.situation import CapacityGroup, PastRun, Situation


@dataclass(frozen=True)
class GuardFinding:
    """How one rule stands.  ``verdict`` is what it makes of the step; None lets the step pass."""

    rule: str
    stands: str
    verdict: Decision | None = None


Rule = Callable[[Policy, Situation, Decision], Iterator[GuardFinding]]


def _wait(why: str, step: Decision, until: float | None = None) -> Decision:
    reason = f"{why}, then {step.reason}"
    return Decision(Verb.wait, reason, step.action, step.attempt, not_before=until, queued=until is None)


def explained(_policy: Policy, s: Situation, step: Decision) -> Iterator[GuardFinding]:
    """Hold what a deeper failure of the same host explains: to act on the effect would be in the way of the cure."""
    if s.explained_by is None:
        yield GuardFinding("explained", "no deeper failure of the host explains it")
        return
    cause = s.explained_by
    why = f"explained by incident {cause.incident_id} ({cause.failure_class} of {cause.where})"
    if s.approved:
        yield GuardFinding("explained", f"{why}, but a person said to go on")
        return
    yield GuardFinding("explained", why, Decision(Verb.hold, why, step.action, step.attempt))


def known_target(_policy: Policy, s: Situation, step: Decision) -> Iterator[GuardFinding]:
    """Nothing is done to what the inventory does not have, or has no longer."""
    name = f"service {s.target.service} of host {s.target.host}" if s.target.service else f"host {s.target.host}"
    if s.in_inventory:
        yield GuardFinding("target", f"{name} is in the inventory")
    else:
        why = f"{name} is not in the inventory any more; it was when the alert came"
        yield GuardFinding("target", why, Decision(Verb.escalate, why, step.action))


def fenced(_policy: Policy, s: Situation, step: Decision) -> Iterator[GuardFinding]:
    """Two that work on one host without knowing of each other do not go on against each other."""
    if s.fenced is None:
        yield GuardFinding("fence", "the host has not refused runs again and again")
    else:
        yield GuardFinding("fence", s.fenced, Decision(Verb.escalate, s.fenced, step.action))


def not_launched(_policy: Policy, s: Situation, step: Decision) -> Iterator[GuardFinding]:
    """An action that its launcher can never begin is no rung that was climbed, and the next one is no cure for that."""
    if s.not_launched is None or s.not_launched.action != step.action:
        yield GuardFinding("launch", "nothing says that it cannot be launched")
        return
    why = f"{s.not_launched.action} was not launched, and nothing was done: {s.not_launched.why}"
    yield GuardFinding("launch", why, Decision(Verb.escalate, why, step.action))


def kept_out(_policy: Policy, s: Situation, step: Decision) -> Iterator[GuardFinding]:
    """Whoever is at work on the host is waited for, and in the end a person is told."""
    if s.kept_out is None:
        yield GuardFinding("host lock", "the host's lock has not kept the last run out")
    elif too_long := s.kept_out.too_long(s.now):
        yield GuardFinding("host lock", too_long, Decision(Verb.escalate, too_long, step.action))
    else:
        said, until = s.kept_out.said(), s.kept_out.until
        wait = Decision(Verb.wait, said, step.action, step.attempt, not_before=until)
        yield GuardFinding("host lock", said, wait if s.now < until else None)


def paused(_policy: Policy, s: Situation, step: Decision) -> Iterator[GuardFinding]:
    """Nothing runs while a person has paused all actions."""
    if s.paused is None:
        yield GuardFinding("pause", "actions are not paused")
    else:
        yield GuardFinding("pause", s.paused, _wait(s.paused, step))


def autonomy(policy: Policy, s: Situation, step: Decision) -> Iterator[GuardFinding]:
    """Tell or ask only, where the policy says so."""
    level = policy.recovery.autonomy.of(s.failure_class, s.target.pool)
    if s.approved or level is Autonomy.act:
        yield GuardFinding("autonomy", "approved by a person" if s.approved else f"autonomy is {level}")
    elif level is Autonomy.watch:
        yield GuardFinding("autonomy", "autonomy is watch", _watched(step, f"would run {step.reason}"))
    else:
        why = f"autonomy is ask; waits for approval of {step.reason}"
        yield GuardFinding(
            "autonomy", "autonomy is ask", Decision(Verb.hold, why, step.action, step.attempt, asks=True)
        )


def watched(policy: Policy, s: Situation, step: Decision) -> Iterator[GuardFinding]:
    """Where the policy only watches, nobody is called either: what a person would be called about is told later."""
    if policy.recovery.autonomy.of(s.failure_class, s.target.pool) is Autonomy.watch and not s.approved:
        yield GuardFinding("autonomy", "autonomy is watch", _watched(step, f"would call a person: {step.reason}"))


def _watched(step: Decision, would: str) -> Decision:
    return Decision(Verb.hold, f"autonomy is watch; {would}", step.action, step.attempt, watched=True)


def host_budget(policy: Policy, s: Situation, step: Decision) -> Iterator[GuardFinding]:
    """A host on which so much was done in vain needs a person."""
    most = policy.guardrails.max_actions_per_host_per_hour
    stands = (
        f"{s.host_actions_last_hour} actions ran on {s.target.host} within the last hour; the guardrail allows {most}"
    )
    spent = s.host_actions_last_hour >= most
    yield GuardFinding("actions per host", stands, Decision(Verb.escalate, stands, step.action) if spent else None)


def flapping(policy: Policy, s: Situation, step: Decision) -> Iterator[GuardFinding]:
    """An alert that comes and goes is acted on more slowly, and in the end not at all."""
    rule = policy.recovery.flapping
    if rule is None:
        yield GuardFinding("flapping", "not looked at: the policy says so")
        return
    stands = f"fired {s.fired} times within {format_duration(rule.window)}"
    if s.fired >= rule.person_at and not s.approved:
        why = f"the alert is flapping: it {stands}, and the policy calls a person at {rule.person_at}"
        yield GuardFinding("flapping", stands, Decision(Verb.escalate, why, step.action))
        return
    pause = rule.pause(s.fired)
    since = max([s.opened_at, *(attempt.ended_at for attempt in s.attempts)])
    until = since + pause.total_seconds()
    why = f"the alert is flapping ({stands}), which adds a delay of {format_duration(pause)}"
    yield GuardFinding("flapping", stands, _wait(why, step, until) if s.now < until else None)


def due(policy: Policy, s: Situation, step: Decision) -> Iterator[GuardFinding]:
    """The pauses of the strategy."""
    strategy = policy.recovery.strategy(s.failure_class)
    waits = list(_pauses(strategy, s, step))
    until, why = max(waits, default=(0.0, "no pause"))
    if s.now < until:
        yield GuardFinding("due", f"{why}, until {clocks.in_words(until)}", _wait(why, step, until))
    else:
        yield GuardFinding("due", f"{why}, which is over" if waits else why)


def _pauses(strategy: Strategy, s: Situation, step: Decision) -> Iterator[tuple[float, str]]:
    if not s.attempts:
        yield s.opened_at + strategy.delay.total_seconds(), f"delay {format_duration(strategy.delay)}"
    last = s.attempts[-1].ended_at if s.attempts else s.last_action_on_target_at
    again = s.attempts[-1].action == step.action if s.attempts else step.action in s.earlier_actions
    if again and last is not None and step.action is not None:
        tried = tries(s, step.action) + s.earlier_runs(step.action)
        pause = strategy.backoff.pause(tried, _chance(s))
        yield last + pause.total_seconds(), f"backoff {format_duration(pause)}"
    if s.last_action_on_target_at is not None and strategy.cooldown > timedelta(0):
        until = s.last_action_on_target_at + strategy.cooldown.total_seconds()
        yield until, f"cooldown {format_duration(strategy.cooldown)} of the target"


def _chance(s: Situation) -> float:
    """Return 0 to 1 for the jitter, the same for the same try of the same incident: decisions must not throw dice."""
    digest = hashlib.sha256(f"{s.incident_id}:{len(s.attempts)}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


def maintenance(policy: Policy, s: Situation, step: Decision) -> Iterator[GuardFinding]:
    """Nothing runs where people are at work."""
    ends = [
        (end, window.name)
        for window in policy.guardrails.maintenance_windows
        if window.covers(s.target.host, s.pools, s.labels) and (end := window.until(s.now)) is not None
    ]
    if not ends:
        count = len(policy.guardrails.maintenance_windows)
        yield GuardFinding("maintenance", f"none of {count} windows is in force here" if count else "no windows")
        return
    end, name = max(ends)
    why = f"maintenance window {name!r} until {clocks.in_words(end)}"
    yield GuardFinding("maintenance", why, _wait(why, step, end))


def silenced(policy: Policy, s: Situation, step: Decision) -> Iterator[GuardFinding]:
    """What a person has silenced is left alone."""
    setting = policy.guardrails.silences
    if setting is None:
        yield GuardFinding("silences", "not asked for: guardrails.silences names no Alertmanager")
        return
    again = s.now + setting.every.total_seconds()
    if s.silence is not None:
        why = (
            f"silenced in Alertmanager until {clocks.in_words(s.silence.until)} by {s.silence.by}: {s.silence.comment}"
        )
        # A silence may be ended before its time.
        yield GuardFinding("silences", why, _wait(why, step, min(s.silence.until, again)))
    elif s.silences_unknown and setting.when_unreachable is Unreachable.hold:
        why = f"Alertmanager at {setting.alertmanager} cannot be asked for silences, and the policy says hold"
        yield GuardFinding("silences", why, _wait(why, step, again))
    elif s.silences_unknown:
        yield GuardFinding("silences", "none known; Alertmanager cannot be asked now, and the policy says act")
    else:
        yield GuardFinding("silences", "none fits all alerts")


def breakers(policy: Policy, s: Situation, step: Decision) -> Iterator[GuardFinding]:
    """What fails again and again is not tried on and on."""
    yield _breaker(policy, s, step, f"{step.action}", s.action_runs)
    if s.target.pool is not None:
        yield _breaker(policy, s, step, f"pool {s.target.pool}", s.pool_runs)


def _breaker(policy: Policy, s: Situation, step: Decision, of: str, runs: tuple[PastRun, ...]) -> GuardFinding:
    reading = read_breaker(policy.guardrails.circuit_breaker, runs, s.now)
    rule, failures = f"circuit breaker of {of}", f"the last {reading.failures} runs failed"
    if reading.circuit is Circuit.closed:
        return GuardFinding(rule, f"closed; {failures if reading.failures else 'the last run did not fail'}")
    if reading.circuit is Circuit.open:
        why = f"the {rule} is open until {clocks.in_words(reading.until or 0.0)}: {failures}"
        return GuardFinding(rule, why, _patient(policy, s, _wait(why, step, reading.until), why, step))
    if reading.trial:
        why = f"the {rule} is half open, and its one trial is under way"
        return GuardFinding(rule, why, _patient(policy, s, _wait(why, step), why, step))
    return GuardFinding(rule, f"half open: {failures}, and this run is the one trial")


def blast_radius(policy: Policy, s: Situation, step: Decision) -> Iterator[GuardFinding]:
    """Never more of a pool, or of the fleet, out of service than the policy allows."""
    shares = policy.guardrails
    for group in s.capacity_groups:
        share = shares.max_fleet_unavailable if group.name == "the fleet" else shares.max_pool_unavailable
        yield _group_finding(policy, s, step, group, share)


def _group_finding(policy: Policy, s: Situation, step: Decision, group: CapacityGroup, share: str) -> GuardFinding:
    most, out = allowed(share, group.size), group.others_out + group.affected
    rule = f"unavailable in {group.name}"
    most_said = f"{share}, which is {most}" if share.endswith("%") else share
    stands = f"{out} of {group.size} would be out of service with this action; the guardrail allows {most_said}"
    if out <= most:
        return GuardFinding(rule, stands)
    if s.failure_class in OUT_OF_SERVICE and not _takes_more(policy, step):
        return GuardFinding(
            rule, f"{stands}, but the target serves nobody now and {step.action} takes nothing more away"
        )
    why = f"in {group.name}, {stands}"
    return GuardFinding(rule, stands, _patient(policy, s, _wait(why, step), why, step))


def _takes_more(policy: Policy, step: Decision) -> bool:
    """Tell whether an action may take away what a target that serves nobody has left, or what is beside it."""
    action = step.action or ""
    return policy.repertoire.destructive(action) or policy.repertoire.host_wide(action)


def _patient(policy: Policy, s: Situation, wait: Decision, why: str, step: Decision) -> Decision:
    """Wait for others to recover, but not for ever without a person who knows."""
    patience = policy.guardrails.patience
    until = max([s.opened_at, *(attempt.ended_at for attempt in s.attempts)]) + patience.total_seconds()
    if s.now >= until:
        return Decision(Verb.escalate, f"waited {format_duration(patience)} in vain: {why}", step.action)
    return replace(wait, not_before=min(wait.not_before or until, until))


def capacity(policy: Policy, s: Situation, step: Decision) -> Iterator[GuardFinding]:
    """One run on a host, one reboot in a pool, and so many runs in a pool and in the fleet."""
    busy = s.busy_with is not None
    why = f"incident {s.busy_with} has a run on {s.target.host}" if busy else f"no run on {s.target.host}"
    yield GuardFinding("one run per host", why, _wait(why, step) if busy else None)
    if step.action == REBOOT:
        beside = s.rebooting_beside
        why = (
            f"{beside} of the same pool is being rebooted" if beside else "no other host of its pools is being rebooted"
        )
        yield GuardFinding("one reboot per pool", why, _wait(why, step) if beside else None)
    in_pool, pool = policy.guardrails.max_concurrent_runs_per_pool, s.target.pool
    if pool is not None and in_pool is not None:
        why = f"{s.running_in_pool} runs are going on in pool {pool}; the guardrail allows {in_pool}"
        yield GuardFinding("runs in the pool", why, _wait(why, step) if s.running_in_pool >= in_pool else None)
    most = policy.guardrails.max_concurrent_runs
    why = f"{s.running} runs are going on; the guardrail allows {most}"
    yield GuardFinding("runs in the fleet", why, _wait(why, step) if s.running >= most else None)


# The first that objects decides.  What must never be done comes first, what is only not yet due after it, and what
# others are in the way of last, so that the reason a person reads is the strongest one.
RULES: tuple[Rule, ...] = (
    explained,
    known_target,
    fenced,
    not_launched,
    kept_out,
    autonomy,
    host_budget,
    paused,
    flapping,
    due,
    maintenance,
    silenced,
    breakers,
    blast_radius,
    capacity,
)
