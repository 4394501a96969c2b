# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Maintenance windows: times in which no action is taken on a part of the fleet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from autoglm_recovery.policy.matchers import parse_matchers
from autoglm_recovery.policy.section import Matchers, Section, choices, known

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Day = Annotated[str, known(DAYS), choices(DAYS)]


def _accept_clock(value: object) -> object:
    """Read ``22:00``.  Without quotes YAML makes a number of it, in minutes."""
    if isinstance(value, time):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        raise ValueError(f'YAML reads this as the number {value}; write the time in quotes, as in "22:00"')  # noqa: TRY004
    try:
        return datetime.strptime(str(value), "%H:%M").time()
    except ValueError as error:
        raise ValueError(f'{value!r} is no time of day; write for example "22:00"') from error


def _check_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(f"{value!r} is no time zone; write for example Europe/Berlin or UTC") from error
    return value


Clock = Annotated[
    time, BeforeValidator(_accept_clock), WithJsonSchema({"type": "string", "pattern": r"^\d{1,2}:\d{2}$"})
]


class Weekly(Section):
    """The same hours on the same days of each week.  Where ``to`` is not after ``from``, it is on the next day."""

    days: Annotated[tuple[Day, ...], Field(min_length=1)]
    from_: Clock = Field(alias="from")
    to: Clock

    def end(self, now: datetime) -> datetime | None:
        """Return the end of the window that ``now``, in the window's own time zone, lies in."""
        ends = [self._end_if_begun_on(now, now.date() - timedelta(days=before)) for before in (0, 1)]
        return max((end for end in ends if end is not None), default=None)

    def _end_if_begun_on(self, now: datetime, day: date) -> datetime | None:
        """Return the end of the window that begins on a day, where ``now`` is within it."""
        if DAYS[day.weekday()] not in self.days:
            return None
        begin = datetime.combine(day, self.from_, now.tzinfo)
        last = day if self.to > self.from_ else day + timedelta(days=1)
        end = datetime.combine(last, self.to, now.tzinfo)
        # Compared as moments, not as wall-clock times, which differ on the night when clocks change.
        return end if begin.timestamp() <= now.timestamp() < end.timestamp() else None


class MaintenanceWindow(Section):
    """Hours in which actions wait.

    ``hosts``, ``pools`` and ``match`` say for what; each that is given must fit, and none given means the whole fleet.
    """

    name: Annotated[str, Field(min_length=1, max_length=200)]
    hosts: tuple[str, ...] = ()
    pools: tuple[str, ...] = ()
    match: Matchers | None = None
    start: datetime | None = None
    end: datetime | None = None
    weekly: Weekly | None = None
    timezone: Annotated[str, AfterValidator(_check_zone)] | None = None

    @model_validator(mode="after")
    def _one_kind_of_time(self) -> MaintenanceWindow:
        once = self.start is not None or self.end is not None
        if once == (self.weekly is not None):
            raise ValueError("give either start and end, or weekly")
        if self.weekly is not None and self.timezone is None:
            raise ValueError("give the timezone of weekly, for example Europe/Berlin or UTC")
        if once and (self.start is None or self.end is None):
            raise ValueError("give both start and end")
        if self.timezone is None and any(t is not None and t.tzinfo is None for t in (self.start, self.end)):
            raise ValueError("start and end need an offset, as in 2026-12-01T20:00:00+01:00, or a timezone beside them")
        if once and not self._moment(self.start) < self._moment(self.end):
            raise ValueError("end must come after start")
        return self

    def _moment(self, value: datetime | None) -> float:
        assert value is not None  # noqa: S101 - the validator has refused it
        return (value if value.tzinfo else value.replace(tzinfo=ZoneInfo(self.timezone or "UTC"))).timestamp()

    def covers(self, host: str, pools: Iterable[str], labels: Iterable[Mapping[str, str]]) -> bool:
        """Tell whether the window covers a host, its pools and its alerts, which are given by their labels."""
        if self.hosts and host not in self.hosts:
            return False
        if self.pools and not set(self.pools) & set(pools):
            return False
        if self.match is None:
            return True
        matchers = parse_matchers(self.match)
        return any(all(matcher.matches(each) for matcher in matchers) for each in labels)

    def until(self, now: float) -> float | None:
        """Return when the window that ``now`` lies in ends, or None outside of it."""
        if self.weekly is not None:
            end = self.weekly.end(datetime.fromtimestamp(now, UTC).astimezone(ZoneInfo(self.timezone or "UTC")))
            return None if end is None else end.timestamp()
        return self._moment(self.end) if self._moment(self.start) <= now < self._moment(self.end) else None
