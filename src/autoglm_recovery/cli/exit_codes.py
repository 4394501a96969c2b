# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the exit code of a command says: one table for the help, the man page and docs/operations.md."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from enum import IntEnum


class ExitCode(IntEnum):
    """``no`` is an answer; ``unasked`` is none, and nobody knows what it would have been."""

    done = 0
    no = 1
    usage = 2
    unasked = 3
    broken = 4
    interrupted = 130
    unheard = 141

    @property
    def kind(self) -> str:
        """Return its name in an error that is printed for a program."""
        return self.name


MEANING = {
    ExitCode.done: "Done, or the answer is yes.",
    ExitCode.no: "The answer is no: refused, mistakes were found, something is wrong, or there is no such thing.",
    ExitCode.usage: "Wrong usage: the command line or a configuration file of the command makes no sense.",
    ExitCode.unasked: "Could not ask: a file, the receiver, Prometheus, a database or Ansible did not answer, or did "
    "not know who asks. What the answer is, nobody knows; asking again later may help.",
    ExitCode.broken: "A mistake in autoglm itself, with a traceback. Please report it.",
    ExitCode.interrupted: "Ended by Ctrl-C.",
    ExitCode.unheard: "Whoever read the output has gone, as in a pipe into head.",
}

# Answers of HTTP that are no answer to the question: who asks is not known, or it is to be asked again.
_NO_ANSWER = frozenset({401, 407, 408, 421, 425, 429})


def of_error(error: BaseException) -> ExitCode:
    """Tell "no" from "could not ask" by what an error came of."""
    return ExitCode.unasked if any(map(_kept_from_asking, _causes(error))) else ExitCode.no


def of_status(status: int) -> ExitCode:
    """Return what an answer over HTTP that is an error comes to."""
    return ExitCode.no if 400 <= status < 500 and status not in _NO_ANSWER else ExitCode.unasked


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _kept_from_asking(error: BaseException) -> bool:
    import sqlite3  # noqa: PLC0415 - a command that does what it is asked needs none of these

    import httpx  # noqa: PLC0415
    from sqlalchemy import exc  # noqa: PLC0415

    from autoglm_recovery.receiver.fleet.ansible import AnsibleError  # noqa: PLC0415

    # Somebody else holds it, it is there already, or it is no certificate: these are answers.
    if isinstance(error, BlockingIOError | FileExistsError | ssl.SSLError):
        return False
    return isinstance(
        error,
        OSError
        | subprocess.SubprocessError
        | httpx.HTTPError
        | exc.InterfaceError
        | exc.OperationalError
        | sqlite3.OperationalError
        | AnsibleError,
    )
