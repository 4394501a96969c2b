# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of a run, and their end.  Linux only, as the receiver is.

A supervisor is the "subreaper" of what it starts: whatever forks away, such as the shared connection that ssh leaves in
the background, stays its descendant and is found.  Should the supervisor itself be killed, its playbook is killed by
the kernel (``PR_SET_PDEATHSIG``), and what is left is known by a mark in its environment.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

# Every process of a run carries its directory under this name.
MARK = "AUTOGLM_RUN_DIRECTORY"

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LOOK_EVERY_S = 0.02

_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def become_subreaper() -> None:
    """Stay the ancestor of whatever descends from this process."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that made it ends; at once if it is gone already."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def children_die_with_us() -> None:
    """From now on, what this process forks is killed when it ends.  It survives exec, and holds for further forks."""
    forking = [0]

    def about_to() -> None:
        forking[0] = os.getpid()

    os.register_at_fork(before=about_to, after_in_child=lambda: die_with_parent(forking[0]))


def parents() -> dict[int, int]:
    """Return the parent of every process."""
    found = {}
    for pid in _numbers():
        with suppress(OSError, ValueError, IndexError):
            # The name may hold blanks and parentheses: what follows the last one counts.
            found[pid] = int(Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1])
    return found


def descendants(roots: Iterable[int], parent_of: dict[int, int]) -> set[int]:
    """Return all processes below some, without those."""
    children: dict[int, list[int]] = {}
    for pid, parent in parent_of.items():
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


def end_descendants(polite_s: float = 2.0) -> int:
    """End everything below this process: ask first, and insist after a while.  Return how many there were."""
    begun = time.monotonic()
    seen: set[int] = set()
    while True:
        _reap()
        left = descendants([os.getpid()], parents())
        if not left:
            return len(seen)
        insist = time.monotonic() - begun >= polite_s
        # Asked once each: a second SIGTERM makes some programs end without cleaning up.
        for pid in left if insist else left - seen:
            _send(pid, signal.SIGKILL if insist else signal.SIGTERM)
            # One that is stopped hears nothing but SIGKILL until it goes on.
            _send(pid, signal.SIGCONT)
        seen |= left
        time.sleep(_LOOK_EVERY_S)


def end_marked(directory: Path, arguments: bytes) -> int:
    """Kill what carries a run's mark, or has ``arguments`` among its own, and all below; return how many that were."""
    parent_of = parents()
    marked = {pid for pid in parent_of if _carries(pid, f"{MARK}={directory}".encode(), arguments)}
    ended = (marked | descendants(marked, parent_of)) - {os.getpid()}
    for pid in ended:
        _send(pid, signal.SIGKILL)
    return len(ended)


def _carries(pid: int, mark: bytes, argument: bytes) -> bool:
    return mark in _words(pid, "environ") or argument in _words(pid, "cmdline")


def _words(pid: int, name: str) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes().split(b"\0")
    except OSError:
        return []


def _numbers() -> Iterator[int]:
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            yield int(entry)


def _send(pid: int, which: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, which)


def _reap() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
