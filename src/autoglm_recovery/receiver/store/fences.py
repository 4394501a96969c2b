# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give fencing tokens.  Every function works in its caller's transaction.

A token is the database's time in microseconds, or one more than the last one where that is higher.  Within a database
tokens grow whatever its clock does.  Over databases - one was lost and made anew, restored from a backup, copied, or
there are two for the same hosts - they grow with the clock.  Where a clock went backwards, a host that has seen a
higher token refuses, and says which; from then on the tokens for this host are above it (``raise_to``).
"""

from __future__ import annotations

import sqlalchemy as sa

from autoglm_recovery.knowledge.fencing.mark import HIGHEST
from autoglm_recovery.receiver.store.schema import fence_floors, fencing


def give(connection: sa.Connection, clock: sa.ColumnElement[float], host: str) -> int:
    """Return a fencing token for a run on a host, higher than all that this database has given for it before."""
    time = sa.cast(sa.select(clock * 1_000_000).scalar_subquery(), sa.BigInteger)
    now = int(connection.execute(sa.select(time)).scalar_one())
    following = sa.case((fencing.c.last >= now, fencing.c.last + 1), else_=now)
    token = int(connection.execute(fencing.update().values(last=following).returning(fencing.c.last)).scalar_one())
    # What a host has said raises its own tokens alone: no host can move those of the others.
    above = fence_floors.update().where(fence_floors.c.host == host, fence_floors.c.floor >= token)
    raised = connection.execute(above.values(floor=fence_floors.c.floor + 1).returning(fence_floors.c.floor)).scalar()
    return token if raised is None else int(raised)


def raise_to(connection: sa.Connection, host: str, mark: int) -> bool:
    """Have the next token for a host be above a mark that it has; return whether the mark is one.

    A host that answers with nonsense gets no token for it.
    """
    if not 1 <= mark < HIGHEST:
        return False
    known = connection.execute(sa.select(fence_floors.c.floor).where(fence_floors.c.host == host)).scalar()
    if known is None:
        connection.execute(fence_floors.insert().values(host=host, floor=mark))
    elif known < mark:
        connection.execute(fence_floors.update().where(fence_floors.c.host == host).values(floor=mark))
    return True
