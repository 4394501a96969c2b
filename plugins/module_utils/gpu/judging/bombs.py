# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Known driver bugs that a long uptime alone triggers, reported before they occur. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .findings import GpuFinding, warning

_DAY = 86400.0
# Said from this share of the time on, so that a reboot can be planned.
_EARLY = 0.9


@dataclass(frozen=True)
class Bomb:
    """drivers: versions, or beginnings of versions that end in a dot. names: parts of the GPUs' names; empty: all."""

    drivers: tuple[str, ...]
    names: tuple[str, ...]
    uptime: float
    what: str
    source: str


BOMBS = (
    Bomb(
        ("570.133.20",),
        ("B200",),
        66.5 * _DAY,
        "nvidia-smi and NVML hang after about 66 days and 12 hours of uptime",
        "NVIDIA/open-gpu-kernel-modules#971",
    ),
)


def judge_bombs(snapshot: Mapping[str, Any]) -> Iterator[GpuFinding]:
    uptime = snapshot["host"]["uptime_seconds"]["value"]
    driver = snapshot["nvml"]["values"].get("driver_version") or snapshot["host"]["kernel_driver"]["value"]
    names = [gpu["values"].get("name") for gpu in snapshot["gpus"]]
    if uptime is None or driver is None:
        return
    for bomb in BOMBS:
        if not any(driver == one or (one.endswith(".") and driver.startswith(one)) for one in bomb.drivers):
            continue
        # A GPU that has not told its name may be one of them.
        if not _affects(bomb, names) or uptime < _EARLY * bomb.uptime:
            continue
        yield warning(f"driver {driver}, up {uptime / _DAY:.1f} days: {bomb.what} ({bomb.source}); plan a reboot")


def _affects(bomb: Bomb, names: list[str | None]) -> bool:
    if not bomb.names or not names:
        return True
    return any(name is None or any(part in name for part in bomb.names) for name in names)
