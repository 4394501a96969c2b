# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that outlive what started them: supervisors, and Ansible's workers, which are in sessions of their own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import psutil


def end_processes_of(directory: Path) -> None:
    """Kill each process that has a directory of a test's in its command line."""
    mark = str(directory)
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and any(mark in word for word in process.cmdline()):
                process.kill()


def carrying(variable: str) -> Iterator[tuple[psutil.Process, str]]:
    """Return each process that was started with a variable of the environment, and its value there.

    So is found what has left its parent, its session and its process group.
    """
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            value = process.environ().get(variable)
            if value is not None:
                yield process, value
