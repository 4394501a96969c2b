# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit log: who ordered what, and who tried.  Rows are only ever added.

The one exception is what strangers cause: of refused logins the newest ``MOST_FAILED_LOGINS`` are kept, so that nobody
fills the disk by failing.  The database itself refuses any other change (migration 0003).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import sqlalchemy as sa

from autoglm_recovery.receiver.store.schema import metadata
from autoglm_recovery.receiver.store.texts import String, Text
from autoglm_recovery.receiver.values.principal import Principal

MOST_FAILED_LOGINS = 10_000
LOGIN = "login"
REFUSED_LOGIN = "unrecognised"

_Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", _Id, primary_key=True, autoincrement=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("who", Text, nullable=False),
    sa.Column("role", String(16), nullable=False),
    sa.Column("how", String(16), nullable=False),
    sa.Column("address", Text, nullable=False),
    # approve, reject, ... of an incident, or login
    sa.Column("what", String(64), nullable=False),
    # No foreign key: the log outlives what it is about.
    sa.Column("incident_id", _Id),
    # done | refused | forbidden | unrecognised
    sa.Column("outcome", String(16), nullable=False),
    # The person's own word, and ours.
    sa.Column("comment", Text, nullable=False),
    sa.Column("detail", Text, nullable=False),
    sa.Index("audit_incident", "incident_id", "id"),
    sa.Index("audit_outcome", "outcome", "id"),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True)
class AuditEntry:
    """What somebody did or tried."""

    what: str
    outcome: str
    incident_id: int | None = None
    comment: str = ""
    detail: str = ""


def record(connection: sa.Connection, principal: Principal, deed: AuditEntry) -> None:
    """Add a row, in the transaction of what it tells of."""
    _add(connection, deed, who=principal.name, role=principal.role.value, how=principal.how, address=principal.address)


def record_stranger(connection: sa.Connection, address: str, how: str, deed: AuditEntry) -> None:
    """Add a row for somebody who was not recognised, and drop the oldest of that kind beyond the bound."""
    _add(connection, deed, who="", role="", how=how, address=address)
    failed = sa.select(audit.c.id).where(audit.c.outcome == REFUSED_LOGIN).order_by(audit.c.id.desc())
    last_kept = connection.execute(failed.offset(MOST_FAILED_LOGINS - 1).limit(1)).scalar()
    if last_kept is not None:
        connection.execute(audit.delete().where(audit.c.outcome == REFUSED_LOGIN, audit.c.id < last_kept))


def _add(connection: sa.Connection, deed: AuditEntry, **principal: str) -> None:
    connection.execute(
        audit.insert(),
        {
            "at": time.time(),
            **principal,
            "what": deed.what,
            "incident_id": deed.incident_id,
            "outcome": deed.outcome,
            "comment": deed.comment,
            "detail": deed.detail,
        },
    )
