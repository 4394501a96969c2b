# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the lines of one log were written, by whatever clocks they print."""

from __future__ import annotations

from dataclasses import dataclass

from .framing import Framed

# A clock that falls by more than this has begun anew: a reboot, another log, a log that is read backwards.  Nobody sets
# the kernel's own clock back, and its lines overtake each other by less.
_BEGAN_ANEW = {"boot": 5.0}
_SET_BACK = 60.0
_HALF_A_YEAR = 183 * 86400.0
# Dates without a year are counted in a leap year.
_YEAR = 366 * 86400.0


@dataclass(frozen=True)
class LineTime:
    """C(at): seconds, None where no clock has said anything yet.  C(clock): which clock.

    C(apart): nobody knows how long after the line before this one was written.
    """

    at: float | None
    clock: str | None
    apart: bool = False


class Timeline:
    """Follows the clocks of one log.

    Most logs write a date before each line, and the kernel's own clock behind it in the kernel's lines only.  There the
    kernel's clock counts, and the date tells how it went on between its lines, and whether it is of another boot.
    """

    def __init__(self) -> None:
        self._clock: str | None = None
        self._at: float | None = None
        self._printed = 0.0
        self._outer: tuple[float, str] | None = None
        self._date: float | None = None
        self._years = 0.0

    def place(self, framed: Framed) -> LineTime:
        """The time at which a line was written."""
        if framed.clock is None or framed.at is None:
            # What has no clock of its own belongs to the line before it.
            return LineTime(self._at, self._clock)
        if framed.clock == "delta":
            return self._place_after(framed.at)
        value = self._in_its_year(framed.at, framed.clock)
        if self._outer is not None and framed.clock == self._outer[1]:
            return self._place_by_date(value - self._outer[0])
        outer = None
        if framed.outer_at is not None and framed.outer_clock is not None:
            outer = (self._in_its_year(framed.outer_at, framed.outer_clock), framed.outer_clock)
        apart = self._at is not None and (
            framed.clock != self._clock
            or value + _BEGAN_ANEW.get(framed.clock, _SET_BACK) < self._printed
            or value + _SET_BACK < self._at  # the date between was set forward
            or self._of_another_boot(value, outer)
        )
        self._at = self._printed = value
        self._clock, self._outer = framed.clock, outer
        return LineTime(value, framed.clock, apart)

    def _place_after(self, seconds: float) -> LineTime:
        """The time of a line that prints the seconds since the line before."""
        self._clock = self._clock or "delta"
        self._at = (self._at or 0.0) + max(0.0, seconds)
        self._printed = self._at
        return LineTime(self._at, self._clock)

    def _place_by_date(self, gone: float) -> LineTime:
        """A line with a date alone, in a log whose kernel's lines have a clock of their own: so long after the last."""
        self._at = self._printed + max(0.0, gone)
        return LineTime(self._at, self._clock, gone + _SET_BACK < 0)

    def _of_another_boot(self, value: float, outer: tuple[float, str] | None) -> bool:
        """Whether the kernel's clock may have restarted by a reboot and passed its old value, by the log's date."""
        if outer is None or self._outer is None or outer[1] != self._outer[1]:
            return False
        gone = outer[0] - self._outer[0]
        # It was not started anew if it has run for longer than the time that has gone by: then the date was set.
        return gone >= value and gone - (value - self._printed) > _SET_BACK

    def _in_its_year(self, value: float, clock: str) -> float:
        """The date that follows the one before: in January the year is another than in December."""
        if clock != "date":
            return value
        if self._date is not None and value + self._years + _HALF_A_YEAR < self._date:
            self._years += _YEAR
        self._date = value + self._years
        return self._date
