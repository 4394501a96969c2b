# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recent lines of the kernel's log about GPUs: a witness beside the driver and the live counters."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...faults.arbitration.by_catalogue import about_gpus
from ...faults.lines.reading import parse_line
from ...host import kernel_log
from ...host.command import Runner, run
from ...host.unread import Unread


@dataclass(frozen=True)
class KernelSeen:
    """events: newest last, each with C(age_seconds) (null where the log does not tell). error: why there are none."""

    events: tuple[dict[str, Any], ...] = ()
    source: str = ""
    error: str | None = None


def recent(window: float, run_command: Runner = run, timeout: float = 10.0, now: float | None = None) -> KernelSeen:
    """The faults of the last C(window) seconds: a repaired fault must not count against a GPU for ever."""
    try:
        log = kernel_log.read(run_command, timeout)
    except Unread as error:
        return KernelSeen(error=str(error))
    at = time.clock_gettime(time.CLOCK_MONOTONIC) if now is None else now
    return KernelSeen(tuple(_recent_events(log.lines, window, at)), log.source)


def _recent_events(lines: Sequence[kernel_log.KernelLine], window: float, now: float) -> Iterator[dict[str, Any]]:
    for line in lines:
        age = None if line.at is None else now - line.at
        if age is not None and age > window:
            continue
        event = parse_line(line.text)
        if about_gpus(event) and event.get("is_new_fault") is not False:
            yield {**event, "age_seconds": None if age is None else round(age, 3)}


def of_gpu(events: Sequence[Mapping[str, Any]], pci: str | None) -> list[Mapping[str, Any]]:
    """The events that name this GPU. The driver prints addresses without a function."""
    return [event for event in events if pci and _is_same_gpu(event.get("pci"), pci)]


def of_nobody(events: Sequence[Mapping[str, Any]], known: Sequence[str | None]) -> list[Mapping[str, Any]]:
    """The events that name no GPU of NVML's list."""
    return [event for event in events if not any(pci and _is_same_gpu(event.get("pci"), pci) for pci in known)]


def _is_same_gpu(logged: str | None, pci: str) -> bool:
    return logged is not None and logged.partition(".")[0] == pci.partition(".")[0]
