# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Pythons this machine has. pyenv's count even when its shims are not set to use them."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(r"python3\.(\d+)")


# The oldest Python on which our modules run on targets; older ones are of no use to any check.
OLDEST = (3, 9)


@dataclass(frozen=True, order=True)
class Interpreter:
    """A Python that starts and can make virtual environments."""

    version: tuple[int, int]
    path: Path

    def __str__(self) -> str:
        return f"{self.version[0]}.{self.version[1]}"


def find(path: str | None = None, home: Path | None = None) -> list[Interpreter]:
    """Return one interpreter per minor version, oldest first.

    Shims are left out: pyenv has one for every version that is installed, and most of them refuse to start.
    """
    found: dict[tuple[int, int], Interpreter] = {}
    for folder in _folders(path if path is not None else os.environ.get("PATH", os.defpath), home or Path.home()):
        for candidate in sorted(folder.glob("python3.*")):
            match = _NAME.fullmatch(candidate.name)
            version = (3, int(match[1])) if match else (0, 0)
            if version >= OLDEST and version not in found and _works(candidate):
                found[version] = Interpreter(version, candidate)
    return sorted(found.values())


def newest(at_least: tuple[int, int]) -> Interpreter | None:
    """Return the newest that there is, or nothing where it is older than that."""
    found = [each for each in find() if each.version >= at_least]
    return found[-1] if found else None


def _folders(path: str, home: Path) -> list[Path]:
    on_path = [Path(folder) for folder in path.split(os.pathsep) if folder]
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv")
    return [
        *(folder for folder in on_path if folder.name != "shims" and not (folder.parent / "pyvenv.cfg").exists()),
        *sorted(pyenv.glob("versions/*/bin"), reverse=True),
        Path("/usr/local/bin"),
        Path("/usr/bin"),
    ]


def _works(candidate: Path) -> bool:
    try:
        command = [str(candidate), "-c", "import ensurepip, ssl, venv"]
        return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0
    except OSError:
        return False
