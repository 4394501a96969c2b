# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of requests and answers.  Those of stored things are made from their tables, so that they stay true."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictStr, create_model

from autoglm_recovery.policy.section import FailureClass
from autoglm_recovery.receiver.intake.payload import MOST_ALERTS, AlertIn, storable
from autoglm_recovery.receiver.store import schema
from autoglm_recovery.receiver.store.audit import audit
from autoglm_recovery.receiver.store.views import INTERNAL, PARTS, TIMES
from autoglm_recovery.receiver.values.model import IncidentState

MOST_LISTED = 1000
LONGEST_COMMENT = 1000


class _StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid")


def _row_model(name: str, table: sa.Table, **more: Any) -> type[BaseModel]:
    """Make the model of a row as ``views`` shows it."""
    columns: dict[str, Any] = {
        column.name: (_type_of(column) | None if column.nullable else _type_of(column), ...)
        for column in table.columns
        if column.name not in INTERNAL
    }
    return create_model(name, __base__=_StrictModel, **columns, **more)


def _type_of(column: sa.Column[Any]) -> Any:
    if column.name in TIMES:
        return datetime
    return dict[str, Any] if isinstance(column.type, sa.JSON) else column.type.python_type


Alert = _row_model("Alert", schema.alerts)
Reject = _row_model("Reject", schema.rejects)
Run = _row_model("Run", schema.runs)
TimelineLine = _row_model("TimelineLine", schema.timeline)
Notice = _row_model("Notice", schema.notices)
Incident = _row_model("Incident", schema.incidents)
LeftOut = create_model("LeftOut", __base__=_StrictModel, **dict.fromkeys(PARTS, (int, ...)))  # type: ignore[call-overload]
IncidentInFull = _row_model(
    "IncidentInFull",
    schema.incidents,
    alerts=(list[Alert], ...),  # type: ignore[valid-type]
    runs=(list[Run], ...),  # type: ignore[valid-type]
    earlier_runs=(list[Run], ...),  # type: ignore[valid-type]
    timeline=(list[TimelineLine], ...),  # type: ignore[valid-type]
    notices=(list[Notice], ...),  # type: ignore[valid-type]
    # How many of each lie between the first and the newest that are shown.
    left_out=(LeftOut, ...),
)
AuditRow = _row_model("AuditRow", audit)


def _list_model(name: str, key: str, row: type[BaseModel]) -> type[BaseModel]:
    return create_model(name, __base__=_StrictModel, **{key: (list[row], ...)})  # type: ignore[valid-type, call-overload, no-any-return]


Alerts = _list_model("Alerts", "alerts", Alert)
Rejects = _list_model("Rejects", "rejects", Reject)
Incidents = _list_model("Incidents", "incidents", Incident)
Audit = _list_model("Audit", "audit", AuditRow)
Parts = {
    "alerts": Alerts,
    "runs": _list_model("Runs", "runs", Run),
    "notices": _list_model("Notices", "notices", Notice),
    "timeline": _list_model("Timeline", "timeline", TimelineLine),
}


class Webhook(BaseModel):
    """Alertmanager's webhook, version 4, or Grafana's, version 1.

    An alert that cannot be read is set aside, and the others still count.
    """

    version: Annotated[StrictStr, Field(pattern="^[14]$")]
    alerts: Annotated[list[AlertIn], Field(max_length=MOST_ALERTS)]
    groupKey: StrictStr = ""  # noqa: N815 - the wire's own name
    receiver: StrictStr = ""
    truncatedAlerts: int = 0  # noqa: N815


class Receipt(_StrictModel):
    """What became of a delivery that is on disk now."""

    committed: int
    duplicates: int
    rejected: int
    warning: str | None = None


class Comment(_StrictModel):
    """A person's own words about an order."""

    comment: Annotated[StrictStr, AfterValidator(storable), Field(max_length=LONGEST_COMMENT)] = ""


class Switch(_StrictModel):
    """Whether all actions are paused, and the last turn of the switch if there was one."""

    paused: bool
    since: datetime | None
    by: str | None
    reason: str | None


class Problem(BaseModel):
    """What is wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


class Limit(BaseModel):
    """How many are listed, newest first."""

    limit: Annotated[int, Field(ge=1, le=MOST_LISTED)] = 100


class Before(BaseModel):
    """Only those with a lower number: the last one's of a page gives the next page."""

    before: Annotated[int, Field(ge=1, lt=2**63)] | None = None


class State(BaseModel):
    """Only incidents in this state."""

    state: IncidentState | None = None


class About(BaseModel):
    """Only incidents of this failure class, or on this host."""

    failure_class: FailureClass | None = None
    host: str | None = None


class Outcome(BaseModel):
    """Only alerts of which this became: new, joined, refused or ignored."""

    outcome: str | None = None
