# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts of each kernel fault, and when it was last seen.  Counts only grow, and survive a restart."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autoglm_recovery.exporter.alerts import SERIES

# A limit, so that a kernel with ever new addresses cannot fill the memory of the node and of Prometheus.
MOST_SERIES = 2000


@dataclass(frozen=True)
class FaultCount:
    """How often a fault was seen, and when last."""

    count: int
    last: float


class FaultLedger:
    """Counts faults by the labels of their series.  Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: dict[tuple[str, ...], FaultCount] = {}
        self.dropped = 0

    def add(self, labels: Mapping[str, str], at: float) -> bool:
        """Count a fault.  Return whether there was room for it."""
        key = tuple(labels.get(name, "") for name in SERIES)
        with self._lock:
            before = self._faults.get(key)
            if before is None and len(self._faults) >= MOST_SERIES:
                self.dropped += 1
                return False
            self._faults[key] = (
                FaultCount(1, at) if before is None else FaultCount(before.count + 1, max(before.last, at))
            )
        return True

    def rows(self) -> list[tuple[dict[str, str], FaultCount]]:
        """Return all faults, in a stable order."""
        with self._lock:
            faults = sorted(self._faults.items())
        return [(dict(zip(SERIES, key)), seen) for key, seen in faults]

    def dump(self) -> list[dict[str, Any]]:
        """Return the faults for the state file."""
        return [
            {"labels": {name: value for name, value in labels.items() if value}, "count": seen.count, "last": seen.last}
            for labels, seen in self.rows()
        ]

    def restore(self, stored: object) -> None:
        """Take over the valid entries of a state file."""
        for entry in stored if isinstance(stored, list) else []:
            if not isinstance(entry, dict):
                continue
            labels, count, last = entry.get("labels"), entry.get("count"), entry.get("last")
            if (
                not isinstance(labels, dict)
                or type(count) is not int
                or count < 1
                or (seen := _finite_or_none(last)) is None
            ):
                continue
            key = tuple(str(labels.get(name, "")) for name in SERIES)
            if any(key) and len(self._faults) < MOST_SERIES:
                self._faults[key] = FaultCount(count, seen)


def _finite_or_none(value: Any) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= 1e300:
        return float(value)
    return None
