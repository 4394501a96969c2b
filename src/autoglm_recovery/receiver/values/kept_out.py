# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that a host's lock kept out, because somebody else was at work there: when one is tried again, and when no more.

Such a run has done nothing, and says nothing of the fault: see the module ``host_lock``.
"""

from __future__ import annotations

from dataclasses import dataclass

# Longer each time: a restart by hand is over in minutes, and each try waits a minute at the host itself.
SHORTEST_PAUSE_S = 15.0
LONGEST_PAUSE_S = 300.0
# Then a person is called.  The longest work of a playbook of ours, a host that drains and starts large models, is over
# by then; whoever holds a host for longer has forgotten it, or is at something that this incident's people should know.
PATIENCE_S = 3600.0


@dataclass(frozen=True)
class KeptOut:
    """The runs of an incident that were kept out one after the other: the last one's holder, and since when.

    ``since`` is when the first of them was begun, ``last_at`` when the last has ended.
    """

    host: str
    holder: str
    times: int
    since: float
    last_at: float

    @property
    def pause_s(self) -> float:
        """Return how long is waited after the last one."""
        return float(min(LONGEST_PAUSE_S, SHORTEST_PAUSE_S * 2 ** min(self.times - 1, 10)))

    @property
    def until(self) -> float:
        """Return when the next one is due."""
        return self.last_at + self.pause_s

    def said(self) -> str:
        """Say who is at work there, and when it is tried again."""
        return f"{self.host} is held by {self.holder}, tried again in {self.pause_s:g} s"

    def too_long(self, now: float) -> str | None:
        """Say why a person has to look, or None as long as it may be tried again."""
        if now - self.since < PATIENCE_S:
            return None
        tried = f"{self.times} runs were kept out in {(now - self.since) / 60:.0f} minutes"
        return f"{self.host} is held by {self.holder}, and nothing was done: {tried}; see who is at work there"
