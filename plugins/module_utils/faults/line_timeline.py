# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the lines of one log were written, by whatever clocks they print."""

from __future__ import annotations

from dataclasses import dataclass

from .line_framing import Framed

# A clock that falls by more than this has begun anew: a reboot, another log, a log that is read backwards.
_BEGAN_ANEW = 60.0
_HALF_A_YEAR = 183 * 86400.0
# Dates without a year are counted in a leap year.
_YEAR = 366 * 86400.0


@dataclass(frozen=True)
class Moment:
    """C(at): seconds, None where no clock has said anything yet.  C(clock): which clock.

    C(apart): nobody knows how long after the line before this one was written.
    """

    at: float | None
    clock: str | None
    apart: bool = False


class Timeline:
    """Follows the clocks of one log."""

    def __init__(self) -> None:
        self._clock: str | None = None
        self._at: float | None = None
        self._years = 0.0

    def place(self, framed: Framed) -> Moment:
        """Say when a line was written."""
        if framed.clock is None or framed.at is None:
            # What has no clock of its own belongs to the line before it.
            return Moment(self._at, self._clock)
        if framed.clock == "delta":
            return self._after(framed.at)
        value = framed.at
        if framed.clock == "date":
            value = self._in_its_year(value)
        before, self._at = self._at, value
        other, self._clock = framed.clock != self._clock, framed.clock
        return Moment(value, framed.clock, before is not None and (other or value + _BEGAN_ANEW < before))

    def _after(self, seconds: float) -> Moment:
        """A line that tells how long it was since the one before."""
        self._clock = self._clock or "delta"
        self._at = (self._at or 0.0) + max(0.0, seconds)
        return Moment(self._at, self._clock)

    def _in_its_year(self, value: float) -> float:
        """The date that follows the one before: in January the year is another than in December."""
        if self._at is None or self._clock != "date":
            self._years = 0.0
        elif value + self._years + _HALF_A_YEAR < self._at:
            self._years += _YEAR
        return value + self._years
