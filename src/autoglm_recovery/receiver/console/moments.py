# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times for people: UTC, and how long ago."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def moment(seconds: float | None) -> datetime | None:
    """Return a time of the database, in seconds since the epoch; None for a year that ``datetime`` cannot hold."""
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def read_moment(text: str | None) -> datetime | None:
    """Return a time as ``views`` writes it."""
    return datetime.fromisoformat(text) if text else None


def clock(at: datetime) -> str:
    """Write a time, always UTC: people in several time zones look at the same incident."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def rough(seconds: float) -> str:
    """Write a duration with a readable precision; the script of the pages does the same."""
    whole = max(0, int(seconds))
    if whole < 100:
        return f"{whole} s"
    if whole < 100 * 60:
        return f"{whole // 60} min"
    if whole < 48 * 3600:
        return f"{whole // 3600} h"
    return f"{whole // 86400} days"


def ago(at: datetime, now: datetime) -> str:
    """Write how long ago a time was, or how soon it comes."""
    seconds = (now - at).total_seconds()
    return f"{rough(seconds)} ago" if seconds >= 0 else f"in {rough(-seconds)}"


def took(begin: datetime, end: datetime) -> timedelta:
    """Return how long something took, at least zero: the clocks of two machines may differ."""
    return max(timedelta(0), end - begin)
