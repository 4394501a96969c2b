# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the process of this number is still the one of its PID file. Pure: each rule has a line in a table."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from .process import Process, Program

OURS, GONE, ANOTHER, DOUBTFUL = "ours", "gone", "another", "doubtful"

# A process may write its PID file at any time after its start, but no process starts after its own PID file was
# written. Both times are read with this precision.
_SLACK_SECONDS = 1.0
_MAX_PID = 4194304  # the kernel's own limit, PID_MAX_LIMIT


@dataclass(frozen=True)
class PidFile:
    """The readings of a PID file. written_at: seconds since the epoch.  owner: a user's id."""

    path: str
    pid: int
    written_at: float
    owner: int

    @property
    def mark(self) -> str:
        """The mark in the environment of the service's processes; see ownership.MARK."""
        return f"{self.path}:{self.pid}"


@dataclass(frozen=True)
class Identity:
    """One of OURS, GONE, ANOTHER, DOUBTFUL, and why."""

    verdict: str
    reason: str = ""


def parse_pid(text: str) -> int:
    """The number in a PID file's first line; some programs write more lines. Raises ValueError."""
    first = text.split("\n", 1)[0].strip()
    if not re.fullmatch(r"[0-9]{1,7}", first) or not 1 < int(first) <= _MAX_PID:
        raise ValueError(f"its first line is {first[:40]!r}, which is no process's number")
    return int(first)


def identify(file: PidFile, process: Process | None, program: Program | None, start_command: Sequence[str]) -> Identity:
    """Identify a process. program: None where it was not read, which suffices if the times agree (needs_program)."""
    if process is None:
        return Identity(GONE, f"process {file.pid} is gone")
    if file.owner not in (0, process.uid):
        return Identity(
            DOUBTFUL,
            f"the PID file belongs to user {file.owner} and process {file.pid} to user {process.uid}: "
            "whoever may write the file could have us end any process",
        )
    return _by_program(file, process, program, start_command) if needs_program(file, process) else Identity(OURS)


def _by_program(file: PidFile, process: Process, program: Program | None, start_command: Sequence[str]) -> Identity:
    """Identify a process that is younger than its file, by its program alone."""
    who = f"process {file.pid} ({process.name}) began after the PID file was written"
    if program is None:
        return Identity(DOUBTFUL, f"{who}, and what it runs could not be read")
    if program.mark == file.mark:
        return Identity(OURS)
    if resembles(program, start_command):
        return Identity(DOUBTFUL, f"{who}, and yet it runs this service's program: was the clock set?")
    return Identity(ANOTHER, f"{who}: the number has gone to another program")


def needs_program(file: PidFile, process: Process) -> bool:
    """Whether the times leave a doubt that only the program can settle."""
    return process.began_at > file.written_at + _SLACK_SECONDS


def resembles(program: Program, start_command: Sequence[str]) -> bool:
    """Whether the start command may have become this program. A wrapper replaces itself by the rest of its arguments
    (chroot DIR PROGRAM ...), and a script by its interpreter (python3 SCRIPT ...)."""
    wanted, found = list(start_command), list(program.argv)
    if not wanted:
        return False
    if program.exe and program.exe == os.path.realpath(wanted[0]):
        return True
    shorter, longer = sorted((wanted, found), key=len)
    return bool(shorter) and longer[-len(shorter) :] == shorter
