# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What decisions remember: causes in other incidents, what waits for others, notices, and the pause."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the columns, tables and indexes."""
    op.add_column("incidents", sa.Column("explained_by", _ID, nullable=True))
    op.add_column("incidents", sa.Column("queued", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index("incidents_target", "incidents", ["target_key"])
    op.create_index("incidents_host", "incidents", ["host"])
    for name, column in (("incidents_gpu", "gpu"), ("incidents_explained", "explained_by")):
        where = sa.text(f"{column} IS NOT NULL")
        op.create_index(name, "incidents", [column], sqlite_where=where, postgresql_where=where)
    op.create_index("runs_host", "runs", ["host", "started_at"])
    op.create_index("runs_action", "runs", ["action", "ended_at"])
    op.create_index("runs_ended", "runs", ["ended_at"])
    op.create_table(
        "notices",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("incident_id", _ID, nullable=False),
        sa.Column("occasion", sa.String(length=16), nullable=False),
        sa.Column("about", sa.JSON(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("delivered", sa.JSON(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("due_at", sa.Float(), nullable=False),
        sa.Column("sent_at", sa.Float(), nullable=True),
        sa.Column("given_up_at", sa.Float(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    unsent = sa.text("sent_at IS NULL AND given_up_at IS NULL")
    op.create_index("notices_unsent", "notices", ["due_at"], sqlite_where=unsent, postgresql_where=unsent)
    op.create_index("notices_incident", "notices", ["incident_id"])
    op.create_table(
        "pauses",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
