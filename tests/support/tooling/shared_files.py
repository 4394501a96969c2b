# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write what is below share/: the man page, out of the parser itself, and the completions of shells.

python -m tests.support.tooling.shared_files

Ours, because click-man knows the click that is a package of its own, and typer has a copy of it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from autoglm_recovery import __version__
from autoglm_recovery.cli.asking import FILES
from autoglm_recovery.cli.completion import PROGRAM, Shell, script
from autoglm_recovery.cli.exit_codes import MEANING
from autoglm_recovery.cli.main import app

SHARE = Path(__file__).parents[3] / "share"
COMPLETIONS = {
    Shell.bash: "bash-completion/completions/autoglm",
    Shell.zsh: "zsh/site-functions/_autoglm",
    Shell.fish: "fish/vendor_completions.d/autoglm.fish",
}
MAN_PAGE = "man/man1/autoglm.1"
DOCUMENTATION = "https://github.com/autoglm/recovery/tree/main/docs"


def files() -> dict[str, str]:
    """Return all files with their content, by their path below share/."""
    return {MAN_PAGE: man_page(), **{path: script(shell) for shell, path in COMPLETIONS.items()}}


def man_page() -> str:
    """Return the man page of the command and all its subcommands."""
    root = typer.main.get_command(app)
    return "\n".join(_page(root)) + "\n"


def _page(root: Any) -> Iterator[str]:
    yield f'.TH {PROGRAM.upper()} 1 "" "autoglm-recovery {__version__}" "User Commands"'
    yield ".nh\n.ad l"
    yield ".SH NAME"
    yield f"{PROGRAM} \\- {_text('keeps LLM inference fleets serving')}"
    yield ".SH SYNOPSIS"
    yield f".B {PROGRAM}\n.I COMMAND\n[\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]"
    yield ".SH DESCRIPTION"
    yield _text(root.help)
    yield ".SH COMMANDS"
    for words, command in leaves(root, (PROGRAM,)):
        yield from _command(words, command)
    yield ".SH EXIT STATUS"
    for code, meaning in MEANING.items():
        yield f".TP\n.B {int(code)}\n{_text(meaning)}"
    yield ".SH FILES"
    for file in FILES:
        yield f".TP\n.I {_text(str(file))}\nWhom incidents, pause, resume and audit ask. The first counts."
    yield ".SH SEE ALSO"
    yield f".BR ansible-playbook (1),\n.UR {DOCUMENTATION}\n.UE"


def leaves(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Return the commands that do something, each with the words by which it is called."""
    subcommands = getattr(command, "commands", None)
    if not subcommands:
        yield words, command
        return
    for name in sorted(subcommands):
        yield from leaves(subcommands[name], (*words, name))


def _command(words: tuple[str, ...], command: Any) -> Iterator[str]:
    arguments = [each for each in parameters(command) if _is_argument(each)]
    shown = " ".join((*words, *map(_name, arguments)))
    yield f'.SS "{_text(shown)}"'
    yield from _paragraphs(command.help or "")
    for each in parameters(command):
        yield f".TP\n\\fB{_text(label(each))}\\fR"
        yield _text(about(each))


def _name(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def parameters(command: Any) -> list[Any]:
    """Return the arguments and options of a command that its help has."""
    return [each for each in command.params if not getattr(each, "hidden", False) and each.name != "help"]


def _is_argument(parameter: Any) -> bool:
    return not parameter.opts[0].startswith("-")


def label(parameter: Any) -> str:
    """Return what a page calls an argument or option."""
    if _is_argument(parameter):
        return str(parameter.metavar or parameter.name).upper()
    return ", ".join((*parameter.opts, *parameter.secondary_opts))


def about(option: Any) -> str:
    """Return what there is to say of an argument or option: its help, and how it may be given."""
    notes = []
    if getattr(option, "multiple", False):
        notes.append("may be given several times")
    if option.required and option.opts[0].startswith("-"):
        notes.append("required")
    if option.envvar:
        notes.append(f"or the variable {option.envvar}")
    if option.default not in (None, False, True, "", ()) and not callable(option.default):
        notes.append(f"default: {getattr(option.default, 'value', option.default)}")
    return " ".join(filter(None, [option.help, f"({'; '.join(notes)})" if notes else ""])) or "-"


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(re.split(r"\n\s*\n", inspect.cleandoc(text))):
        if number:
            yield ".PP"
        yield _text(paragraph)


def _text(text: str) -> str:
    """Return text that is nothing else to roff: no macro, no escape, and dashes that can be copied."""
    line = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return f"\\&{line}" if line[:1] in (".", "'") else line


if __name__ == "__main__":
    for path, content in files().items():
        (SHARE / path).parent.mkdir(parents=True, exist_ok=True)
        (SHARE / path).write_text(content, "utf-8")
