# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command as a whole: every way in which it ends has the exit code that the table says."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import typer
from typer.completion import completion_init  # type: ignore[attr-defined]
from typer.core import TyperGroup

from autoglm_recovery.cli.exit_codes import ExitCode
from autoglm_recovery.cli.refusing import speak_to, tell

# click's own name for wrong usage, which typer has in its own copy of click or takes from the package.
_WrongUsage: Any = typer.BadParameter.__base__


class CommandLine(TyperGroup):
    """All of ``autoglm``."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line; one that makes no sense is told to a program as an object too."""
        completion_init()
        given = list(sys.argv[1:] if args is None else args)
        for_a_program = speak_to(given)
        if not (standalone_mode and for_a_program):
            return super().main(given, prog_name, complete_var, standalone_mode, windows_expand_args, **extra)
        try:
            sys.exit(super().main(given, prog_name, complete_var, False, windows_expand_args, **extra))
        except _WrongUsage as error:
            tell(error.format_message(), ExitCode.usage)
            sys.exit(ExitCode.usage)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; its reader may go, and a person may have enough of it."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            _be_silent()
            raise typer.Exit(ExitCode.unheard) from error
        except SystemExit as end:
            # rich ends so where its reader has gone.
            if isinstance(end.__context__, BrokenPipeError):
                raise typer.Exit(ExitCode.unheard) from end
            raise
        except typer.Abort as error:
            raise typer.Exit(ExitCode.interrupted) from error


def _be_silent() -> None:
    """Send what is left to nobody: Python would complain once more when it flushes at the end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
