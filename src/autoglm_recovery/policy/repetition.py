# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done about failures that come again and again: alerts that flap, and GPUs that have had enough."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field, model_validator

from autoglm_recovery.policy.launchers import PositiveDuration
from autoglm_recovery.policy.section import Duration, Section


class Flapping(Section):
    """An alert that fires ``times`` times within ``window`` is flapping.

    Each action on it then waits ``delay`` first, twice as long with each time more; from ``person_at`` times on a
    person is called instead.
    """

    times: int = Field(default=3, ge=2, le=1000)
    window: PositiveDuration = timedelta(minutes=15)
    delay: Duration = timedelta(seconds=30)
    person_at: int = Field(default=8, ge=2, le=1000)

    @model_validator(mode="after")
    def _slower_before_a_person(self) -> Flapping:
        if self.person_at < self.times:
            raise ValueError(f"person_at ({self.person_at}) must not be below times ({self.times})")
        return self

    def pause(self, fired: int) -> timedelta:
        """Return how long an action waits on an alert that has fired so many times within the window."""
        if fired < self.times:
            return timedelta(0)
        return self.delay * (1 << min(fired - self.times, 10))


class GpuMemory(Section):
    """An action on hardware that was run ``attempts`` times for one GPU within ``within`` is not tried on it again."""

    attempts: int = Field(default=2, ge=1, le=1000)
    within: PositiveDuration = timedelta(hours=24)
