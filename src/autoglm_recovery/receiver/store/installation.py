# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tells this database's receivers from those of another one, for places where both leave their mark."""

from __future__ import annotations

import sqlalchemy as sa

from autoglm_recovery.receiver.store.schema import installation


def name(connection: sa.Connection) -> str:
    """Return the name that the database was given when its schema was made."""
    return str(connection.execute(sa.select(installation.c.name)).scalar_one())
