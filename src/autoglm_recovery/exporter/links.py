# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NVLink's counters take many calls for each GPU and change slowly: they are read at intervals, and kept in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from autoglm_recovery.knowledge.gpu.reading.groups import PLAN

_EVERY = 10.0
_GROUP = "nvlink.read:counters"
_VALUE = "nvlink_counters"


@dataclass
class LinkCounters:
    """Decides when to read the counters, and completes the snapshots in between."""

    clock: Callable[[], float] = time.monotonic
    _asked_at: float = float("-inf")
    _kept: dict[str, Any] = field(default_factory=dict)

    def plan(self) -> tuple[str, ...]:
        """Return the groups of values that the next snapshot reads."""
        if self.clock() - self._asked_at < _EVERY:
            return PLAN
        self._asked_at = self.clock()
        self._kept = {}
        return (*PLAN, _GROUP)

    def complete(self, snapshot: dict[str, Any]) -> Mapping[str, Any]:
        """Put the kept counters into a snapshot that did not read them, for GPUs that answer."""
        for device in snapshot["gpus"]:
            values = device["values"]
            uuid = values.get("uuid")
            if values.get(_VALUE) is not None and uuid:
                self._kept[uuid] = values[_VALUE]
            elif _VALUE not in values and device["state"] == "read":
                values[_VALUE] = self._kept.get(uuid)
        return snapshot
