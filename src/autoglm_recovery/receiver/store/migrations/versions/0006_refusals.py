# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of alerts that were refused, and notices that are about no incident."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_UNSENT = sa.text("sent_at IS NULL AND given_up_at IS NULL")
_UNTOLD = sa.text("told_at IS NULL")


def upgrade() -> None:
    """Add the table; SQLite changes no column, so that notices are copied into a table that is as it should be."""
    op.create_table(
        "refusals",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("refused_as", sa.String(32), nullable=False),
        sa.Column("alert", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("failure_class", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("advice", sa.Text(), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.Float(), nullable=False),
        sa.Column("last_at", sa.Float(), nullable=False),
        sa.Column("told_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("kind"),
    )
    op.create_index("refusals_untold", "refusals", ["id"], sqlite_where=_UNTOLD, postgresql_where=_UNTOLD)
    if op.get_bind().dialect.name != "sqlite":
        op.alter_column("notices", "incident_id", existing_type=_ID, nullable=True)
        return
    op.drop_index("notices_unsent", "notices")
    op.drop_index("notices_incident", "notices")
    op.rename_table("notices", "notices_before")
    op.create_table(
        "notices",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("incident_id", _ID, nullable=True),
        sa.Column("occasion", sa.String(16), nullable=False),
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
    names = (
        "id, incident_id, occasion, about, title, body, delivered, attempts, created_at, due_at, sent_at, given_up_at,"
        " error"
    )
    op.execute(f"INSERT INTO notices ({names}) SELECT {names} FROM notices_before")  # noqa: S608 - our own names
    op.drop_table("notices_before")
    op.create_index("notices_unsent", "notices", ["due_at"], sqlite_where=_UNSENT, postgresql_where=_UNSENT)
    op.create_index("notices_incident", "notices", ["incident_id"])
