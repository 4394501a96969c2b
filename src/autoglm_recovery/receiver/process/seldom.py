# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits how often the log repeats an event that outsiders can cause, so that nobody can fill the disk with it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable

# An event is logged again after this long, with the number of times that it happened meanwhile.
TELL_EVERY_S = 60.0
# At most so many different events are logged in that time, whoever causes them.
MOST_REMEMBERED = 256


class OncePerMinute:
    """Decides which events are logged: each one at most once a minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Remember nothing yet."""
        self._clock = clock
        # For each event: when it was last logged, and how often it happened since.
        self._told: dict[Hashable, tuple[float, int]] = {}

    def unsaid(self, what: Hashable) -> int | None:
        """Count an event; if it is to be logged now, return how often it was not logged since the last time."""
        now = self._clock()
        told, unsaid = self._told.get(what, (None, 0))
        if told is not None and now - told < TELL_EVERY_S:
            self._told[what] = (told, unsaid + 1)
            return None
        if told is None and len(self._told) >= MOST_REMEMBERED:
            self._told = {key: value for key, value in self._told.items() if now - value[0] < TELL_EVERY_S}
            if len(self._told) >= MOST_REMEMBERED:
                return None
        self._told[what] = (now, 0)
        return unsaid


class OncePerMinuteFilter(logging.Filter):
    """Lets a library's message through once a minute, whatever it was about."""

    def __init__(self) -> None:
        super().__init__()
        self._seldom = OncePerMinute()

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether to log it."""
        # asyncio names the connection from the second line on.
        message = str(record.msg).partition("\n")[0][:200]
        wrong = type(record.exc_info[1]).__name__ if record.exc_info else ""
        unsaid = self._seldom.unsaid((record.name, message, wrong))
        if unsaid:
            record.msg = f"{record.msg} ({unsaid} more since this was last told)"
        return unsaid is not None


def tell_seldom(*names: str) -> None:
    """Have libraries' loggers log each message at most once a minute."""
    for name in names:
        logger = logging.getLogger(name)
        if not any(isinstance(each, OncePerMinuteFilter) for each in logger.filters):
            logger.addFilter(OncePerMinuteFilter())
