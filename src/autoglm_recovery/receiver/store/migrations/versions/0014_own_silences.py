# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Alertmanager itself says of alerts, and the silences that receivers make while they act."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add the column, the table and their indexes."""
    op.add_column("alerts", sa.Column("active_at", sa.Float(), nullable=True))
    absent = sa.text("outcome = 'absent'")
    op.create_index("alerts_absent", "alerts", ["committed_at"], sqlite_where=absent, postgresql_where=absent)
    op.create_table(
        "own_silences",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("key", sa.String(length=32), nullable=False),
        sa.Column("incident_id", _ID, nullable=False),
        sa.Column("run_id", _ID, nullable=False),
        sa.Column("fingerprint", sa.String(length=128), nullable=False),
        sa.Column("alert", sa.Text(), nullable=False),
        sa.Column("until", sa.Float(), nullable=False),
        sa.Column("asked_at", sa.Float(), nullable=True),
        sa.Column("silence", sa.String(length=100), nullable=True),
        sa.Column("ended_at", sa.Float(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"]),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    standing = sa.text("ended_at IS NULL")
    op.create_index("own_silences_standing", "own_silences", ["id"], sqlite_where=standing, postgresql_where=standing)
