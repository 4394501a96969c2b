# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real containers for tests of services that are some, and podman to run them; Docker is in docker.py.

On a host with cgroup v1, podman's runtime refuses the usual hybrid of both versions; in a mount namespace without the
unified hierarchy it is a plain v1 host, memory limits included. On a host with cgroup v2 nothing of that is needed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from tests.lab import image, prerequisites
from tests.lab.errors import LabError
from tests.lab.namespace import Namespace
from tests.support.servers.waiting import PATIENCE_S

HOUSE = Path("/var/lib/autoglm-parts")
LABEL = "autoglm.parts"
LOCK = Path("/var/lib/autoglm-parts.lock")
# What a host may not let it raise, podman would ask for by default.
LIMITS = ("--pids-limit=0", "--ulimit=nofile=1024:4096", "--ulimit=nproc=4096:4096")

PLAIN_V1 = Namespace(HOUSE, "! mountpoint -q /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified")


@dataclass(frozen=True)
class Runtime:
    """A container runtime's command line, and an image with a shell. prefix: words to put before any command that
    shall see the containers as their host does.  options: what each container needs on this machine."""

    kind: str
    image: str
    prefix: list[str]
    options: tuple[str, ...] = ()

    def __call__(self, *arguments: str) -> str:
        """Run one command of it and return what it printed."""
        command = [*self.prefix, self.kind, *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PATIENCE_S, cwd="/", stdin=subprocess.DEVNULL
        )
        if done.returncode:
            raise LabError(f"`{self.kind} {' '.join(arguments)}` failed: {done.stderr.strip()}")
        return done.stdout

    def make(self, verb: str, name: str, *words: str, options: tuple[str, ...] = ()) -> str:
        """``run --detach`` or ``create`` a container in the network of the host; its name, ours on this machine."""
        full = f"{LABEL}-{name}"
        detached = ("--detach",) if verb == "run" else ()
        given = (*detached, "--name", full, f"--label={LABEL}=1", "--network=host", *self.options, *options)
        self(verb, *given, self.image, *words)
        return full

    def run(self, name: str, *words: str, options: tuple[str, ...] = ()) -> str:
        """Start a container; its name."""
        return self.make("run", name, *words, options=options)

    def inspect(self, name: str) -> dict[str, Any]:
        """What the runtime knows of a container."""
        (found,) = json.loads(self("container", "inspect", name))
        return dict(found)

    def remove_all(self) -> None:
        """Remove every container of these tests, whoever started it."""
        names = self("ps", "--all", "--quiet", "--filter", f"label={LABEL}").split()
        if names:
            # Docker kills; podman would ask first, and wait.
            self("rm", "--force", *(("--time", "0") if self.kind == "podman" else ()), *names)


def _take(lock: TextIO) -> None:
    """Wait for whoever has it, but not for ourselves, which would be for ever."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        if lock.read() == str(os.getpid()):
            raise RuntimeError("this process has podman already: a fixture of another scope has not ended") from None
        fcntl.flock(lock, fcntl.LOCK_EX)
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()


@contextlib.contextmanager
def podman() -> Iterator[Runtime]:
    """podman for the length of the block, by one test run at a time; of an earlier one nothing stays."""
    prerequisites.ensure()
    with LOCK.open("a+", encoding="utf-8") as lock:
        _take(lock)
        found = image.ensure()
        PLAIN_V1.ensure()
        runtime = Runtime("podman", found, PLAIN_V1.prefix(), LIMITS)
        try:
            runtime.remove_all()
            yield runtime
        finally:
            runtime.remove_all()
            PLAIN_V1.remove()
