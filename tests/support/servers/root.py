# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's image as a folder, so that its programs run on this machine with a chroot: llama-server, HAProxy, nginx.

Debian 12 does not package llama-server, and installing the others would start them. Needs root, as the lab does.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from pathlib import Path

from tests.lab import image, namespace, prerequisites
from tests.lab.places import CACHE
from tests.lab.podman import podman

KEPT_SECONDS = 24 * 3600  # programs may be running in the one of another checkout


def ensure() -> Path:
    """Return the folder, made on first use from the image, which is built on first use too."""
    prerequisites.ensure()
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "root.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        name = image.ensure()
        root = CACHE / f"root-{name.rpartition(':')[2]}"
        if not root.exists():
            for old in CACHE.glob("root-*"):
                if time.time() - old.stat().st_ctime > KEPT_SECONDS:
                    shutil.rmtree(old, ignore_errors=True)
            _export(name, root)
    return root


def command(program: str, *arguments: str) -> list[str]:
    """Words that run a program of the root. Its process is an ordinary one of this machine, with its network."""
    return ["chroot", str(ensure()), program, *arguments]


def share(path: Path, inside: str) -> None:
    """Copy a file into the root, where programs in it find it as ``inside``."""
    target = ensure() / inside.lstrip("/")
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.{os.getpid()}")
    shutil.copyfile(path, unfinished)
    unfinished.rename(target)


def _export(name: str, root: Path) -> None:
    """Unpack a container that never ran. Under another name first: an interrupted unpacking leaves no root."""
    unfinished = root.with_name(f"unfinished-{root.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    container = podman("create", name, "true").strip()
    try:
        with subprocess.Popen(
            [*namespace.prefix(), "podman", "export", container], stdout=subprocess.PIPE, cwd="/"
        ) as export:
            subprocess.run(["tar", "-xpf", "-", "-C", str(unfinished)], stdin=export.stdout, check=True)
    finally:
        podman("rm", "--force", container)
    unfinished.rename(root)
