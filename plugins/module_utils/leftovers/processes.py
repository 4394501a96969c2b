# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the processes of a host, and ending those that were selected."""

from __future__ import annotations

import os
import select as polling
import signal
import time
from pathlib import Path

from .selection import GPU_DEVICE_PREFIX, Process, belongs, systemd_groups


def read(proc: Path = Path("/proc")) -> list[Process]:
    """Every process that could be read. One that ends meanwhile, or may not be looked into, is left out."""
    found = []
    for entry in proc.iterdir():
        if entry.name.isdigit():
            process = _read_one(entry)
            if process is not None:
                found.append(process)
    return sorted(found, key=lambda process: process.pid)


def end(process: Process, unit_group: str, seconds: float, proc: Path = Path("/proc")) -> bool:
    """Kill one process and wait for its end; False when it is still there after that.

    The descriptor pins the process before its group is checked again, so that a number that has gone to somebody else
    in the meantime is never hit.
    """
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return True
    try:
        again = _read_one(proc / str(process.pid))
        if again is None or not belongs(again.groups, unit_group):
            return True
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        return _wait(descriptor, seconds)
    except ProcessLookupError:
        return True
    finally:
        os.close(descriptor)


def _wait(descriptor: int, seconds: float) -> bool:
    waiter = polling.poll()
    waiter.register(descriptor, polling.POLLIN)
    deadline = time.monotonic() + seconds
    while True:
        remaining = deadline - time.monotonic()
        if waiter.poll(max(0.0, remaining) * 1000):
            return True
        if remaining <= 0:
            return False


def _read_one(entry: Path) -> Process | None:
    try:
        groups = systemd_groups((entry / "cgroup").read_text(encoding="utf-8", errors="replace"))
        name = (entry / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
    return Process(int(entry.name), name, groups, _gpu_devices(entry / "fd"))


def _gpu_devices(directory: Path) -> tuple[str, ...]:
    found = set()
    try:
        names = os.listdir(directory)
    except OSError:
        return ()
    for name in names:
        try:
            target = os.readlink(directory / name)
        except OSError:
            continue
        if target.startswith(GPU_DEVICE_PREFIX):
            found.add(target)
    return tuple(sorted(found))
