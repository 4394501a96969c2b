# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs have an owner with a lease, a fencing token of their own, and a launcher.

Until now a run's number was its token, so that the old tokens are the numbers and the next one is above them all.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns; what is going on belongs to nobody until a receiver claims it."""
    fencing = op.create_table(
        "fencing",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    assert fencing is not None  # noqa: S101 - only offline it would be
    last = op.get_bind().execute(sa.text("SELECT coalesce(max(id), 0) FROM runs")).scalar_one()
    op.bulk_insert(fencing, [{"id": 1, "last": last}])
    # Both databases know these statements, and neither copies the table for them.
    op.execute("ALTER TABLE runs RENAME COLUMN events_told TO cursor")
    op.add_column("runs", sa.Column("launcher", sa.String(length=32), nullable=False, server_default="local"))
    op.add_column("runs", sa.Column("reference", sa.Text(), nullable=True))
    op.add_column("runs", sa.Column("link", sa.Text(), nullable=True))
    op.add_column("runs", sa.Column("owner", sa.String(length=64), nullable=False, server_default=""))
    op.add_column("runs", sa.Column("lease_until", sa.Float(), nullable=False, server_default="0"))
    op.add_column("runs", sa.Column("fence", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("runs", sa.Column("cancel", sa.Text(), nullable=True))
    op.execute("UPDATE runs SET fence = id")
    op.create_index(
        "runs_unfinished",
        "runs",
        ["owner"],
        unique=False,
        sqlite_where=sa.text("state IN ('launching', 'running')"),
        postgresql_where=sa.text("state IN ('launching', 'running')"),
    )
