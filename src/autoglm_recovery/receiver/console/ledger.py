# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lists of alerts, of rejected alerts, and of the audit log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from autoglm_recovery.receiver.console.moments import read_moment

MOST_SHOWN = 100
LONGEST_RAW = 2000
OUTCOMES = ("refused", "ignored", "joined", "absent", "new")


@dataclass(frozen=True)
class AlertRow:
    """An alert and what became of it."""

    id: int
    name: str
    status: str
    outcome: str
    reason: str
    incident: int | None
    at: datetime | None
    labels: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RejectRow:
    """A rejected alert: a part of a delivery that could not be read as an alert."""

    id: int
    reason: str
    at: datetime | None
    raw: str


@dataclass(frozen=True)
class AlertsPage:
    """What the page of alerts shows."""

    outcome: str
    wrong: str | None
    alerts: tuple[AlertRow, ...]
    rejects: tuple[RejectRow, ...]


@dataclass(frozen=True)
class AuditRow:
    """A deed, or an attempted one, of the audit log."""

    id: int
    at: datetime | None
    who: str
    role: str
    how: str
    address: str
    what: str
    incident: int | None
    outcome: str
    comment: str
    detail: str


def read_outcome(text: str | None) -> tuple[str, str | None]:
    """Return the outcome that the query names (empty for all), and what is wrong with the query."""
    if text is None:
        return "refused", None
    if text and text not in OUTCOMES:
        return "", f"there is no outcome {text[:40]!r}; known: {', '.join(OUTCOMES)}"
    return text, None


def alerts_page(
    outcome: str, wrong: str | None, alerts: Sequence[Mapping[str, Any]], rejects: Sequence[Mapping[str, Any]]
) -> AlertsPage:
    """Build the page from what ``views`` lists."""
    return AlertsPage(outcome, wrong, tuple(map(_alert_row, alerts)), tuple(map(_reject_row, rejects)))


def audit_rows(listed: Sequence[Mapping[str, Any]]) -> tuple[AuditRow, ...]:
    """Build the rows of the audit log from what ``views`` lists."""
    return tuple(
        AuditRow(
            id=row["id"],
            at=read_moment(row["at"]),
            who=row["who"] or "somebody unknown",
            role=row["role"],
            how=row["how"],
            address=row["address"],
            what=row["what"],
            incident=row["incident_id"],
            outcome=row["outcome"],
            comment=row["comment"],
            detail=row["detail"],
        )
        for row in listed
    )


def _alert_row(alert: Mapping[str, Any]) -> AlertRow:
    labels = tuple(sorted((name, str(value)) for name, value in alert["labels"].items()))
    return AlertRow(
        id=alert["id"],
        name=str(alert["labels"].get("alertname") or "an alert without a name"),
        status=alert["status"],
        outcome=alert["outcome"],
        reason=alert["reason"] or "nobody has looked at it yet",
        incident=alert["incident_id"],
        at=read_moment(alert["committed_at"]),
        labels=labels,
    )


def _reject_row(reject: Mapping[str, Any]) -> RejectRow:
    raw = str(reject["raw"])
    shown = raw if len(raw) <= LONGEST_RAW else f"{raw[:LONGEST_RAW]} ... and {len(raw) - LONGEST_RAW} characters more"
    return RejectRow(reject["id"], reject["reason"], read_moment(reject["received_at"]), shown)
