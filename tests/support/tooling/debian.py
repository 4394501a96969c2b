# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's packages that the checks need and the machine lacks: installed on the spot, by one process at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

# Somebody else's apt on this machine is waited for.
_OPTIONS = "-o DPkg::Lock::Timeout=600"


class NotInstalledError(Exception):
    """Packages are missing and could not be installed; the message says which, and why."""


def command(packages: Sequence[str]) -> str:
    """Return what a person would type."""
    return f"apt-get install -y --no-install-recommends {' '.join(packages)}"


def install(missing: Callable[[], Sequence[str]]) -> None:
    """Install the packages that ``missing`` names; it is asked again when no other check installs anything.

    Raises NotInstalledError where that is not possible here, or has failed.
    """
    with _alone():
        packages = missing()
        if not packages:
            return
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            raise NotInstalledError(
                f"missing on this machine: {', '.join(packages)} (on Debian or Ubuntu, as root: {command(packages)})"
            )
        _try_with_and_without_new_lists(command(packages))
        if still := missing():
            raise NotInstalledError(f"{', '.join(still)} still missing after {command(packages)}")


def _try_with_and_without_new_lists(typed: str) -> None:
    """A fresh machine has no package lists, an old one has stale ones."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    words = typed.replace("apt-get", f"apt-get {_OPTIONS}", 1)
    said = ""
    for attempt in (words, f"apt-get update && {words}"):
        done = subprocess.run(  # noqa: S602  (our own words only)
            attempt, shell=True, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )
        if done.returncode == 0:
            return
        said = (done.stderr or done.stdout).strip()[-400:]
    raise NotInstalledError(f"`{typed}` failed: {said}")


@contextmanager
def _alone() -> Iterator[None]:
    with open(Path(tempfile.gettempdir()) / "autoglm-installs.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
