# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A name for the database, by which AWX's jobs tell whose they are."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table with its one row."""
    table = op.create_table("installation", sa.Column("name", sa.String(length=32), nullable=False, primary_key=True))
    op.bulk_insert(table, [{"name": uuid.uuid4().hex}])
