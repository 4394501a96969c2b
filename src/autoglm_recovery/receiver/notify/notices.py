# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person gets to read when one is needed: what, where, why, what was tried, and what can be done now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.knowledge.host import clocks
from autoglm_recovery.knowledge.host.plain import one_line
from autoglm_recovery.policy.model import Policy
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store import notices, runs
from autoglm_recovery.receiver.values.model import Decision, IncidentState
from autoglm_recovery.receiver.values.situation import Situation

LONGEST_BODY = 8000
LONGEST_TITLE = 250
_LONGEST_WORDS = 1000
MOST_TOLD = 20
_LINKS = ("runbook_url", "dashboard_url", "runbook", "dashboard")
_OCCASIONS = {
    "escalated": "a person is needed",
    "approval": "your approval is waited for",
    "resolved": "it is over",
    "digest": "only watched",
}


@dataclass(frozen=True)
class RunSummary:
    """A run of the incident, in words for people."""

    action: str
    state: str
    at: float
    output: str
    # Why it failed, in words for people, and the incident if it is an earlier one.
    cause: str | None = None
    incident: int | None = None


@dataclass(frozen=True)
class NoticeSubject:
    """What a notice tells of."""

    number: int
    occasion: str
    failure_class: str
    fault_mode: str
    where: str
    host: str
    root_cause: str
    cause: str | None
    reason: str
    since: float
    action: str | None
    tried: tuple[RunSummary, ...]
    evidence: tuple[str, ...]
    alerts: tuple[Mapping[str, Any], ...]
    console: str | None


def write_notice(
    connection: sa.Connection, row: sa.Row[Any], decision: Decision, known: Situation, policy: Policy, occasion: str
) -> bool:
    """Put a notice into the outbox, in the transaction that decided; return whether anybody wants it."""
    about = {
        "failure_class": row.failure_class,
        "pool": row.pool,
        "severities": sorted({labels["severity"][:100] for labels in known.labels if labels.get("severity")}),
    }
    if not any(route.wants(occasion, **about) for route in policy.notify.routes):
        return False
    case = _notice_subject(connection, row, decision, known, policy, occasion)
    notices.add(
        connection,
        known.now,
        incident_id=row.id,
        occasion=occasion,
        about={**about, "reason": _plain(decision.reason if decision.watched else row.cause or decision.reason)},
        **_together_with_others(known.now, policy, occasion),
        title=title(case),
        body=body(case),
    )
    store.tell(connection, row.id, known.now, "notified", f"a notice to people was written: {_OCCASIONS[occasion]}")
    return True


def _together_with_others(now: float, policy: Policy, occasion: str) -> dict[str, float]:
    """Return when a notice is due that waits for others: at the end of this stretch of time, at which all are."""
    every = policy.notify.digest.total_seconds()
    return {"due_at": (now // every + 1) * every} if occasion == "digest" else {}


def _notice_subject(
    connection: sa.Connection, row: sa.Row[Any], decision: Decision, known: Situation, policy: Policy, occasion: str
) -> NoticeSubject:
    service = f"service {row.service} on {row.host}" if row.service else f"host {row.host}"
    gpu = f", GPU {row.gpu}" if row.gpu else ""
    pool = f", pool {row.pool}" if row.pool else ""
    firing = store.firing(connection, row.id)
    # What the ladder goes by is told as well.
    since = known.now - max(runs.TOLD_OF_S, policy.recovery.persistent_within.total_seconds())
    console = policy.notify.console
    return NoticeSubject(
        number=row.id,
        occasion=occasion,
        failure_class=row.failure_class,
        fault_mode=known.mode.value,
        where=f"{service}{gpu}{pool}",
        host=row.host,
        root_cause=row.root_cause,
        cause=row.cause,
        reason=decision.reason,
        since=row.first_starts_at,
        action=decision.action,
        tried=(
            *(_run_summary(run, console, run.incident_id) for run in runs.of_earlier_incidents(connection, row, since)),
            *(_run_summary(run, console) for run in runs.of_incident(connection, row.id)),
        ),
        evidence=tuple(store.told_of(connection, row.id, "evidence")),
        alerts=tuple({"annotations": alert.annotations, "url": alert.generator_url} for alert in firing),
        console=console,
    )


def _run_summary(run: sa.Row[Any], console: str | None, incident: int | None = None) -> RunSummary:
    output = run.link or (f"{console}/runs/{run.id}/output" if console else run.directory)
    return RunSummary(run.action, run.state, run.started_at, output, run.cause, incident)


def title(case: NoticeSubject) -> str:
    """Return the one line that a phone shows: the cause first, where it is known."""
    return _line(case.occasion, case.number, case.failure_class, case.host, case.cause)


def title_of(occasion: str, row: sa.Row[Any]) -> str:
    """Return the one line that a phone shows, of an incident as its row has it: the cause first, where it is known."""
    return _line(occasion, row.id, row.failure_class, row.host, row.cause)


def _line(occasion: str, number: int, failure_class: str, host: str, cause: str | None) -> str:
    if not cause:
        return _plain(f"[autoglm] incident {number}: {failure_class} on {host}, {_OCCASIONS[occasion]}")
    what = f"(incident {number}: {failure_class}, {_OCCASIONS[occasion]})"
    return f"{_plain(f'[autoglm] {host}: {cause}')[:LONGEST_TITLE]} {what}"


def over(row: sa.Row[Any], state: IncidentState, reason: str, now: float) -> str:
    """Return what those are told who were called about an incident that is over."""
    where = f"service {row.service} on {row.host}" if row.service else f"host {row.host}"
    lines = [
        f"Cause: {_plain(row.cause or row.root_cause)}",
        f"What:  {row.failure_class}, {state} at {clocks.in_words(now)}",
        f"Where: {_plain(where)}",
        f"Why:   {_plain(reason)}",
        "",
        f"  autoglm incidents show {row.id}      # all that happened",
    ]
    return "\n".join(lines)


def body(case: NoticeSubject) -> str:
    """Return the whole notice, as plain text."""
    parts = [
        _what_happened(case),
        _what_was_tried(case.tried),
        _section("Evidence", case.evidence),
        _section("Links", _links(case)),
    ]
    text = "\n\n".join("\n".join(lines) for lines in [*(list(part) for part in parts), list(_commands(case))] if lines)
    return text if len(text) <= LONGEST_BODY else f"{text[: LONGEST_BODY - 30]}\n... (shortened)"


def _what_happened(case: NoticeSubject) -> Iterator[str]:
    yield f"Cause: {_plain(case.cause or case.root_cause)}"
    yield f"What:  {case.failure_class} ({case.fault_mode}), since {clocks.in_words(case.since)}"
    yield f"Alert: {_plain(case.root_cause)}"
    yield f"Where: {_plain(case.where)}"
    yield f"Why:   {_plain(case.reason)}"


def _what_was_tried(tried: Sequence[RunSummary]) -> Iterator[str]:
    if not tried:
        yield "Tried: nothing yet"
        return
    yield "Tried:"
    if len(tried) > MOST_TOLD:
        yield f"  ... and {len(tried) - MOST_TOLD} runs before these"
    for run in tried[-MOST_TOLD:]:
        earlier = f", in incident {run.incident}" if run.incident is not None else ""
        why = f"  {_plain(run.cause)}" if run.cause else ""
        yield f"  {clocks.in_words(run.at)}  {run.action}: {run.state}{earlier}{why}  output: {run.output}"


def _section(name: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield f"{name}:"
        yield from (f"  {_plain(line)}" for line in lines)


def _links(case: NoticeSubject) -> list[str]:
    found = [f"{case.console}/incidents/{case.number}"] if case.console else []
    for alert in case.alerts[:5]:
        found += [str(alert["annotations"][name]) for name in _LINKS if alert["annotations"].get(name)]
        found += [alert["url"]] if alert["url"] else []
    return list(dict.fromkeys(found))


def _commands(case: NoticeSubject) -> Iterator[str]:
    yield "What you can do:"
    number = case.number
    yield f"  autoglm incidents show {number}      # all that happened"
    if case.occasion == "digest":
        yield f"  autoglm incidents retry {number}     # let it run all the same"
    elif case.occasion == "approval":
        yield f"  autoglm incidents approve {number}   # let {case.action} run"
        yield f"  autoglm incidents reject {number}    # refuse it, and close the incident"
    else:
        yield f"  autoglm incidents retry {number}     # climb the ladder again from its first rung"
        yield f"  autoglm incidents close {number}     # you have repaired it, or it needs no repair"
    yield "  autoglm pause --comment '...'    # stop all actions on the whole fleet"


def _plain(text: str) -> str:
    """Make one printable line of a text that strangers may have written."""
    return one_line(text, _LONGEST_WORDS)
