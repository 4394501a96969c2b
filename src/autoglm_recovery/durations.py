# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations as people write them in Prometheus and Alertmanager: ``500ms``, ``2s``, ``1m30s``, ``2h``, ``1d``."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_WHOLE = re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m(?!s))?(?:(\d{1,9})s)?(?:(\d{1,9})ms)?", re.ASCII)


def parse_duration(value: object) -> timedelta:
    """Read a duration.

    A number without a unit is refused, because nobody can know whether seconds or milliseconds were meant.

    Raises ValueError, which says what was wrong and what would be right.
    """
    if isinstance(value, timedelta):
        return value
    # ValueError throughout, also for a wrong type: it is what pydantic turns into a message about the key.
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise ValueError(f"{value} has no unit; write {value}s for seconds or {value}ms for milliseconds")  # noqa: TRY004
    if not isinstance(value, str):
        raise ValueError(f"a duration is text such as 2s, 500ms or 1m30s, not {type(value).__name__}")  # noqa: TRY004
    match = _WHOLE.fullmatch(value.strip())
    if not match or not any(match.groups()):
        raise ValueError(f"{value!r} is not a duration; write for example 2s, 500ms, 1m30s or 1d")
    milliseconds = sum(int(count) * factor for count, factor in zip(match.groups(), _UNITS.values()) if count)
    try:
        return timedelta(milliseconds=milliseconds)
    except OverflowError as error:
        raise ValueError(f"{value!r} is longer than this program can count") from error


def format_duration(value: timedelta) -> str:
    """Write a duration in the shortest form that ``parse_duration`` and Prometheus read back as the same."""
    left = round(value.total_seconds() * 1000)
    parts = []
    for unit, factor in _UNITS.items():
        count, left = divmod(left, factor)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
