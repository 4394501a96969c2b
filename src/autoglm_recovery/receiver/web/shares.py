# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""So much at once, of which nobody has more than a share, whatever he asks for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager


class FairSlots:
    """Places for work that is large.  Who finds none waits in a line of his own, and then with the first of the others.

    ``who`` is a name out of the access file, so that there are few.
    """

    def __init__(self, most: int, most_each: int) -> None:
        """Have so many places, and so many for each."""
        self._all = asyncio.Semaphore(most)
        self._most_each = most_each
        self._each: dict[str, asyncio.Semaphore] = {}

    @asynccontextmanager
    async def place(self, who: str, within_s: float) -> AsyncIterator[None]:
        """Have a place until the block ends.

        Raises TimeoutError if none has become free in time.
        """
        own = self._each.setdefault(who, asyncio.Semaphore(self._most_each))
        async with AsyncExitStack() as held:
            async with asyncio.timeout(within_s):
                await held.enter_async_context(own)
                await held.enter_async_context(self._all)
            yield
