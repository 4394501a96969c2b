# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What deliveries said about alerts: one delivery about one alert, and the latest about all alerts of an incident."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

# What became of an alert that Alertmanager lacks, and whose end it did not deliver; see observe/absence_watch.py.
ABSENT = "absent"


class Nature(StrEnum):
    """What the end of an alert tells, and what its firing does; an alert of no known nature takes the worst of both."""

    state = "state"
    event = "event"
    sticky = "sticky"


@dataclass(frozen=True)
class AlertDelivery:
    """One delivery about an alert, in the order of commits.  ``counts`` is false where it was not acted on."""

    number: int
    status: str
    starts_at: float
    ends_at: float | None
    committed_at: float
    stream: tuple[str, str]
    counts: bool = True


@dataclass(frozen=True)
class IncidentAlerts:
    """The latest news of each alert of an incident, taken together.

    ``fired_at`` is when the newest of those that fire was committed, ``denied_at`` the same of those that would not
    fire if the fault were over; None where there is none.  ``began_at`` is when the newest of the other ones that fire
    began: its sender says when, and it is no later than when it was committed, whatever the sender's clock.  ``hides``
    is true where one fires that would fire on, without a word, if the same happened again: with its incident ended,
    nobody would act.  ``ended_at`` is when the last end of a state was committed, if there is one and every state is
    told to have ended; ``told_at`` when anything was.
    """

    fired_at: float | None
    denied_at: float | None
    began_at: float | None
    hides: bool
    ended_at: float | None
    told_at: float

    @property
    def fires(self) -> bool:
        """Tell whether any fires."""
        return self.fired_at is not None

    @property
    def denies(self) -> bool:
        """Tell whether one fires that would not if the fault were over."""
        return self.denied_at is not None


def taken_together(rows: Iterable[Any]) -> IncidentAlerts:
    """Return what the latest news of each alert says: rows with ``status``, ``nature``, ``outcome``, ``starts_at``
    and ``committed_at``.

    Where the end of one is not known but for its absence, the ends of the others do not speak for it.
    """
    latest = list(rows)
    firing = [row for row in latest if row.status == "firing"]
    told = [row for row in latest if row.outcome != ABSENT]
    ends = [row.committed_at for row in told if row.status == "resolved" and row.nature == Nature.state]
    denying = [row for row in firing if row.nature not in (Nature.event, Nature.sticky)]
    others = [row for row in firing if row.nature in (Nature.event, Nature.sticky)]
    untold = any(row.outcome == ABSENT and row.nature not in (Nature.event, Nature.sticky) for row in latest)
    return IncidentAlerts(
        fired_at=max((row.committed_at for row in firing), default=None),
        denied_at=max((row.committed_at for row in denying), default=None),
        began_at=max((min(row.starts_at, row.committed_at) for row in others), default=None),
        hides=any(row.nature not in (Nature.state, Nature.sticky) for row in firing),
        ended_at=None if denying or untold or not ends else max(ends),
        told_at=max((row.committed_at for row in latest), default=0.0),
    )
