# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations and moments as options."""

from __future__ import annotations

from datetime import datetime

import typer

from autoglm_recovery.policy.durations import parse_duration


def duration(value: str, option: str) -> float:
    """Read a duration such as 30s, in seconds; wrong usage if it is none."""
    try:
        return parse_duration(value).total_seconds()
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def moment(value: str, option: str) -> float:
    """Read a moment as ISO 8601 with its offset from UTC, in seconds since the epoch; wrong usage if it is none."""
    try:
        read = datetime.fromisoformat(value)
    except ValueError as error:
        raise typer.BadParameter(f"{value!r} is no moment; write 2026-11-24T08:00:00Z", param_hint=option) from error
    if read.tzinfo is None:
        raise typer.BadParameter(f"{value!r} has no offset from UTC; add Z, or for example +01:00", param_hint=option)
    return read.timestamp()
