# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``monitoring.receiver`` in the policy file: when the receiver says of itself that alerts do not get through."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import model_validator

from autoglm_recovery.policy.launchers import PositiveDuration
from autoglm_recovery.policy.section import Section


class OwnWatch(Section):
    """After how long each of these is told to people, by the routes of ``notify``.

    ``watchdog`` counts from the last Watchdog, or from the receiver's start where that is later; where none was ever
    heard, ``grace`` counts from the start.  ``watchdog`` is None (in the file, ``false``) where nobody sends one.
    """

    watchdog: PositiveDuration | None = timedelta(minutes=5)
    grace: PositiveDuration = timedelta(minutes=15)
    unreachable: PositiveDuration = timedelta(minutes=2)
    stuck: PositiveDuration = timedelta(minutes=1)

    @model_validator(mode="before")
    @classmethod
    def _no_watchdog(cls, data: Any) -> Any:
        """Accept ``watchdog: false``."""
        if isinstance(data, dict) and data.get("watchdog") is False:
            return {**data, "watchdog": None}
        return data
