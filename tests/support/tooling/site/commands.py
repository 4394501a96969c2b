# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference of the command line, made of the parser itself."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer

from autoglm_recovery.cli.exit_codes import MEANING
from autoglm_recovery.cli.main import app
from tests.support.tooling.shared_files import about, label, leaves, parameters


def pages() -> dict[str, str]:
    """Return the page by its name."""
    return {"reference/commands": "\n".join(_page(typer.main.get_command(app))) + "\n"}


def _page(root: Any) -> Iterator[str]:
    yield "---\ntocdepth: 2\n---\n"
    yield "# Command line\n"
    yield "Made of `autoglm --help`; the man page `autoglm(1)` says the same.\n"
    yield "## Exit codes\n"
    yield "| code | what it says |\n|---|---|"
    for code, meaning in MEANING.items():
        yield f"| {int(code)} | {meaning} |"
    for words, command in leaves(root, ("autoglm",)):
        yield from _command(words, command)


def _command(words: tuple[str, ...], command: Any) -> Iterator[str]:
    yield f"\n## `{' '.join(words)}`\n"
    yield from (f"{text(each)}\n" for each in re.split(r"\n\s*\n", inspect.cleandoc(command.help or "")))
    for each in parameters(command):
        yield f"`{label(each)}`\n: {text(about(each))}\n"


def text(said: str) -> str:
    """Return a help text as Markdown that says the same: nothing in it is markup."""
    return re.sub(r"([\\`*_{}\[\]<>#|$~])", r"\\\1", " ".join(said.split()))
