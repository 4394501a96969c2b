# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gather from the database what a decision about an incident may depend on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.knowledge.faults.classes import REBOOT
from autoglm_recovery.policy.repertoire import OURS, Repertoire
from autoglm_recovery.receiver.decide.ladder import next_step
from autoglm_recovery.receiver.fleet.fleet import Fleet
from autoglm_recovery.receiver.fleet.site_config import SiteConfig
from autoglm_recovery.receiver.observe.silences import NONE_ASKED, SilenceSnapshot
from autoglm_recovery.receiver.store import history, runs
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store.pauses import paused
from autoglm_recovery.receiver.store.well import first_well
from autoglm_recovery.receiver.values.alerts import taken_together
from autoglm_recovery.receiver.values.model import FaultMode, RunState, Target, Verb
from autoglm_recovery.receiver.values.situation import CapacityGroup, Explanation, NotLaunched, Situation

# Each of them was repeated with a token above the mark that had refused it: somebody else goes on giving higher ones.
MOST_FENCED = 3


def situation(
    connection: sa.Connection, row: sa.Row[Any], config: SiteConfig, now: float, silences: SilenceSnapshot = NONE_ASKED
) -> Situation:
    """Return the situation of an incident: its own part, and the rest only where there is a step that may run."""
    own = _ladder_facts(connection, row, config, now)
    step = next_step(config.policy, own)
    if step.verb is not Verb.run or step.action is None:
        return own
    return _rule_facts(connection, own, row.target_key, step.action, config, silences)


def _ladder_facts(connection: sa.Connection, row: sa.Row[Any], config: SiteConfig, now: float) -> Situation:
    """Gather what the ladder depends on.  After a person's "retry" the past counts no more."""
    target = Target(row.host, row.service, row.pool, row.gpu)
    recovery = config.policy.recovery
    since = now - recovery.persistent_within.total_seconds()
    fresh = bool(row.attempts_from)
    earlier = {} if fresh else store.earlier_actions(connection, target, row.failure_class, since=since, before=row.id)
    worn = now - recovery.gpu_memory.within.total_seconds()
    news = store.latest_news(connection, row.id)
    # Whoever silenced an alert, or put its labels into a window, meant what it told of: that outlives the alert.
    counting = [each for each in news if each.status == "firing"] or news
    partitioned = row.failure_class == "partition" or any(
        each.labels.get("fault_mode") == FaultMode.partitioned for each in news
    )
    return Situation(
        incident_id=row.id,
        failure_class=row.failure_class,
        # However often the election failed, and whatever alert has ended, it stays one.
        mode=FaultMode.partitioned if partitioned else FaultMode(row.fault_mode),
        target=target,
        opened_at=row.opened_at,
        now=now,
        playbooks=config.playbooks,
        in_inventory=_in_inventory(config.fleet, target),
        labels=tuple(each.labels for each in counting),
        attempts=runs.attempts(connection, row.id, row.attempts_from),
        earlier_actions=frozenset(earlier),
        earlier_counts=earlier,
        gpu_actions=history.gpu_actions(connection, row.gpu, worn) if row.gpu and not fresh else None,
        approved=row.approved,
        fenced=_why_fenced(connection, row),
        not_launched=_not_launched(connection, row),
        kept_out=runs.kept_out(connection, row.id, row.attempts_from),
        explained_by=_explanation(connection, row, config.policy.repertoire),
        only_probed=_only_probed(connection, row),
    )


def _only_probed(connection: sa.Connection, row: sa.Row[Any]) -> bool:
    """Tell whether no alert has struck since the service was first found well after the last run.

    Where a person has said "retry" since, it is that.
    """
    last = runs.newest(connection, row.id)
    if row.attempts_from == (last.id if last else -1):
        return False
    well_at = first_well(connection, row.id)
    alerts = taken_together(store.latest_news(connection, row.id))
    struck_at = max(alerts.denied_at or 0.0, alerts.began_at or 0.0)
    return well_at is not None and struck_at <= well_at


def _why_fenced(connection: sa.Connection, row: sa.Row[Any]) -> str | None:
    """Say why no more runs are tried on a host that refuses them one after the other."""
    times = runs.fenced_in_a_row(connection, row.id, row.attempts_from)
    last = runs.newest(connection, row.id) if times >= MOST_FENCED else None
    return None if last is None else f"{times} runs in a row were refused by {last.refused}"


def _not_launched(connection: sa.Connection, row: sa.Row[Any]) -> NotLaunched | None:
    """Return the last run if nothing has begun it, and no person has said "retry" since."""
    last = runs.newest(connection, row.id)
    if last is None or last.id <= row.attempts_from or last.state != RunState.not_launched:
        return None
    return NotLaunched(last.action, str(last.cause))


def _in_inventory(fleet: Fleet, target: Target) -> bool:
    host = fleet.hosts.get(target.host)
    if host is None or not fleet.limitable(host.name):
        return False
    return target.service is None or any(service.name == target.service for service in host.services)


def _explanation(connection: sa.Connection, row: sa.Row[Any], repertoire: Repertoire) -> Explanation | None:
    """Find the incident about the whole host whose cause is deeper than this one's, the deepest first."""
    if row.service is None:
        return None
    depth = repertoire.depth
    deeper = [
        cause
        for cause in store.causes_on_host(connection, row.host, row.id)
        if depth(cause.failure_class) < depth(row.failure_class)
    ]
    if not deeper:
        return None
    cause = min(deeper, key=lambda each: depth(each.failure_class))
    return Explanation(cause.id, cause.failure_class, f"{cause.gpu} on {cause.host}" if cause.gpu else cause.host)


def _rule_facts(
    connection: sa.Connection,
    own: Situation,
    target_key: str,
    action: str,
    config: SiteConfig,
    silences: SilenceSnapshot,
) -> Situation:
    """Gather what the rules depend on."""
    policy, target, now = config.policy, own.target, own.now
    breaker = policy.guardrails.circuit_breaker
    # One more than counts, so that a success just before the failures is seen; and those that are pending beside them.
    since, most = now - breaker.window.total_seconds(), 2 * breaker.failures + 1
    going_on = runs.unfinished(connection)
    silence, silences_unknown = silences.covering(own.labels, now)
    flapping = policy.recovery.flapping
    return replace(
        own,
        paused=paused(connection),
        fired=store.times_fired(connection, own.incident_id, now - flapping.window.total_seconds()) if flapping else 1,
        pools=pools_of(config.fleet, target),
        silence=silence,
        silences_unknown=silences_unknown,
        last_action_on_target_at=runs.last_on_target(connection, target_key),
        action_runs=history.of_action(connection, action, since, most),
        pool_runs=history.of_pool(connection, target.pool, since, most) if target.pool else (),
        capacity_groups=tuple(_capacity_groups(connection, config.fleet, own, action, policy.repertoire)),
        busy_with=next((run.incident_id for run in going_on if run.host == target.host), None),
        rebooting_beside=_rebooting_beside(config.fleet, target, going_on),
        running=len([run for run in going_on if run.action != runs.CHECK]),
        running_in_pool=history.running_in_pool(connection, target.pool) if target.pool else 0,
        host_actions_last_hour=runs.count_on_host(connection, target.host, now - 3600),
    )


def _rebooting_beside(fleet: Fleet, target: Target, going_on: Sequence[sa.Row[Any]]) -> str | None:
    """Return another host that is being rebooted and serves in a pool of this one's."""
    here = pools_of(fleet, Target(target.host))
    others = [run.host for run in going_on if run.action == REBOOT and run.host != target.host]
    return next((host for host in others if pools_of(fleet, Target(host)) & here), None)


def pools_of(fleet: Fleet, target: Target) -> frozenset[str]:
    """Return the pools of a target: its service's, or those of all services of a host."""
    if target.pool is not None:
        return frozenset({target.pool})
    host = fleet.hosts.get(target.host)
    return frozenset(s.pool for s in host.services if s.pool is not None) if host else frozenset()


def _capacity_groups(
    connection: sa.Connection, fleet: Fleet, own: Situation, action: str, repertoire: Repertoire = OURS
) -> Iterator[CapacityGroup]:
    """Count, for each pool that the action touches and for the fleet, who is out and who would be."""
    target = own.target
    for pool in sorted(affected_pools(fleet, target, action, repertoire)):
        members = fleet.pools[pool]
        ours = affected(members, target, action, repertoire)
        out = store.out_of_service(connection, pool, own.incident_id, repertoire.still_serving)
        others = {m for m in members - ours if m in out or (m[0], None) in out}
        yield CapacityGroup(f"pool {pool}", len(members), len(others), len(ours))
    others_out = (store.hosts_out(connection, repertoire.still_serving) & fleet.serving) - {target.host}
    yield CapacityGroup("the fleet", len(fleet.serving), len(others_out), int(target.host in fleet.serving))


def affected_pools(fleet: Fleet, target: Target, action: str, repertoire: Repertoire = OURS) -> set[str]:
    """Return the pools that lose a member while an action runs."""
    here = pools_of(fleet, Target(target.host))
    return {pool for pool in here if affected(fleet.pools[pool], target, action, repertoire)}


def affected(
    members: frozenset[tuple[str, str]], target: Target, action: str, repertoire: Repertoire = OURS
) -> frozenset[tuple[str, str]]:
    """Return the members of a pool that an action takes out: the service itself, or all that the host has."""
    whole_host = target.service is None or repertoire.host_wide(action)
    return frozenset(m for m in members if m[0] == target.host and (whole_host or m[1] == target.service))
