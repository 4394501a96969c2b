# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show what a forked process is, where ``/proc`` tells it.

A fork keeps the command line and the environment of its parent in ``/proc/PID``, and with it in ps.  People and the
receiver look there: it finds what a dead supervisor left by the run's directory among those words.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

# Of /proc/PID/stat (proc(5), counted from 1): where the two areas lie.
_ARGUMENTS = (48, 49)
_ENVIRONMENT = (50, 51)


# A variable, and a word, that only leave room for the environments and the command lines of forks.
PADDING = "AUTOGLM_PADDING"
ROOM = "-" * 8192


def set_environment(environment: Mapping[str, str]) -> None:
    """Have these variables and no others, also those that a library has set without Python's knowledge."""
    wanted = dict(environment)  # which may be os.environ
    os.environ.clear()
    ctypes.CDLL(None).clearenv()
    os.environ.update(wanted)


def show(arguments: Iterable[str], environment: Mapping[str, str]) -> None:
    """Write a command line and an environment over those that this process was started with.

    What does not fit is left out; our own variables come first.  The C library must not use the old environment any
    more: ``set_environment`` sees to that.
    """
    fields = Path("/proc/self/stat").read_text("utf-8").rpartition(")")[2].split()
    ordered = sorted(environment, key=lambda name: (not name.startswith("AUTOGLM_"), name))
    _write(fields, _ARGUMENTS, arguments)
    _write(fields, _ENVIRONMENT, (f"{name}={environment[name]}" for name in ordered))


def _write(fields: list[str], place: tuple[int, int], words: Iterable[str]) -> None:
    begin, end = (int(fields[number - 3]) for number in place)
    if not begin or end <= begin:
        return
    # The last byte stays zero: the kernel reads on into the environment where it is not.
    room = end - begin - 1
    content = bytearray()
    for word in words:
        raw = word.encode("utf-8", "surrogateescape") + b"\0"
        if len(content) + len(raw) <= room:
            content += raw
    ctypes.memset(begin, 0, end - begin)
    ctypes.memmove(begin, bytes(content), len(content))
