# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a run: how it ended, and where that leaves its incident."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from autoglm_recovery.policy.own import ActionProof
from autoglm_recovery.receiver.fleet.site_config import SiteConfig
from autoglm_recovery.receiver.process.redact import without_secrets
from autoglm_recovery.receiver.runs.protocol import RunReport, RunStatus
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store import runs
from autoglm_recovery.receiver.store.runs import RunClaim
from autoglm_recovery.receiver.values.alerts import taken_together
from autoglm_recovery.receiver.values.model import ENDED, NEVER_THERE, FaultMode, IncidentState, RunState, outcome_of

# Before a run that the host refused is repeated; longer each time, so that two installations do not wear a host out.
FENCED_PAUSE_S = 2.0


def close(
    connection: sa.Connection, run: sa.Row[Any], claim: RunClaim, config: SiteConfig, look: RunReport, now: float
) -> RunState:
    """Write down the end of a run and what it means for its incident; return how it ended.

    Raises Superseded if the claim is not the run's any more.
    """
    # Asked for here, because it may have been ordered while the run came to its end.
    cancelled = runs.cancelled(connection, run.id)
    rc = look.rc if look.status is RunStatus.ended else None
    state = RunState.cancelled if cancelled is not None else _judge_run(connection, run, rc, look)
    runs.report(connection, claim, state=state, rc=rc, ended_at=now)
    if state is RunState.not_launched:
        runs.update(connection, run.id, cause=_why_not_launched(look))
    why = look.why if cancelled is None else _why_cancelled(cancelled, look)
    text = f"{run.action} {state.replace('_', ' ')} after {now - run.started_at:.1f} s{f': {why}' if why else ''}"
    store.tell(connection, run.incident_id, now, "run_finished", without_secrets(text))
    incident = store.incident(connection, run.incident_id)
    assert incident is not None  # noqa: S101 - a foreign key says so
    # A person may have closed the incident, which cancels its run.
    if run.action == runs.CHECK and incident.state not in ENDED:
        # It has repaired nothing, and the incident stands where it stood.
        store.update(connection, run.incident_id, now, due_at=now)
    elif incident.state not in ENDED:
        if cancelled is not None:
            stands = _left_to_a_person(cancelled)
        else:
            stands = _incident_after(connection, run, incident, state, look, config, now=now)
        failed_by = runs.cause(connection, run.id) or why
        # That somebody is at work on the host, or AWX lacks a template, is not what the incident comes from.
        if state not in (RunState.succeeded, *NEVER_THERE) and failed_by:
            stands["cause"] = without_secrets(failed_by)
        store.update(connection, run.incident_id, now, **stands)
    store.ask_again(connection, now, config.policy.guardrails.max_concurrent_runs)
    return state


def _incident_after(
    connection: sa.Connection,
    run: sa.Row[Any],
    incident: sa.Row[Any],
    state: RunState,
    look: RunReport,
    config: SiteConfig,
    *,
    now: float,
) -> dict[str, Any]:
    """Say where an incident stands after a run that nobody has cancelled."""
    if state is RunState.fenced:
        times = runs.fenced_in_a_row(connection, incident.id, incident.attempts_from)
        return _after_a_refusal(str(runs.refused(connection, run.id)), times, now)
    if state is RunState.kept_out:
        return _after_being_kept_out(connection, incident)
    if state is RunState.not_launched:
        # Whether it may be tried again a rule says, and calls a person.
        reason = f"{run.action} was not launched: {_why_not_launched(look)}"
        return {"state": IncidentState.open, "reason": reason, "due_at": now}
    firing = taken_together(store.latest_news(connection, incident.id)).denies
    patience = config.policy.recovery.strategy(incident.failure_class).resolve_within.total_seconds()
    proof = config.policy.repertoire.proof(run.action)
    return after(state, now, now + patience if firing else now, incident.fault_mode, proof)


def _why_not_launched(look: RunReport) -> str:
    return without_secrets(look.why or "its launcher does not say why")


def _judge_run(connection: sa.Connection, run: sa.Row[Any], rc: int | None, look: RunReport) -> RunState:
    """Judge a run by whether it was begun, by its exit code, and where it failed by whether the host has refused it."""
    if not look.started:
        return RunState.not_launched
    state = outcome_of(rc)
    if state is not RunState.failed:
        return state
    if runs.refused(connection, run.id) is not None:
        return RunState.fenced
    return state if runs.held_by(connection, run.id) is None else RunState.kept_out


def _after_a_refusal(refused: str, times: int, now: float) -> dict[str, Any]:
    """Say where an incident stands after the host refused a run: soon tried again, under a token above the mark."""
    pause = FENCED_PAUSE_S * 2 ** min(times - 1, 10)
    reason = f"tried again in {pause:g} s with a higher fencing token: {refused}"
    return {"state": IncidentState.open, "reason": reason, "due_at": now + pause}


def _after_being_kept_out(connection: sa.Connection, incident: sa.Row[Any]) -> dict[str, Any]:
    """Say where an incident stands whose run the host's lock refused: tried again, or left to a person by a rule."""
    kept_out = runs.kept_out(connection, incident.id, incident.attempts_from)
    assert kept_out is not None  # noqa: S101 - the caller has just written it
    return {"state": IncidentState.waiting, "reason": kept_out.said(), "due_at": kept_out.until}


def _why_cancelled(cancelled: str, look: RunReport) -> str:
    """Say who ended a run, and how it ended if not by that."""
    if look.status is RunStatus.ended and look.rc is not None:
        return f"{cancelled}; it had come to its own end by then, with exit code {look.rc}"
    return cancelled if look.why in (None, cancelled) else f"{cancelled}; {look.why}"


def _left_to_a_person(cancelled: str) -> dict[str, Any]:
    """Say where an incident stands whose run a person has ended: with a person, until one says retry or close."""
    return {"state": IncidentState.escalated, "reason": cancelled, "approved": False, "due_at": store.NEVER}


def after(
    state: RunState, now: float, verify_until: float, mode: str, proof: ActionProof | None = None
) -> dict[str, Any]:
    """Say where an incident stands after a run; ``proof`` is what an own action says of its own."""
    if state is RunState.succeeded:
        reason = "the playbook proved its repair"
        if proof in (ActionProof.service, ActionProof.none):
            reason = "the playbook ended well, and what it did is still to be proven"
        return {"state": IncidentState.verifying, "reason": reason, "due_at": verify_until}
    mode = FaultMode(mode).after_a_run().value
    return {"state": IncidentState.open, "fault_mode": mode, "reason": f"the last run {state}", "due_at": now}
