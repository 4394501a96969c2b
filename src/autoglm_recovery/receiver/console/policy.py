# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy in force: the file with all defaults filled in."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import yaml

from autoglm_recovery.durations import format_duration
from autoglm_recovery.policy.model import Policy
from autoglm_recovery.policy.own import OwnAction
from autoglm_recovery.receiver.console.moments import moment
from autoglm_recovery.receiver.decide.ladder import rungs
from autoglm_recovery.receiver.fleet.site_config import SiteConfig


@dataclass(frozen=True)
class StepShown:
    """A rung of a ladder."""

    action: str
    destructive: bool
    known: str


@dataclass(frozen=True)
class ClassShown:
    """A failure class and its strategy."""

    name: str
    own: bool
    declared: bool
    autonomy: str
    ladder: tuple[StepShown, ...]
    delay: str
    retries: int
    cooldown: str
    timeout: str
    proof: str
    measure: str | None
    launcher: str


@dataclass(frozen=True)
class ActionShown:
    """An action of the site's own."""

    name: str
    playbook: str
    there: bool
    destructive: bool
    host_wide: bool
    launcher: str
    template: str | None
    variables: tuple[str, ...]
    proof: str


@dataclass(frozen=True)
class PolicyPage:
    """What the page shows."""

    file: str | None
    read_at: datetime | None
    kept_old: str | None
    autonomy: str
    pools: tuple[tuple[str, str], ...]
    classes: tuple[ClassShown, ...]
    actions: tuple[ActionShown, ...]
    guardrails: tuple[tuple[str, str], ...]
    lines: tuple[str, ...]


def policy_page(config: SiteConfig) -> PolicyPage:
    """Build the page."""
    policy = config.policy
    return PolicyPage(
        file=None if config.policy_file is None else str(config.policy_file),
        read_at=moment(config.read_at),
        kept_old=config.kept_because,
        autonomy=policy.recovery.autonomy.default.value,
        pools=tuple(sorted((pool, chosen.value) for pool, chosen in policy.recovery.autonomy.pools.items())),
        classes=tuple(_class_shown(policy, name, config.playbooks) for name in policy.repertoire.classes),
        actions=tuple(_action_shown(config, name, own) for name, own in policy.actions.items()),
        guardrails=_guardrail_lines(policy),
        lines=tuple(effective(policy).splitlines()),
    )


def effective(policy: Policy) -> str:
    """Return the policy with all its defaults as YAML.  Addresses of notices may hold secrets and are masked."""
    data = policy.model_dump(mode="json", by_alias=True)
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)


def _class_shown(policy: Policy, name: str, playbooks: Collection[str]) -> ClassShown:
    strategy = policy.recovery.strategy(name)
    return ClassShown(
        name=name,
        own=name in policy.recovery.strategies,
        declared=name in policy.classes,
        autonomy=policy.recovery.autonomy.of(name, None).value,
        ladder=tuple(
            StepShown(action, policy.repertoire.destructive(action), known)
            for action, known in rungs(policy.ladder(name), playbooks, policy.repertoire)
        ),
        delay=format_duration(strategy.delay),
        retries=strategy.retries,
        cooldown=format_duration(strategy.cooldown),
        timeout=format_duration(strategy.timeout),
        proof=f"alert resolves within {format_duration(strategy.resolve_within)}",
        measure=strategy.expression,
        launcher=policy.launcher(name),
    )


def _action_shown(config: SiteConfig, name: str, own: OwnAction) -> ActionShown:
    return ActionShown(
        name=name,
        playbook=own.playbook,
        there=name in config.playbooks,
        destructive=own.destructive,
        host_wide=own.host_wide,
        launcher=own.launcher or "as the class says",
        template=config.policy.template(name).name if config.policy.launchers.awx else None,
        variables=tuple(own.extra_vars),
        proof=own.proof.value,
    )


def _guardrail_lines(policy: Policy) -> tuple[tuple[str, str], ...]:
    rails = policy.guardrails
    breaker = rails.circuit_breaker
    in_pool = rails.max_concurrent_runs_per_pool
    return (
        ("Runs at once", f"{rails.max_concurrent_runs}, of one pool {in_pool or 'as many'}"),
        ("Actions on one host", f"{rails.max_actions_per_host_per_hour} an hour"),
        ("Of a pool out of service", f"at most {rails.max_pool_unavailable}"),
        ("Of the fleet out of service", f"at most {rails.max_fleet_unavailable}"),
        (
            "Circuit breaker",
            f"opens for {format_duration(breaker.open_for)} after {breaker.failures} failures in a row "
            f"within {format_duration(breaker.window)}",
        ),
        ("Patience before a person is called", format_duration(rails.patience)),
        ("Maintenance windows", str(len(rails.maintenance_windows))),
        ("Silences", f"of {rails.silences.alertmanager}" if rails.silences else "are not asked for"),
    )
