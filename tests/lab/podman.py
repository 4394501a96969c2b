# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run podman where the lab's containers live."""

from __future__ import annotations

import subprocess
from pathlib import Path

from . import namespace
from .errors import LabError


def podman(*arguments: str, stdin: bytes | None = None, seconds: float = 120) -> str:
    """Run one podman command and return what it printed; a failure is an error with podman's own words."""
    done = subprocess.run(
        [*namespace.prefix(), "podman", *arguments],
        input=stdin,
        stdin=None if stdin is not None else subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=seconds,
        cwd="/",
    )
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip() or done.stdout.decode(errors="replace").strip()
        raise LabError(f"`podman {' '.join(arguments)}` failed: {words}")
    return done.stdout.decode(errors="replace")


def succeeds(*arguments: str) -> bool:
    """Ask podman a yes-or-no question, such as ``image exists``."""
    try:
        podman(*arguments)
    except LabError:
        return False
    return True


def unpack(container: str, tree: Path) -> None:
    """Copy a tree of files over a container's root; owners become root, modes stay."""
    tar = ["tar", "--owner=0", "--group=0", "--numeric-owner", "-C", str(tree), "-c", "."]
    packed = subprocess.run(tar, capture_output=True, check=True).stdout
    podman("cp", "-", f"{container}:/", stdin=packed)
