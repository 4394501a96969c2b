# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stacks of the threads of a Python process, by py-spy where it is installed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from ..host.command import Runner
from ..host.piece import Piece
from ..host.redaction import redact_text
from ..host.unread import Unread

_PYTHON = re.compile(r"(python|pypy)[0-9.]*(-dbg)?( \(deleted\))?\Z")


def is_python(proc: Path, pid: int) -> bool:
    """Whether a process runs the Python program. An embedded Python is not found: reading a memory map may hang."""
    try:
        return _PYTHON.match(os.path.basename(os.readlink(proc / str(pid) / "exe"))) is not None
    except OSError:
        return False


def dump(pid: int, py_spy: str, run: Runner, timeout: float, known_secrets: Iterable[str] = ()) -> Piece:
    """The stacks of all threads. Raises Unread.

    py-spy first pauses the process for some milliseconds. A process that a signal or a debugger has stopped cannot be
    paused; it is then read without a pause, which may show an inconsistent stack.
    """
    said: list[str] = []
    for more in ([], ["--nonblocking"]):
        argv = [py_spy, "dump", *more, "--pid", str(pid)]
        outcome = run(argv, timeout)
        if not outcome.complaint():
            text = outcome.stdout.decode("utf-8", "replace")
            return Piece(redact_text(text, known_secrets), " ".join(argv), tuple(said))
        if outcome.rc is None and not outcome.problem.endswith(f"{timeout:g} s"):
            raise Unread(outcome.problem)  # not installed: a second attempt would fail in the same way
        said.append(f"{' '.join(argv)}: {_without_backtrace(outcome.complaint())}")
    raise Unread("; ".join(said))


def _without_backtrace(complaint: str) -> str:
    """The message of py-spy, without its own backtrace."""
    return complaint.partition(" Stack backtrace:")[0]
