# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was seen of one service: the input of the verdict, and nothing else is."""

from __future__ import annotations

from dataclasses import dataclass

from ..engines.protocol import Generation, Reading, Stats


@dataclass(frozen=True)
class UnitState:
    """The systemd unit as it was read. C(readable) False: nothing below it is known, and C(reason) says why.

    oom: was the end of the last main process the OOM killer's work; None where the kernel's log was not readable.
    process_state: the letter of /proc/PID/stat (T: stopped by a signal), or None without a process.
    running_seconds: age of the main process.
    """

    name: str
    readable: bool
    reason: str = ""
    exists: bool = False
    active_state: str = ""
    sub_state: str = ""
    result: str = ""
    main_pid: int | None = None
    process_state: str | None = None
    running_seconds: float | None = None
    last_end: str = ""
    oom: bool | None = None
    oom_evidence: tuple[str, ...] = ()

    @property
    def process_gone(self) -> bool:
        """Read, and there is no main process (or only its zombie).

        An active unit without a main process is one whose main process systemd does not know (Type=forking).
        """
        if not self.readable:
            return False
        if self.main_pid is None:
            return self.active_state not in ("active", "reloading")
        return self.process_state in ("Z", "X")


@dataclass(frozen=True)
class Observations:
    """One look at one service.

    unit: None when no unit was named.  generated: None when no completion was asked for; its C(value) is True only
    for a proven completion, False for an answer that is none, None for no answer.
    """

    live: Reading
    ready: Reading
    stats: Stats
    generated: Reading | None = None
    generation: Generation | None = None
    unit: UnitState | None = None
