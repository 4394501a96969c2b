# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who was called about an incident, written down before the call: its end may be something that nobody sees."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add the column; receivers of earlier releases write notices without it."""
    op.add_column("notices", sa.Column("attempted", sa.JSON(), nullable=False, server_default="{}"))
