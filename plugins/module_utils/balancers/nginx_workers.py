# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The workers of an nginx: those that serve, and those that only finish their requests."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

from ..host import paths
from ..host.numbers import whole_number
from . import files
from .protocol import BalancerError

# The kernel counts a process's start in ticks of this many seconds, and rounds down.
CLOCK_STEP = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class NginxWorkers:
    """Process number -> when it started, in seconds of the epoch."""

    serving: Mapping[int, float]
    finishing: Mapping[int, float]


def read(pid_file: str) -> NginxWorkers:
    """Look at the children of the master. Raises BalancerError."""
    master = master_of(pid_file)
    serving: dict[int, float] = {}
    finishing: dict[int, float] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            started = _start_of_child(int(name), master)
            title = _process_title(int(name)) if started is not None else ""
        except (OSError, ValueError):  # it has ended meanwhile
            continue
        if started is None or not title.startswith("nginx: worker process"):
            continue
        (finishing if "shutting down" in title else serving)[int(name)] = started
    return NginxWorkers(serving, finishing)


def master_of(pid_file: str) -> int:
    """The process number of the master. Raises BalancerError."""
    try:
        with os.fdopen(paths.open_file(files.real(pid_file)), encoding="ascii") as file:
            master = whole_number(file.read(64).strip())
        # Too large a number for a process counts as none; a number without a process fails below, at /proc.
        title = "" if master is None else _process_title(master)
    except OSError as error:
        kind = "denied" if isinstance(error, (PermissionError, paths.UnsafePath)) else "unreachable"
        raise BalancerError(kind, f"nginx cannot be found by {pid_file}: {error.strerror}") from error
    except ValueError as error:
        raise BalancerError("unreadable", f"{pid_file} holds no process number") from error
    if master is None:
        raise BalancerError("unreadable", f"{pid_file} holds no process number")
    if not title.startswith("nginx: master"):
        raise BalancerError("unreachable", f"process {master} of {pid_file} is no nginx master")
    return master


def _process_title(pid: int) -> str:
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read(256).replace(b"\0", b" ").decode("utf-8", "replace")


def _start_of_child(pid: int, parent: int) -> float | None:
    """When a child of the parent started; None for another process."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        ticks = ticks_of_child(file.read(), parent)
    return None if ticks is None else _boot_time() + ticks * CLOCK_STEP


def ticks_of_child(stat: str, parent: int) -> int | None:
    """Start of a child of the parent in ticks since boot, from its C(/proc/PID/stat); None for another process.

    A process may have brackets and blanks in its name. Raises ValueError for a malformed text.
    """
    fields = stat.rpartition(")")[2].split()
    its_parent, ticks = (whole_number(fields[place]) if len(fields) > place else None for place in (1, 19))
    if its_parent is None or ticks is None:
        raise ValueError("it tells no parent or no start")
    return ticks if its_parent == parent else None


def _boot_time() -> float:
    """The time of boot in seconds of the epoch: at most a little too early, never too late.

    A boot time that is too early makes workers look older, which at worst costs a reload. One that is too late could
    make a change that nginx has not read look as if it were in force.
    """
    return max(time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) for _reading in range(3))
