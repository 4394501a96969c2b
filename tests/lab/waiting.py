# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait for a condition with a deadline, and say what was waited for when it does not come."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from .errors import LabError

T = TypeVar("T")


def wait_for(what: str, condition: Callable[[], T | None], seconds: float, every: float = 0.2) -> T:
    """Return the first true answer of ``condition``. Exceptions of the network count as "not yet"."""
    deadline = time.monotonic() + seconds
    last: object = None
    while True:
        try:
            last = answer = condition()
        except (OSError, LabError, ValueError) as error:
            last, answer = error, None
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise LabError(f"waited {seconds:.0f} s for {what}, in vain (last seen: {last!r})")
        time.sleep(every)
