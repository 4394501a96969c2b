# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiles the fake library, once per content of its sources: what was built before is found in a cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

SOURCES = Path(__file__).parent / "src"
SONAME = "libnvidia-ml.so.1"
FLAGS = ["-std=gnu11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"]
# "old" is a driver of the branch R525: functions that came later are really not there.
SYMBOLS = {"new": [], "old": ["-DFAKE_OLD_SYMBOLS"]}


class NoCompilerError(Exception):
    """This machine cannot build the fake."""


def compiler() -> str | None:
    return next((found for name in ("gcc", "cc", "clang") if (found := shutil.which(name))), None)


def build(symbols: str = "new", cache: Path | None = None) -> Path:
    """The library with these symbols; compiled if need be. Raises NoCompilerError."""
    folder = (cache or _cache()) / _fingerprint(symbols)
    library = folder / SONAME
    if library.exists():
        return library
    program = compiler()
    if program is None:
        raise NoCompilerError("a C compiler (gcc or clang) is needed to build the fake NVML library")
    folder.mkdir(parents=True, exist_ok=True)
    # Two processes may build at once: each into a file of its own, and the name is given in one step.
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        made = Path(temporary) / SONAME
        command = [program, *_flags(symbols), "-o", str(made), *map(str, _files("*.c")), "-lpthread", "-ldl"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"the fake NVML library does not compile:\n{done.stderr}")
        made.replace(library)
    return library


def _flags(symbols: str) -> list[str]:
    return [*FLAGS, f"-Wl,-soname,{SONAME}", *SYMBOLS[symbols]]


def _files(pattern: str) -> list[Path]:
    return sorted(SOURCES.glob(pattern))


def _fingerprint(symbols: str) -> str:
    digest = hashlib.sha256(" ".join(_flags(symbols)).encode())
    for path in _files("*.[ch]"):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _cache() -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "autoglm-recovery" / "fake-nvml"
