# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tokens that hosts have seen from elsewhere, and a name for each run that no other database gives."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Begin with no floors; runs of before have no key."""
    op.create_table(
        "fence_floors",
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("floor", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("host"),
    )
    op.add_column("runs", sa.Column("key", sa.String(length=32), nullable=False, server_default=""))
    op.add_column("runs", sa.Column("refused", sa.Text(), nullable=True))
