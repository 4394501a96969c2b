# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The alert that always fires: it proves the way here, and that Prometheus was not away."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class WatchdogStretch:
    """The newest stretch of time in which the Watchdog was told of as firing, without a gap: ``since`` and ``at`` are
    of its first and its last delivery."""

    since: float = math.inf
    at: float = 0.0


# As if it had been heard all the time.
ALWAYS_HEARD = WatchdogStretch(0.0, math.inf)


def is_watchdog(labels: Mapping[str, str]) -> bool:
    """Tell whether this is the alert that always fires: it proves the way here and says nothing about the fleet."""
    return labels.get("alertname") == "Watchdog" and "failure_class" not in labels
