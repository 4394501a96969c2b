# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The observations of one service, which are the only input of the verdict."""

from __future__ import annotations

from dataclasses import dataclass

from ..engines.protocol import Generation, Reading, Stats
from ..services.protocol import Status
from .motion import NOT_ASKED, Motion


@dataclass(frozen=True)
class Observations:
    """The observations of one service.

    service: None where no unit, container or PID file was named.  generated: None where no completion was requested;
    its C(value) is True only for a proven completion, False for an answer that proves none, None for no answer.
    motion: whether the counters show progress.
    """

    live: Reading
    ready: Reading
    stats: Stats
    generated: Reading | None = None
    generation: Generation | None = None
    service: Status | None = None
    motion: Motion = NOT_ASKED
