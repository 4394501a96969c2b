# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is the process of this number still the one whose PID file it is? Pure, so that each rule has a line in a table."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from .process import Process, Program

OURS, GONE, ANOTHER, DOUBTFUL = "ours", "gone", "another", "doubtful"

# Between the start of a process and the PID file that it writes lies as much time as it likes; a process that begins
# after its own PID file was written cannot be. Clocks of both are read with this precision.
_SLACK_SECONDS = 1.0
_MAX_PID = 4194304  # the kernel's own limit, PID_MAX_LIMIT


@dataclass(frozen=True)
class PidFile:
    """What was read of the file. written_at: seconds since the epoch.  owner: a user's id."""

    path: str
    pid: int
    written_at: float
    owner: int

    @property
    def mark(self) -> str:
        """What the environment of our own process has, and that of its children; see ownership.MARK."""
        return f"{self.path}:{self.pid}"


@dataclass(frozen=True)
class Identity:
    """One of OURS, GONE, ANOTHER, DOUBTFUL, and why."""

    verdict: str
    reason: str = ""


def parse_pid(text: str) -> int:
    """The number in a PID file's first line; what follows is some programs' own. Raises ValueError."""
    first = text.split("\n", 1)[0].strip()
    if not re.fullmatch(r"[0-9]{1,7}", first) or not 1 < int(first) <= _MAX_PID:
        raise ValueError(f"its first line is {first[:40]!r}, which is no process's number")
    return int(first)


def identify(file: PidFile, process: Process | None, program: Program | None, start_command: Sequence[str]) -> Identity:
    """program: None when it was not looked at, which is enough where the times agree (see needs_program)."""
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
    """The process is younger than the file, so that only what it runs can speak for it."""
    who = f"process {file.pid} ({process.name}) began after the PID file was written"
    if program is None:
        return Identity(DOUBTFUL, f"{who}, and what it runs could not be read")
    if program.mark == file.mark:
        return Identity(OURS)
    if resembles(program, start_command):
        return Identity(DOUBTFUL, f"{who}, and yet it runs this service's program: was the clock set?")
    return Identity(ANOTHER, f"{who}: the number has gone to another program")


def needs_program(file: PidFile, process: Process) -> bool:
    """Do the times leave a doubt that only the program can clear?"""
    return process.began_at > file.written_at + _SLACK_SECONDS


def resembles(program: Program, start_command: Sequence[str]) -> bool:
    """Could this program be what the command became? A wrapper replaces itself by its tail (chroot DIR PROGRAM ...), a
    script is handed to its interpreter (python3 SCRIPT ...)."""
    wanted, found = list(start_command), list(program.argv)
    if not wanted:
        return False
    if program.exe and program.exe == os.path.realpath(wanted[0]):
        return True
    shorter, longer = sorted((wanted, found), key=len)
    return bool(shorter) and longer[-len(shorter) :] == shorter
