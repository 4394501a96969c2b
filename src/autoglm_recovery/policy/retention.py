# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``retention`` in the policy file: how long the database keeps what is over."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator

from autoglm_recovery.policy.launchers import PositiveDuration
from autoglm_recovery.policy.section import Section

SHORTEST = timedelta(days=1)


def _check_long_enough(value: timedelta) -> timedelta:
    if value < SHORTEST:
        raise ValueError("must be 1d or more: Alertmanager repeats what fires for hours, and people look a day later")
    return value


Kept = Annotated[PositiveDuration, AfterValidator(_check_long_enough)]


class Retention(Section):
    """``incidents`` counts from an incident's end, ``alerts`` from the arrival of one that belongs to no incident.

    With an incident go its alerts, runs, notices and timeline.  One that has not ended is kept, and so is one whose
    alert still fires.
    """

    incidents: Kept = timedelta(days=180)
    alerts: Kept = timedelta(days=14)
