# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person gets to read when one is needed: what, where, why, what was tried, and what can be done now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.policy.model import Policy
from autoglm_recovery.receiver.model import Decision
from autoglm_recovery.receiver.situation import Situation
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store import notices, runs

LONGEST_BODY = 8000
_LINKS = ("runbook_url", "dashboard_url", "runbook", "dashboard")
_OCCASIONS = {"escalated": "a person is needed", "approval": "your approval is waited for"}


@dataclass(frozen=True)
class Tried:
    """A run of the incident, in words for people."""

    action: str
    state: str
    at: float
    directory: str


@dataclass(frozen=True)
class Case:
    """What a notice tells of."""

    number: int
    occasion: str
    failure_class: str
    fault_mode: str
    where: str
    host: str
    root_cause: str
    reason: str
    since: float
    action: str | None
    tried: tuple[Tried, ...]
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
    case = _case(connection, row, decision, known, policy, occasion)
    notices.add(
        connection,
        known.now,
        incident_id=row.id,
        occasion=occasion,
        about=about,
        title=title(case),
        body=body(case),
    )
    store.tell(connection, row.id, known.now, "notified", f"a notice to people was written: {_OCCASIONS[occasion]}")
    return True


def _case(
    connection: sa.Connection, row: sa.Row[Any], decision: Decision, known: Situation, policy: Policy, occasion: str
) -> Case:
    service = f"service {row.service} on {row.host}" if row.service else f"host {row.host}"
    gpu = f", GPU {row.gpu}" if row.gpu else ""
    pool = f", pool {row.pool}" if row.pool else ""
    firing = store.firing(connection, row.id)
    return Case(
        number=row.id,
        occasion=occasion,
        failure_class=row.failure_class,
        fault_mode=known.mode.value,
        where=f"{service}{gpu}{pool}",
        host=row.host,
        root_cause=row.root_cause,
        reason=decision.reason,
        since=row.first_starts_at,
        action=decision.action,
        tried=tuple(
            Tried(run.action, run.state, run.started_at, run.directory) for run in runs.of_incident(connection, row.id)
        ),
        evidence=tuple(store.told_of(connection, row.id, "evidence")),
        alerts=tuple({"annotations": alert.annotations, "url": alert.generator_url} for alert in firing),
        console=policy.notify.console,
    )


def title(case: Case) -> str:
    """Return the one line that a phone shows."""
    return _plain(f"[autoglm] incident {case.number}: {case.failure_class} on {case.host}, {_OCCASIONS[case.occasion]}")


def body(case: Case) -> str:
    """Return the whole notice, as plain text."""
    parts = [_what(case), _tried(case.tried), _section("Evidence", case.evidence), _section("Links", _links(case))]
    text = "\n\n".join("\n".join(lines) for lines in [*(list(part) for part in parts), list(_commands(case))] if lines)
    return text if len(text) <= LONGEST_BODY else f"{text[: LONGEST_BODY - 30]}\n... (shortened)"


def _what(case: Case) -> Iterator[str]:
    yield f"What:  {case.failure_class} ({case.fault_mode}), since {_clock(case.since)}"
    yield f"Where: {_plain(case.where)}"
    yield f"Cause: {_plain(case.root_cause)}"
    yield f"Why:   {_plain(case.reason)}"


def _tried(tried: Sequence[Tried]) -> Iterator[str]:
    if not tried:
        yield "Tried: nothing yet"
        return
    yield "Tried:"
    for run in tried:
        yield f"  {_clock(run.at)}  {run.action}: {run.state}  (output: {run.directory})"


def _section(name: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield f"{name}:"
        yield from (f"  {_plain(line)}" for line in lines)


def _links(case: Case) -> list[str]:
    found = [f"{case.console}/incidents/{case.number}"] if case.console else []
    for alert in case.alerts[:5]:
        found += [str(alert["annotations"][name]) for name in _LINKS if alert["annotations"].get(name)]
        found += [alert["url"]] if alert["url"] else []
    return list(dict.fromkeys(found))


def _commands(case: Case) -> Iterator[str]:
    yield "What you can do:"
    number = case.number
    yield f"  autoglm incidents show {number}      # all that happened"
    if case.occasion == "approval":
        yield f"  autoglm incidents approve {number}   # let {case.action} run"
        yield f"  autoglm incidents reject {number}    # refuse it, and close the incident"
    else:
        yield f"  autoglm incidents retry {number}     # climb the ladder again from its first rung"
        yield f"  autoglm incidents close {number}     # you have repaired it, or it needs no repair"
    yield "  autoglm pause --comment '...'    # stop all actions on the whole fleet"


def _clock(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _plain(text: str) -> str:
    """Make one printable line of a text that strangers may have written."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else "?" for c in line)[:1000]
