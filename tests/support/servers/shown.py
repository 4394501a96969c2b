# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine shows of processes while something runs: each command line and environment, looked at all the time.

A command line can be read by everybody on the machine, an environment by its user and root alone (proc(5)).
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from autoglm_recovery.receiver.runs.local import processes

_EVERY_S = 0.05
# What is no child of ours may become one of ours by executing another program, as a container's processes do.
_STRANGERS_EVERY = 20


@dataclass
class Shown:
    """What one process has shown: one that executes another program shows several of each."""

    pid: int
    cmdline: set[bytes] = field(default_factory=set)
    environ: set[bytes] = field(default_factory=set)
    limits: bytes = b""


@dataclass
class Watch:
    """Looks at the processes that are below some, or have a word among their own."""

    roots: Callable[[], set[int]]
    word: bytes
    found: dict[int, Shown] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)
    _strangers: set[int] = field(default_factory=set)
    _looks: int = 0

    def look(self) -> None:
        """Look once."""
        parent_of = processes.parents()
        below = self.roots() | processes.descendants(self.roots(), parent_of)
        self._looks += 1
        if self._looks % _STRANGERS_EVERY == 0:
            self._strangers.clear()
        for pid in (parent_of.keys() - self._strangers | below) - {os.getpid()}:
            # One that ends meanwhile, or has ended and is not reaped.
            with contextlib.suppress(OSError):
                self._note(pid, below=pid in below)

    def _note(self, pid: int, *, below: bool) -> None:
        place = Path(f"/proc/{pid}")
        cmdline, environ = (place / "cmdline").read_bytes(), (place / "environ").read_bytes()
        limits = (place / "limits").read_bytes()
        if cmdline and not limits:
            return  # it has ended between two of these
        if cmdline and (below or self.word in cmdline or self.word in environ):
            shown = self.found.setdefault(pid, Shown(pid))
            shown.cmdline.add(cmdline)
            shown.environ.add(environ)
            shown.limits = limits
        else:
            self._strangers.add(pid)

    def go_on(self) -> None:
        """Look until it is over."""
        while not self._over.wait(_EVERY_S):
            self.look()

    def end(self) -> None:
        """It is over."""
        self._over.set()


@contextmanager
def watched(roots: Callable[[], set[int]], word: object) -> Iterator[Watch]:
    """Look at processes while something goes on; ``roots`` are those that it was started by."""
    watch = Watch(roots, str(word).encode())
    thread = threading.Thread(target=watch.go_on, name="watch of processes")
    thread.start()
    try:
        yield watch
    finally:
        watch.end()
        thread.join()
