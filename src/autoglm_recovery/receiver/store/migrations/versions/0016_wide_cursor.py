# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The place of each node of a workflow that was told of is a bit of a run's cursor: PostgreSQL kept only 31."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Widen the column; SQLite's integers are wide."""
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("runs", "cursor", type_=sa.BigInteger())
