# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``autoglm completion``: what a shell reads so that TAB completes commands, options and their values."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined]

PROGRAM = "autoglm"


class Shell(StrEnum):
    """A shell that can be taught."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"


def completion(shell: Annotated[Shell, typer.Argument(help="The shell that will read it.")]) -> None:
    """Print what a shell reads to complete autoglm, as in: source <(autoglm completion bash).

    The same stands below share/ of where autoglm is installed, for all three shells.
    """
    typer.echo(script(shell), nl=False)


def script(shell: Shell) -> str:
    """Return what a shell reads: it asks the program itself, and so never grows old."""
    text = get_completion_script(prog_name=PROGRAM, complete_var=f"_{PROGRAM.upper()}_COMPLETE", shell=str(shell))
    return f"{text}\n"
