# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the threads of a Python process are, by py-spy where it is installed."""

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
    """By its program's file alone: the memory map, which would tell of an embedded Python too, may not answer."""
    try:
        return _PYTHON.match(os.path.basename(os.readlink(proc / str(pid) / "exe"))) is not None
    except OSError:
        return False


def dump(pid: int, py_spy: str, run: Runner, timeout: float, known_secrets: Iterable[str] = ()) -> Piece:
    """The stacks of all threads. Raises Unread.

    First with the process held still for some milliseconds. A process that is stopped already, by a signal or a
    debugger, cannot be held; then without, which may show a stack that never was as a whole.
    """
    said: list[str] = []
    for more in ([], ["--nonblocking"]):
        argv = [py_spy, "dump", *more, "--pid", str(pid)]
        outcome = run(argv, timeout)
        if not outcome.complaint():
            text = outcome.stdout.decode("utf-8", "replace")
            return Piece(redact_text(text, known_secrets), " ".join(argv), tuple(said))
        if outcome.rc is None and not outcome.problem.endswith(f"{timeout:g} s"):
            raise Unread(outcome.problem)  # it is not installed: the second attempt would say the same
        said.append(f"{' '.join(argv)}: {_essence(outcome.complaint())}")
    raise Unread("; ".join(said))


def _essence(complaint: str) -> str:
    """What py-spy says, without its own stack."""
    return complaint.partition(" Stack backtrace:")[0]
