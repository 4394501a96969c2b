# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of the end of an incident, and whether the service itself can be asked by the check playbook."""

from __future__ import annotations

import math
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.policy.own import ActionProof
from autoglm_recovery.policy.repertoire import OURS, Repertoire
from autoglm_recovery.receiver.fleet.site_config import SiteConfig
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store import own_silences, runs
from autoglm_recovery.receiver.store.pauses import paused
from autoglm_recovery.receiver.store.well import first_asked, first_well
from autoglm_recovery.receiver.values.alerts import Nature, taken_together
from autoglm_recovery.receiver.values.model import UNFINISHED, RunState
from autoglm_recovery.receiver.values.watchdog import WatchdogStretch
from autoglm_recovery.receiver.verify.proof import Proof
from autoglm_recovery.receiver.verify.proven import Check, ProofFacts

# How soon is looked again, and asked again after an answer that told nothing: longer each time, as time goes by.
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 10.0, 1800.0
# An alert over a window ends when the window has passed: one that fires on for longer than this is a person's to judge.
LONGEST_WATCH_S = 3600.0


def known_of(
    connection: sa.Connection,
    row: sa.Row[Any],
    watchdog: WatchdogStretch,
    expression: Proof | None,
    repertoire: Repertoire = OURS,
) -> ProofFacts:
    """Return all that the verdict about an incident depends on."""
    last = runs.newest(connection, row.id)
    return ProofFacts(
        alerts=taken_together(store.latest_news(connection, row.id)),
        last=None if last is None else RunState(last.state),
        last_ended_at=0.0 if last is None or last.ended_at is None else last.ended_at,
        watchdog=watchdog,
        check=_check_of(runs.newest_check(connection, row.id)),
        expression=expression,
        asked_at=first_asked(connection, row.id),
        well_at=first_well(connection, row.id),
        proof=None if last is None else repertoire.proof(last.action),
    )


def unheard_of(connection: sa.Connection, row: sa.Row[Any]) -> bool:
    """Tell whether all that is said to fire may have ended under silences of ours, of which nobody would tell.

    What was delivered, or seen in Alertmanager, after its silence had ended fires.
    """
    firing = [each for each in store.firing(connection, row.id) if each.nature not in (Nature.event, Nature.sticky)]
    silenced = own_silences.stood_until(connection, row.id) if firing else {}
    return bool(firing) and all(
        max(each.committed_at, each.active_at or 0.0) <= silenced.get((row.id, each.identity), -math.inf)
        for each in firing
    )


def _check_of(run: sa.Row[Any] | None) -> Check | None:
    """Return what a check has shown.  A host can say of itself what it likes, and of no other."""
    if run is None or run.state in UNFINISHED or run.ended_at is None:
        return None
    unsaid = f"the check {run.state} and read nothing"
    if run.state == RunState.not_launched:
        unsaid = f"the check was not launched: {run.cause}"
    said = run.said or unsaid
    # The playbook succeeds where all are healthy, and says so of each; one that said nothing has read nothing.
    well = run.state == RunState.succeeded and run.verdict == "healthy"
    holds = True if well else False if run.verdict == "unhealthy" else None
    return Check(holds, said, run.started_at, run.ended_at)


def obstacle(connection: sa.Connection, row: sa.Row[Any], config: SiteConfig) -> str | None:
    """Say why a service cannot be asked at all, or None where it can."""
    if runs.CHECK not in config.playbooks:
        return f"there is no playbook {runs.CHECK} to ask it with"
    last = runs.newest(connection, row.id)
    proof = None if last is None else config.policy.repertoire.proof(last.action)
    if last is not None and proof in (ActionProof.playbook, ActionProof.none):
        return f"the policy says of {last.action} that its proof is {proof}, and so the service is not asked"
    host = config.fleet.hosts.get(row.host)
    if host is None or not config.fleet.limitable(host.name):
        return f"host {row.host} is not in the inventory any more"
    if not any(row.service in (None, service.name) for service in host.services):
        return f"the inventory has no service on {row.host} that could be asked"
    return paused(connection)


def has_to_wait(connection: sa.Connection, row: sa.Row[Any], config: SiteConfig) -> bool:
    """Tell whether a check has to wait its turn: one run on a host, and not all hosts at once."""
    going_on = runs.unfinished(connection)
    checks = sum(run.action == runs.CHECK for run in going_on)
    return any(run.host == row.host for run in going_on) or checks >= config.policy.guardrails.max_concurrent_runs


def pause(since: float, now: float) -> float:
    """Return for how long not to ask again: as long as was waited already, within bounds."""
    return min(LONGEST_PAUSE_S, max(SHORTEST_PAUSE_S, now - since))
