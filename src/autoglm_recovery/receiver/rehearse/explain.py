# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say offline what would be done about a payload, by the same functions that do it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from autoglm_recovery.durations import format_duration
from autoglm_recovery.policy import Policy, Strategy
from autoglm_recovery.policy.own import ActionProof
from autoglm_recovery.receiver.decide.decide import decide, examine
from autoglm_recovery.receiver.decide.gather import affected, affected_pools, pools_of
from autoglm_recovery.receiver.decide.ladder import next_step, rungs
from autoglm_recovery.receiver.fleet.ansible import COLLECTION
from autoglm_recovery.receiver.fleet.site_config import SiteConfig
from autoglm_recovery.receiver.intake.payload import parse_webhook
from autoglm_recovery.receiver.runs.extra_vars import RunContext, extra_vars
from autoglm_recovery.receiver.store.runs import CHECK
from autoglm_recovery.receiver.triage.absorb import judge
from autoglm_recovery.receiver.triage.nature import WORDS, nature_of
from autoglm_recovery.receiver.values.alerts import Nature
from autoglm_recovery.receiver.values.model import Alert, Decision, Fault, FaultMode, Target, Verb
from autoglm_recovery.receiver.values.situation import CapacityGroup, Situation
from autoglm_recovery.receiver.verify.proof import question

# What the end of a playbook proves, by what its action says of that.
_OF_PLAYBOOK = {
    None: "the playbook's own proof",
    ActionProof.service: "the playbook ends well, which alone proves nothing",
    ActionProof.playbook: "the playbook ends well, which is its proof",
    ActionProof.none: "the playbook ends well, which proves nothing, and the service is not asked",
}


def explain(body: bytes, config: SiteConfig, now: float) -> list[dict[str, Any]]:
    """Explain each alert of a payload as if it were the first of its incident and had come at ``now``.

    Raises PayloadError as the receiver would refuse the payload.
    """
    webhook = parse_webhook(body)
    told = [explain_alert(alert, config, now) for alert in webhook.alerts]
    told += [{"decision": "set aside", "reason": rejected.reason} for rejected in webhook.rejected]
    return told


def explain_alert(alert: Alert, config: SiteConfig, now: float) -> dict[str, Any]:
    """Explain one alert."""
    fault = judge(alert.labels, config.policy, config.fleet)
    told: dict[str, Any] = {
        "alert": alert.labels.get("alertname"),
        "status": alert.status,
        "failure_class": fault.failure_class,
        "why": fault.why,
        "fault_mode": None,
        "target": None,
        "named_by": fault.named_by,
        "sender": fault.sender,
        "ignored": [*fault.ignored],
        "decision": "refuse",
        "action": None,
        "playbook": None,
        "launcher": None,
        "template": None,
        "extra_vars": None,
        "reason": fault.refusal,
        "would_be_accepted": fault.advice,
        "ladder": None,
        "nature": None,
        "proof": None,
        "guardrails": None,
    }
    if fault.target is None:
        return told
    told["target"] = {"host": fault.target.host, "service": fault.target.service, "gpu": fault.target.gpu}
    told["target"]["pool"] = fault.target.pool
    if alert.status == "resolved":
        nature, _who = nature_of(alert.labels, config.policy)
        return {**told, "decision": "resolve", "reason": f"the end of the alert; {WORDS[nature]}", "nature": nature}
    return {**told, **_decision(alert, fault, fault.target, config, now)}


def _decision(alert: Alert, fault: Fault, target: Target, config: SiteConfig, now: float) -> dict[str, Any]:
    strategy = config.policy.recovery.strategy(fault.failure_class)
    known = _situation(alert, fault, target, config, now - strategy.delay.total_seconds(), now)
    step = next_step(config.policy, known)
    decision = decide(config.policy, known)
    nature, _who = nature_of(alert.labels, config.policy)
    told: dict[str, Any] = {
        "fault_mode": known.mode.value,
        "decision": decision.verb.value,
        "action": decision.action,
        "reason": decision.reason,
        "delay": format_duration(strategy.delay),
        "ladder": _ladder(config.policy.ladder(fault.failure_class), step, config),
        "nature": nature,
        "proof": [*_proof(strategy, target, nature, config, step.action)],
        "guardrails": [
            {"rule": finding.rule, "stands": finding.stands, "stops": finding.verdict is not None}
            for finding in examine(config.policy, known, step)
        ],
    }
    if decision.action is None or decision.verb is Verb.escalate:
        return told
    variables = _variables(alert, fault, target, decision, known, config.policy)
    return {**told, **_launched(decision.action, fault, config.policy), "extra_vars": variables}


def _situation(
    alert: Alert, fault: Fault, target: Target, config: SiteConfig, opened_at: float, now: float
) -> Situation:
    """Return the situation of a fleet at rest, once the delay has passed: the delay is told beside the decision."""
    known = Situation(
        failure_class=fault.failure_class,
        mode=FaultMode.partitioned if fault.partitioned else FaultMode.transient,
        target=target,
        opened_at=opened_at,
        now=now,
        playbooks=config.playbooks,
        labels=(alert.labels,),
        pools=pools_of(config.fleet, target),
    )
    step = next_step(config.policy, known)
    if step.action is None:
        return known
    fleet, repertoire = config.fleet, config.policy.repertoire
    capacity_groups = [
        CapacityGroup(
            f"pool {pool}",
            len(members := fleet.pools[pool]),
            0,
            len(affected(members, target, step.action, repertoire)),
        )
        for pool in sorted(affected_pools(fleet, target, step.action, repertoire))
    ]
    everybody = CapacityGroup("the fleet", len(fleet.serving), 0, int(target.host in fleet.serving))
    return replace(known, capacity_groups=(*capacity_groups, everybody))


def _ladder(ladder: tuple[str, ...], step: Decision, config: SiteConfig) -> list[str]:
    """Return the rungs in order, with what is to be known about each."""
    told = []
    for number, (action, known) in enumerate(rungs(ladder, config.playbooks, config.policy.repertoire), 1):
        here = " <- next" if action == step.action else ""
        told.append(f"{number} {action}{f' ({known})' if known else ''}{here}")
    return [*told, f"{len(ladder) + 1} a person{'' if step.action else ' <- next'}"]


def _proof(
    strategy: Strategy, target: Target, nature: Nature | None, config: SiteConfig, action: str | None
) -> Iterator[str]:
    """Return what has to be true before a repair counts, in the order in which it is asked for."""
    of_action = config.policy.repertoire.proof(action or "")
    yield _OF_PLAYBOOK[of_action]
    if nature not in (Nature.event, Nature.sticky):
        yield f"the alert resolves within {format_duration(strategy.resolve_within)} of that"
    yield f"nature of the alert {nature.value if nature else 'unknown'}: {WORDS[nature]}"
    if strategy.expression is None and of_action in (ActionProof.playbook, ActionProof.none):
        return
    if strategy.expression is None:
        asked = f"and the service's own probe says healthy then ({COLLECTION}.{CHECK})"
        yield asked if CHECK in config.playbooks else f"without a playbook {CHECK} the service is not asked"
        return
    named = {"host": target.host, "service": target.service, "pool": target.pool, "gpu": target.gpu}
    try:
        yield f"and Prometheus finds {question(strategy.expression, named)}"
    except ValueError as error:
        yield f"and Prometheus finds {strategy.expression}, which cannot be asked: {error}; a person is called"


def _launched(action: str, fault: Fault, policy: Policy) -> dict[str, Any]:
    """Return what would be launched, and by whom."""
    launcher = policy.launcher(fault.failure_class, action)
    template = policy.template(action).name if launcher == "awx" else None
    return {"playbook": policy.repertoire.playbook(action), "launcher": launcher, "template": template}


def _variables(
    alert: Alert, fault: Fault, target: Target, decision: Decision, known: Situation, policy: Policy
) -> dict[str, Any]:
    assert decision.action is not None  # noqa: S101 - asked for by the caller
    incident = {
        "id": 0,
        "failure_class": fault.failure_class,
        "fault_mode": known.mode.value,
        "reason": decision.reason,
        "root_cause": alert.labels.get("alertname", ""),
        "host": target.host,
        "service": target.service,
        "gpu": target.gpu,
        "pool": target.pool,
    }
    opened_at = datetime.fromtimestamp(known.now, UTC).isoformat()
    evidence = policy.evidence(fault.failure_class, decision.action)
    errand = RunContext(decision.action, 1, fence=0, opened_at=opened_at, evidence=evidence)
    if decision.action in policy.actions:
        launcher = policy.launcher(fault.failure_class, decision.action)
        timeout_s = policy.timeout(fault.failure_class, launcher).total_seconds()
        errand = replace(errand, host_wide=policy.repertoire.host_wide(decision.action), timeout_s=timeout_s)
    return extra_vars(incident, errand, policy.repertoire.variables(decision.action))
