# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What time it is, for whatever decides: the wall's, or in a backtest the time that is being replayed."""

from __future__ import annotations

import time
from collections.abc import Callable

# Seconds since the epoch, UTC.
Clock = Callable[[], float]


def wall() -> float:
    """Return the time now."""
    return time.time()
