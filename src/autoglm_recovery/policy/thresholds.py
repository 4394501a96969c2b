# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``monitoring.thresholds`` in the policy file: from when on what is measured is too much."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from autoglm_recovery.policy.launchers import PositiveDuration
from autoglm_recovery.policy.section import Duration, Section

_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,3})?)%", re.ASCII)


def _accept_percent(value: object) -> object:
    """Accept ``85%``; a bare number could be a share of one or of a hundred."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        meant = value * 100 if isinstance(value, float) and value <= 1 else value
        raise ValueError(f"{value} has no unit; write {meant:g}%")  # noqa: TRY004 - pydantic reports only this one
    found = _PERCENT.fullmatch(str(value))
    if not found or not 0 < float(found[1]) <= 100:
        raise ValueError(f"{value!r} is no share; write for example 85%, above 0% and up to 100%")
    return value


Percent = Annotated[
    str,
    BeforeValidator(_accept_percent),
    WithJsonSchema({"type": "string", "pattern": r"^\d{1,3}(\.\d{1,3})?%$", "examples": ["85%", "97.5%"]}),
]


def ratio(percent: str) -> float:
    """Return ``85%`` as 0.85."""
    return round(float(percent.removesuffix("%")) / 100, 5)


def _alone(value: object) -> object:
    """A value in place of the mapping is what it must be above."""
    return {"above": value} if isinstance(value, (str, int, float)) and not isinstance(value, bool) else value


class CpuThreshold(Section):
    """All CPUs of a host together."""

    above: Percent = "85%"
    lasts: PositiveDuration = timedelta(minutes=2)


class MemoryThreshold(Section):
    """A host's main memory, without what the kernel would give back."""

    above: Percent = "90%"
    lasts: PositiveDuration = timedelta(minutes=2)


class LatencyThreshold(Section):
    """The time within which 95 of 100 requests had their first token, or were answered whole."""

    of: Literal["first_token", "request"] = "first_token"
    above: PositiveDuration = timedelta(milliseconds=500)
    lasts: PositiveDuration = timedelta(minutes=2)


class QueueThreshold(Section):
    """Requests that wait in an engine: more than ``above``, and more and more."""

    above: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    lasts: PositiveDuration = timedelta(minutes=2)


class GpuMemoryThreshold(Section):
    """The memory of a GPU, while requests of the service on it fail."""

    above: Percent = "98%"
    lasts: PositiveDuration = timedelta(seconds=30)


class Thresholds(Section):
    """By the names of ``monitoring.metrics``; what is not named there is not watched, whatever is said here."""

    cpu_load: Annotated[CpuThreshold, BeforeValidator(_alone, Percent | CpuThreshold)] = CpuThreshold()
    gpu_memory: Annotated[GpuMemoryThreshold, BeforeValidator(_alone, Percent | GpuMemoryThreshold)] = (
        GpuMemoryThreshold()
    )
    latency: Annotated[LatencyThreshold, BeforeValidator(_alone, Duration | LatencyThreshold)] = LatencyThreshold()
    memory: Annotated[MemoryThreshold, BeforeValidator(_alone, Percent | MemoryThreshold)] = MemoryThreshold()
    request_queue: Annotated[QueueThreshold, BeforeValidator(_alone, int | QueueThreshold)] = QueueThreshold()
