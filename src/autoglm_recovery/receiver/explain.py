# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say offline what would be done about a payload, by the same functions that do it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from autoglm_recovery.policy.durations import format_duration
from autoglm_recovery.receiver.absorb import judge
from autoglm_recovery.receiver.ansible import COLLECTION
from autoglm_recovery.receiver.decide import Situation, decide
from autoglm_recovery.receiver.extra_vars import extra_vars
from autoglm_recovery.receiver.model import Alert, FaultMode, Target, Verb
from autoglm_recovery.receiver.payload import parse_webhook
from autoglm_recovery.receiver.world import World


def explain(body: bytes, world: World) -> list[dict[str, Any]]:
    """Explain each alert of a payload as if it were the first of its incident.

    :raises PayloadError: as the receiver would refuse the payload.
    """
    webhook = parse_webhook(body)
    told = [_alert(alert, world) for alert in webhook.alerts]
    told += [{"decision": "set aside", "reason": rejected.reason} for rejected in webhook.rejected]
    return told


def _alert(alert: Alert, world: World) -> dict[str, Any]:
    fault = judge(alert.labels, world.policy, world.fleet)
    told: dict[str, Any] = {
        "alert": alert.labels.get("alertname"),
        "status": alert.status,
        "failure_class": fault.failure_class,
        "why": fault.why,
        "fault_mode": None,
        "target": None,
        "decision": "refuse",
        "action": None,
        "playbook": None,
        "extra_vars": None,
        "reason": fault.refusal,
    }
    if fault.target is None:
        return told
    told["target"] = {"host": fault.target.host, "service": fault.target.service, "gpu": fault.target.gpu}
    told["target"]["pool"] = fault.target.pool
    if alert.status == "resolved":
        return {**told, "decision": "resolve", "reason": "confirms or closes the incident that has this alert"}
    return {**told, **_decision(alert, fault.failure_class, fault.target, world)}


def _decision(alert: Alert, failure_class: str, target: Target, world: World) -> dict[str, Any]:
    now = time.time()
    delay = world.policy.recovery.strategy(failure_class).delay
    situation = Situation(
        failure_class=failure_class,
        mode=FaultMode.transient,
        target=target,
        # As it stands once the delay has passed: the delay itself is told beside the decision.
        opened_at=now - delay.total_seconds(),
        now=now,
        playbooks=world.playbooks,
    )
    decision = decide(world.policy, situation)
    told: dict[str, Any] = {
        "fault_mode": FaultMode.transient.value,
        "decision": decision.verb.value,
        "action": decision.action,
        "reason": decision.reason,
        "delay": format_duration(delay),
    }
    if decision.action is None or decision.verb is Verb.escalate:
        return told
    incident = {
        "id": 0,
        "failure_class": failure_class,
        "fault_mode": FaultMode.transient.value,
        "reason": decision.reason,
        "root_cause": alert.labels.get("alertname", ""),
        "host": target.host,
        "service": target.service,
        "gpu": target.gpu,
        "pool": target.pool,
    }
    opened_at = datetime.fromtimestamp(now, UTC).isoformat()
    variables = extra_vars(incident, action=decision.action, attempt=1, fence=0, opened_at=opened_at)
    return {**told, "playbook": f"{COLLECTION}.{decision.action}", "extra_vars": variables}
