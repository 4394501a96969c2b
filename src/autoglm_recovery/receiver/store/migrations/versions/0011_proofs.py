# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nature of an alert, what a run read of its service, and which class a reading has ruled out."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("alerts", sa.Column("nature", sa.String(length=8), nullable=True))
    op.add_column("runs", sa.Column("verdict", sa.String(length=16), nullable=True))
    op.add_column("runs", sa.Column("said", sa.Text(), nullable=True))
    op.add_column("incidents", sa.Column("ruled_out", sa.String(length=32), nullable=True))
