# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the processes of a host, and ending those that were selected."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from ..host.processes import living_thread, pids
from ..services.ownership import Ownership, systemd_groups
from ..services.process import held, marks, send, wait_for_end
from .selection import DRI_DEVICE_PREFIX, GPU_DEVICE_PREFIX, ObservedProcess


def read(
    proc: Path = Path("/proc"),
    ownership: Ownership = Ownership(),  # noqa: B008  # frozen
    seconds: float = 10.0,
) -> list[ObservedProcess]:
    """Every process that could be read. A process that ends meanwhile or may not be read is left out.

    Environments are read only where ownership is by a mark in them. Raises Unread where a read takes too long.
    """
    numbers = pids(proc)
    marked = marks(proc, numbers, seconds) if ownership.mark else {}
    found = (_read_process(proc / str(pid), marked.get(pid, "")) for pid in numbers)
    return [process for process in found if process is not None]


def end(process: ObservedProcess, ownership: Ownership, seconds: float, proc: Path = Path("/proc")) -> bool:
    """Kill one process and wait for its end; False if it is still there after that. Raises Unread.

    A descriptor pins the process before its ownership is checked again, so that another process with the same number is
    never killed.
    """
    try:
        with held(process.pid) as descriptor:
            marked = marks(proc, [process.pid], seconds) if ownership.mark else {}
            again = _read_process(proc / str(process.pid), marked.get(process.pid, ""))
            if again is None or not ownership.owns(again.groups, again.mark):
                return True
            send(descriptor, signal.SIGKILL)
            return wait_for_end(descriptor, seconds)
    except ProcessLookupError:
        return True


def _read_process(entry: Path, mark: str) -> ObservedProcess | None:
    try:
        groups = systemd_groups((entry / "cgroup").read_text(encoding="utf-8", errors="replace"))
        name = (entry / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
    devices = _gpu_devices(entry)
    return ObservedProcess(int(entry.name), name, groups, devices or (), mark, devices is not None)


def _gpu_devices(process: Path) -> tuple[str, ...] | None:
    """The device files of GPUs that a process has open, None where its open files may not be looked at."""
    found = set()
    try:
        directory = (living_thread(process) or process) / "fd"
        names = os.listdir(directory)
    except PermissionError:
        return None
    except OSError:
        return ()  # it has ended
    for name in names:
        try:
            target = os.readlink(directory / name)
        except OSError:
            continue
        if target.startswith((GPU_DEVICE_PREFIX, DRI_DEVICE_PREFIX)):
            found.add(target)
    return tuple(sorted(found))
