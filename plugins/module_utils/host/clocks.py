# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Conversion between clocks: orchestrators use wall-clock times, the kernel's log uses seconds since boot."""

from __future__ import annotations

import re
import time
from datetime import datetime, timezone
from pathlib import Path

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)\Z")


def from_monotonic(seconds: float) -> float:
    """Seconds since the epoch, by the clock as it is set now."""
    return time.time() - (time.clock_gettime(time.CLOCK_MONOTONIC) - seconds)


def to_monotonic(epoch: float) -> float:
    """Seconds of the monotonic clock."""
    return time.clock_gettime(time.CLOCK_MONOTONIC) - (time.time() - epoch)


def boot_id(proc: Path = Path("/proc")) -> str | None:
    """The unique id of this boot; None where the kernel has none."""
    try:
        return (proc / "sys/kernel/random/boot_id").read_text("ascii").strip() or None
    except (OSError, ValueError):
        return None


def iso(epoch: float) -> str:
    """The moment, to the millisecond, in UTC (ISO 8601)."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(epoch)) + f".{int(epoch % 1 * 1000):03d}Z"


def iso_second(epoch: float) -> str:
    """The moment, to the second, in UTC (ISO 8601)."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))


def stamp(epoch: float) -> str:
    """The moment in UTC for use in a file's name; such names sort by time."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(epoch))


def in_words(epoch: float) -> str:
    """The moment for people, in UTC; the bare number for a year beyond the calendar, as by a wrong clock."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(epoch))
    except (OverflowError, ValueError, OSError):
        return f"{epoch:.0f}"


def time_of_day(epoch: float) -> str:
    """The time of day for people, in UTC, without the date."""
    return time.strftime("%H:%M:%S UTC", time.gmtime(epoch))


def parse_rfc3339(text: object) -> float | None:
    """Seconds since the epoch; None for an invalid time, and for the year 1, which is Go's "never"."""
    match = _RFC3339.match(text) if isinstance(text, str) else None
    if match is None:
        return None
    whole, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(f"{whole}{'+00:00' if zone == 'Z' else zone}")
    except ValueError:
        return None
    if moment.year < 1970:
        return None
    return moment.astimezone(timezone.utc).timestamp() + float(fraction or 0)
