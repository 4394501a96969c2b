# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who sent an alert, and those of which nobody can say yet whether they are news."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the column and the index."""
    op.add_column("alerts", sa.Column("sender", sa.String(length=16), nullable=False, server_default=""))
    doubted = sa.text("outcome = 'doubted'")
    op.create_index("alerts_doubted", "alerts", ["committed_at"], sqlite_where=doubted, postgresql_where=doubted)
