# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Environments for what has no place in ours: it wants other releases of what we need, or another Python.

They are kept in the cache folder, for they are the same for every checkout, and made anew when what is in them changes.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.tooling import interpreters
from tests.support.tooling.interpreters import Interpreter
from tests.support.tooling.workplace import StepFailedError, Workplace

# What the newest ansible-core asks for, and so do the tools that are made for it.
NEWER_PYTHON = (3, 12)
# What a step says that needs one.
LEFT_OUT = "left out: there is no Python 3.12 or newer here"


def on_newer_python(name: str, requirements: Sequence[str]) -> Workplace | None:
    """Return an environment of the newest Python, as ``kept`` does, or nothing where it is older than that."""
    python = interpreters.newest(NEWER_PYTHON)
    return kept(name, python, requirements) if python else None


def kept(name: str, python: Interpreter, requirements: Sequence[str]) -> Workplace:
    """Return an environment with nothing but these, and what they need. Raises StepFailedError if it cannot be made."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "autoglm-recovery"
    venv = cache / name / f"python{python}"
    venv.parent.mkdir(parents=True, exist_ok=True)
    wanted, made = "\n".join([str(python.path), *requirements]), venv / "made"
    # Two runs at once would make it over each other.
    with (cache / name / "lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists() or made.read_text("utf-8") != wanted:
            _make(venv, python, requirements)
            made.write_text(wanted, "utf-8")
    return Workplace(f"{name} on Python {python}", venv)


def _make(venv: Path, python: Interpreter, requirements: Sequence[str]) -> None:
    uv = str(Path(sys.executable).with_name("uv"))
    print(f"making {venv} with {', '.join(requirements)} ...", flush=True)
    install = ["--quiet", "--python", str(venv / "bin/python"), *requirements]
    for command in (
        [uv, "venv", "--quiet", "--clear", "--python", str(python.path), str(venv)],
        [uv, "pip", "install", *install],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise StepFailedError(f"{venv} cannot be made: {done.stderr[-2000:]}")
