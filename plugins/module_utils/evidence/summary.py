# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SUMMARY.txt, the first thing that a person reads of a bundle: what, when, its last errors, what the kernel said, and
how memory and disks stood. Everything else in the bundle is where this comes from."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Callable

from ..faults.lines.reading import parse_line
from ..host.clocks import from_monotonic, iso
from ..host.kernel_log import KernelLine
from ..host.plain import plain
from ..host.unread import Unread
from ..services.protocol import Status
from .complaints import complains

NAME = "SUMMARY.txt"
_MOST_ERRORS = 30
_MOST_LAST = 15
_MOST_KERNEL = 30
_LONGEST_LINE = 500

_MEMORY = (
    "MemTotal",
    "MemFree",
    "MemAvailable",
    "SwapTotal",
    "SwapFree",
    "Shmem",
    "Dirty",
    "Committed_AS",
    "CommitLimit",
)
_PLACES = ("/", "/tmp", "/dev/shm", "/run", "/var", "/var/lib", "/home")  # noqa: S108  # their free space is asked for


@dataclass(frozen=True)
class SnapshotSubject:
    """Whose summary it is: texts from outside, each made one short line. at: seconds since the epoch."""

    incident: str
    host: str
    attempt: int
    at: float
    phase: str = ""


def write(
    about: SnapshotSubject,
    status: Status | None,
    log: Callable[[], str],
    kernel: Callable[[], Sequence[KernelLine]],
    memory: Callable[[], str],
    places: Iterable[str] = (),
) -> str:
    """The text. What cannot be read says so in its place: log, kernel and memory may raise Unread or OSError."""
    what = [
        f"incident {line(about.incident)}, attempt {about.attempt}, on {line(about.host)}",
        *([line(about.phase)] if about.phase else []),
        f"taken at {iso(about.at)}",
        *(_of_service(status) if status is not None else ["no service was named"]),
    ]
    return "".join(
        (
            _titled("What", what),
            _titled("Last errors of its log", _told(lambda: last_errors(log()))),
            _titled("Kernel", _told(lambda: kernel_lines(kernel()))),
            _titled("Memory at that time", _told(lambda: _memory_lines(memory()))),
            _titled("Disks at that time", disks([*places, *_PLACES])),
        )
    )


def last_errors(text: str) -> list[str]:
    """The last lines that say that something went wrong, and the very last ones, which often say why."""
    lines = text.splitlines()
    tail_from = max(0, len(lines) - _MOST_LAST)
    errors = [entry for entry in lines[:tail_from] if complains(entry)][-_MOST_ERRORS:]
    gap = ["..."] if errors else []
    return [line(entry) for entry in [*errors, *gap, *lines[tail_from:]]] or ["(its log is empty)"]


def kernel_lines(lines: Sequence[KernelLine]) -> list[str]:
    """What the kernel said of faults, with the wall clock as it is set now."""
    found = [entry for entry in lines if parse_line(entry.text)["kind"] != "none"][-_MOST_KERNEL:]
    told = [f"{iso(from_monotonic(entry.at))} {entry.text}" if entry.at is not None else entry.text for entry in found]
    return [line(entry) for entry in told] or ["nothing about a fault"]


def disks(places: Iterable[str]) -> list[str]:
    """The free space of each file system that one of the places is on."""
    seen: set[int] = set()
    told = []
    for place in dict.fromkeys(places):
        try:
            device = os.stat(place).st_dev
            if device in seen:
                continue
            usage = shutil.disk_usage(place)
        except FileNotFoundError:
            continue
        except OSError as error:
            told.append(f"{line(place)}: {error.strerror}")
            continue
        seen.add(device)
        share = 100 * usage.free // usage.total if usage.total else 0
        told.append(f"{line(place)}: {_size(usage.free)} free of {_size(usage.total)} ({share} %)")
    return told


def line(text: str) -> str:
    """One printable line, not too long: its beginning and its end."""
    clean = plain(text)
    return clean if len(clean) <= _LONGEST_LINE else f"{clean[: _LONGEST_LINE - 100]} ... {clean[-90:]}"


def _of_service(status: Status) -> list[str]:
    told = [f"{status.label}: {status.state if status.readable else f'not readable, {status.reason}'}"]
    told += [f"in the words of its orchestrator: {status.detail}"] if status.detail else []
    told += [f"main process {status.main_pid}, since {status.since}"] if status.main_pid is not None else []
    told += [f"how the last one ended: {status.end.text}"] if status.end.text else []
    told += [f"ended at {iso(from_monotonic(status.end.at))}"] if status.end.at is not None else []
    return [line(entry) for entry in [*told, *status.oom_evidence]]


def _memory_lines(meminfo: str) -> list[str]:
    wanted = tuple(f"{name}:" for name in _MEMORY)
    return [line(entry) for entry in meminfo.splitlines() if entry.startswith(wanted)] or ["not told"]


def _told(read: Callable[[], list[str]]) -> list[str]:
    try:
        return read()
    except (OSError, Unread) as error:
        return [line(f"not readable: {error}")]


def _titled(title: str, lines: Iterable[str]) -> str:
    return f"## {title}\n" + "".join(f"{entry}\n" for entry in lines) + "\n"


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
