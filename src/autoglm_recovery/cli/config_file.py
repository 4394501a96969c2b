# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file with the options of a command: YAML, each under its name on the command line without the dashes.

What stands in it is what the command line would say, read by the same parser; the command line counts more, and then
the environment.  A relative path is one from the folder of the file.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Container
from pathlib import Path
from typing import Any, cast

import typer
import yaml

from autoglm_recovery.cli.exit_codes import ExitCode
from autoglm_recovery.cli.refusing import cannot_ask, refuse
from autoglm_recovery.knowledge.host import bounded_yaml

LARGEST_FILE = 1 << 20
# What a person says at the moment, and no file for good.
_NEVER = {"config", "check", "json", "help"}


def take(ctx: typer.Context, file: Path | None) -> Path | None:
    """Have what the file says count where neither command line nor environment says something."""
    return take_some(ctx, file, None)


def take_some(ctx: typer.Context, file: Path | None, only: Container[str] | None) -> Path | None:
    """Do so with a file in which some of the command's options may stand, by the names of their parameters."""
    if file is not None and not ctx.resilient_parsing:
        ctx.default_map = {**(ctx.default_map or {}), **_read(ctx, file, only)}
    return file


def _options_of(ctx: typer.Context, only: Container[str] | None) -> dict[str, Any]:
    """Return what may stand in a file: the command's options by their first names."""
    all_of_them = {each.opts[0].lstrip("-"): each for each in ctx.command.params if each.opts[0].startswith("--")}
    return {
        name: each for name, each in all_of_them.items() if name not in _NEVER and (only is None or each.name in only)
    }


def _read(ctx: typer.Context, file: Path, only: Container[str] | None) -> dict[str, Any]:
    # Whoever would ask a receiver has asked nobody then; a start is refused.
    _judge(file, ExitCode.no if only is None else ExitCode.unasked)
    try:
        with open(file, "rb") as stream:
            text = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        cannot_ask(f"--config {file} cannot be read: {error.strerror}")
    try:
        root = yaml.compose(text[:LARGEST_FILE].decode(), Loader=bounded_yaml.loader())
        found = bounded_yaml.load(text[:LARGEST_FILE])
    except (yaml.YAMLError, ValueError) as error:
        raise typer.BadParameter(f"{file} is no YAML: {error}", param_hint="--config") from error
    if found is None:
        return {}
    if len(text) > LARGEST_FILE or not isinstance(found, dict) or not isinstance(root, yaml.MappingNode):
        raise typer.BadParameter(f"{file} must be a mapping of options", param_hint="--config")
    known, read = _options_of(ctx, only), dict[str, Any]()
    for key, node in root.value:
        place = f"{file}:{key.start_mark.line + 1}: {key.value}"
        option = known.get(str(key.value).replace("_", "-"))
        if option is None:
            raise typer.BadParameter(f"{place}: no such option{_meant(key.value, known)}", param_hint="--config")
        if option.name in read:
            raise typer.BadParameter(f"{place}: given twice", param_hint="--config")
        read[option.name] = _value(ctx, option, found.get(key.value, node.value), place, file.parent)
    return read


def _judge(file: Path, refused: ExitCode) -> None:
    """Refuse a file of somebody else's, or that others may write: it says whom a token is sent to, and who comes in."""
    from autoglm_recovery.receiver.access.entries import AuthError  # noqa: PLC0415 - only who has a file pays for it
    from autoglm_recovery.receiver.access.file_modes import judge  # noqa: PLC0415

    try:
        judge("--config", file, secret=False)
    except AuthError as error:
        refuse(error, refused)


def _meant(word: object, known: dict[str, Any]) -> str:
    near = difflib.get_close_matches(str(word)[:64].replace("_", "-"), known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(sorted(known))}"


def _value(ctx: typer.Context, option: Any, value: Any, place: str, folder: Path) -> Any:
    """Return a value as the command line would have it; it is tried here, where file and line are known."""
    many = value if option.multiple and isinstance(value, list) else [value]
    if any(isinstance(each, dict | list) or each is None for each in many):
        raise typer.BadParameter(f"{place}: must be one value", param_hint="--config")
    if _is_path(ctx, option.name):
        many = [folder / str(each) for each in many]
    words = [each if isinstance(each, bool) else str(each) for each in many]
    given = words if option.multiple else words[0]
    try:
        option.process_value(ctx, given)
    except typer.BadParameter as error:
        raise typer.BadParameter(f"{place}: {error.message}", param_hint="--config") from error
    return given


def _is_path(ctx: typer.Context, name: str) -> bool:
    annotation = inspect.signature(cast(Any, ctx.command.callback), eval_str=True).parameters[name].annotation
    return "Path" in str(annotation.__origin__ if hasattr(annotation, "__metadata__") else annotation)
