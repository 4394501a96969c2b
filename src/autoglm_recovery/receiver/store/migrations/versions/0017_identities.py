# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""By what an alert is known again: its fingerprint and its labels, for a sender may name another's fingerprint."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

_PIECE = 1000
_alerts = sa.table(
    "alerts",
    *(sa.column("id", sa.BigInteger), sa.column("fingerprint", sa.String), sa.column("labels", sa.JSON)),
    *(sa.column("incident_id", sa.BigInteger), sa.column("identity", sa.String)),
)
_silences = sa.table(
    "own_silences", sa.column("incident_id", sa.BigInteger), sa.column("fingerprint", sa.String), sa.column("identity")
)


def upgrade() -> None:
    """Add the columns, fill them, and find alerts by them."""
    for table in ("alerts", "own_silences"):
        op.add_column(table, sa.Column("identity", sa.String(length=32), nullable=False, server_default=""))
    connection = op.get_bind()
    last = 0
    while rows := connection.execute(
        sa.select(_alerts).where(_alerts.c.id > last).order_by(_alerts.c.id).limit(_PIECE)
    ).all():
        statement = _alerts.update().where(_alerts.c.id == sa.bindparam("number"))
        connection.execute(statement, [{"number": row.id, "identity": _identity(row)} for row in rows])
        last = rows[-1].id
    its = (_alerts.c.incident_id == _silences.c.incident_id) & (_alerts.c.fingerprint == _silences.c.fingerprint)
    newest = sa.select(_alerts.c.identity).where(its).order_by(_alerts.c.id.desc()).limit(1).scalar_subquery()
    connection.execute(_silences.update().values(identity=sa.func.coalesce(newest, "")))
    op.drop_index("alerts_incident", "alerts")
    op.drop_index("alerts_fingerprint", "alerts")
    op.create_index("alerts_incident", "alerts", ["incident_id", "identity"], unique=False)
    op.create_index("alerts_identity", "alerts", ["identity"], unique=False)


def _identity(row: Any) -> str:
    """As Alert.identity in model.py is, on the day of this migration."""
    known_by = json.dumps([row.fingerprint, sorted(row.labels.items())])
    return hashlib.sha256(known_by.encode()).hexdigest()[:32]
