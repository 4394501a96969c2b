# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drop-in of ours that gives a unit more environment: rendered, read back, and held against the process that runs.

The file says of itself, in a comment, what it was made of.  One that does not read back to that was edited by somebody,
and is nobody's to replace.  Quoting is that of systemd.exec(5), C(Environment=), and systemd.syntax(7).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..host import paths, whole_file

DIRECTORY = "/etc/systemd/system"
# The name of the drop-in of a communication path (playbooks/switch_comm_path.yml).
COMM_PATH = "comm-path"
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SAYS = "# autoglm.recovery made this file, and takes it away: "
_LONGEST = 64 * 1024
_MOST_BYTES_OF_ENVIRON = 4 * 1024 * 1024


class ForeignError(Exception):
    """The file is there, and is not as it was made."""


@dataclass(frozen=True)
class MoreEnvironment:
    """What a unit is given beside its own environment.  C(label) names it among others, C(incident) is for people."""

    label: str
    environment: Mapping[str, str]
    incident: str = ""


def file_name(name: str) -> str:
    """The name of the drop-in. Raises ValueError."""
    if not _LABEL.match(name):
        raise ValueError(f"name must be a short word of letters, digits, _ . and -, not {name!r}")
    return f"60-autoglm-{name}.conf"


def checked(label: str, environment: Mapping[Any, Any], incident: str = "") -> MoreEnvironment:
    """What was asked for, as texts. Raises ValueError for what could be no environment, or more than that."""
    if not _LABEL.match(label):
        raise ValueError(f"label must be a short word of letters, digits, _ . and -, not {label!r}")
    if not environment:
        raise ValueError("environment is empty")
    texts = {}
    for variable, value in environment.items():
        if not isinstance(variable, str) or not _VARIABLE.match(variable):
            raise ValueError(f"{variable!r} is no name of an environment variable")
        if value is None or isinstance(value, (bool, list, dict)):
            raise ValueError(
                f"the value of {variable} must be a text or a number, in quotes where YAML reads it otherwise"
            )
        texts[variable] = str(value)
        if any(ord(character) < 32 or ord(character) == 127 for character in texts[variable]):
            raise ValueError(f"the value of {variable} has a control character")
    return MoreEnvironment(label, texts, "".join(c for c in incident if c.isprintable())[:100])


def render(asked: MoreEnvironment) -> str:
    """The whole file."""
    says = json.dumps(asdict(asked), sort_keys=True)
    lines = [f'Environment="{name}={_quoted(asked.environment[name])}"' for name in sorted(asked.environment)]
    return "\n".join([f"{_SAYS}{says}", "[Service]", *lines, ""])


def parse(text: str) -> MoreEnvironment:
    """What a file was made of. Raises ForeignError where it was not made here, or has been edited since."""
    first = text.partition("\n")[0]
    try:
        said: Any = json.loads(first[len(_SAYS) :]) if first.startswith(_SAYS) else None
        made = checked(said["label"], said["environment"], said["incident"])
    except (KeyError, TypeError, ValueError, RecursionError):
        raise ForeignError("it was not made by autoglm.recovery") from None
    if render(made) != text:
        raise ForeignError("somebody has edited it since it was made")
    return made


def path_of(directory: str, unit: str, name: str) -> str:
    """Where the drop-in of a unit is; C(unit) is a full name."""
    return f"{directory}/{unit}.d/{file_name(name)}"


def read(path: str) -> MoreEnvironment | None:
    """What is there, None where nothing is. Raises OSError and ForeignError."""
    try:
        descriptor = paths.open_directory(os.path.dirname(path), own=True)
    except FileNotFoundError:
        return None
    try:
        with os.fdopen(paths.open_at(descriptor, os.path.basename(path), path), "rb") as file:
            text = file.read(_LONGEST + 1)
    except FileNotFoundError:
        return None
    finally:
        os.close(descriptor)
    try:
        return parse(text.decode("utf-8"))
    except UnicodeDecodeError:
        raise ForeignError("it was not made by autoglm.recovery") from None


def write(path: str, asked: MoreEnvironment) -> None:
    """Write or replace the drop-in, as a whole. Raises OSError."""
    descriptor = paths.open_directory(os.path.dirname(path), make=0o755, own=True)
    try:
        whole_file.put(descriptor, os.path.basename(path), path, render(asked), 0o644)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: str) -> None:
    """Remove the drop-in, and its directory where nothing else is in it. Raises OSError."""
    descriptor = paths.open_directory(os.path.dirname(path), own=True)
    try:
        os.unlink(os.path.basename(path), dir_fd=descriptor)
        os.fsync(descriptor)
        empty = not os.listdir(descriptor)
    finally:
        os.close(descriptor)
    if empty:
        os.rmdir(os.path.dirname(path))


def in_force(pid: int | None, environment: Mapping[str, str], proc: Path = Path("/proc")) -> bool | None:
    """Whether a process was started with all of this. None where there is no process, or it cannot be read.

    An C(EnvironmentFile=) of the unit, or what it starts, may have the last word.
    """
    if pid is None:
        return None
    try:
        with (proc / str(pid) / "environ").open("rb") as file:
            block = file.read(_MOST_BYTES_OF_ENVIRON)
    except OSError:
        return None
    if not block:
        return None  # a process that is ending has none any more
    return {f"{name}={value}".encode() for name, value in environment.items()} <= set(block.split(b"\0"))


def _quoted(value: str) -> str:
    """A value within double quotes: C(%) begins a specifier, a backslash an escape."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
