# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shape for each state, so that colour is not the only sign: paths on a square of 16, and the tone of each."""

from __future__ import annotations

from autoglm_recovery.receiver.values.model import IncidentState, RunState

# escalated: a triangle that points up; held: a diamond; running: one that points right; ended well: a tick.
_TRIANGLE = "M8 1 15.5 14.5H.5Z M7 5.5h2v5H7Z M7 11.7h2v1.6H7Z"
_DIAMOND = "M8 .5 15.5 8 8 15.5.5 8Z M7 4h2v5H7Z M7 10.2h2v1.8H7Z"
_PLAY = "M3 1.5 14.5 8 3 14.5Z"
_TICK = "M1 8.5 3.2 6.3 6.2 9.3 12.8 2.7 15 4.9 6.2 13.7Z"
_CROSS = "M3.6 1.5 8 5.9 12.4 1.5 14.5 3.6 10.1 8 14.5 12.4 12.4 14.5 8 10.1 3.6 14.5 1.5 12.4 5.9 8 1.5 3.6Z"
_RING = "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1Z M8 3.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9Z"
_HOURGLASS = "M2.5 1h11v2.5L9.5 8l4 4.5V15h-11v-2.5l4-4.5-4-4.5Z"
_EYE = "M8 3C4 3 1.5 6 .5 8c1 2 3.5 5 7.5 5s6.5-3 7.5-5C14.5 6 12 3 8 3Z M8 5.5a2.5 2.5 0 1 1 0 5 2.5 2.5 0 0 1 0-5Z"
_BAR = "M1.5 6.5h13v3h-13Z"
_QUESTION = "M5 5a3 3 0 1 1 4.2 2.75C8.6 8 9 8.8 9 10H7c0-2 .3-2.9 1.3-3.7A1 1 0 1 0 7 5Z M7 11.7h2v2H7Z"

SHAPES: dict[str, str] = {
    IncidentState.escalated: _TRIANGLE,
    IncidentState.held: _DIAMOND,
    IncidentState.open: _RING,
    IncidentState.waiting: _HOURGLASS,
    IncidentState.running: _PLAY,
    IncidentState.verifying: _EYE,
    IncidentState.unproven: _QUESTION,
    IncidentState.resolved: _TICK,
    IncidentState.closed: _BAR,
    RunState.launching: _HOURGLASS,
    RunState.succeeded: _TICK,
    RunState.failed: _CROSS,
    RunState.unverified: _QUESTION,
    RunState.lost: _QUESTION,
    RunState.fenced: _BAR,
    RunState.kept_out: _BAR,
    RunState.not_launched: _BAR,
    RunState.cancelled: _BAR,
    "firing": _TRIANGLE,
    "well": _TICK,
    "unwell": _CROSS,
    "stops": _CROSS,
    "passes": _TICK,
    "out": _CROSS,
    "in": _TICK,
    "silent": _CROSS,
    "affected": _RING,
    "paused": "M3 1.5h3.5v13H3Z M9.5 1.5H13v13H9.5Z",
}
