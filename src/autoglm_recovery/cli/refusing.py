# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a command ends that cannot do what it is asked for: with a sentence in which no secret stands.

With ``--json`` the sentence is in an object on standard error, so that a program reads why: what it reads of standard
output is an answer, or nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, NoReturn

import typer

from autoglm_recovery.cli.exit_codes import ExitCode, of_error
from autoglm_recovery.knowledge.host.redaction import redact_text

_FOR_A_PROGRAM = ContextVar("for_a_program", default=False)


def speak_to(arguments: Sequence[str]) -> bool:
    """Take from the command line whether a program reads, and return it; also of one that cannot be parsed."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    _FOR_A_PROGRAM.set("--json" in options)
    return _FOR_A_PROGRAM.get()


def refuse(why: object, code: ExitCode | None = None) -> NoReturn:
    """End with a clear sentence, and the exit code that belongs to the error.

    What others said is in it - a database, Ansible about an inventory - and goes where the terminal and the journal go.
    """
    if code is None:
        code = of_error(why) if isinstance(why, BaseException) else ExitCode.no
    tell(str(why), code, problems=getattr(why, "problems", ()))
    raise typer.Exit(code) from (why if isinstance(why, BaseException) else None)


def cannot_ask(why: object) -> NoReturn:
    """End where nobody answered, so that nothing is known."""
    refuse(why, ExitCode.unasked)


def tell(message: str, code: ExitCode, problems: Sequence[Any] = ()) -> None:
    """Write an error to standard error."""
    clean = redact_text(message)
    if _FOR_A_PROGRAM.get():
        error: dict[str, Any] = {"kind": code.kind, "exit_code": int(code), "message": clean}
        if problems:
            error["problems"] = [{key: _clean(value) for key, value in vars(each).items()} for each in problems]
        clean = json.dumps({"error": error})
    typer.echo(clean, err=True)


def _clean(value: object) -> object:
    return redact_text(value) if isinstance(value, str) else value
