# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SUMMARY.txt, the first file of a bundle that a person reads: what happened and when, the last errors, the kernel's
lines about faults, memory and disks. The other parts of the bundle have the details."""

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
_DISK_PATHS = ("/", "/tmp", "/dev/shm", "/run", "/var", "/var/lib", "/home")  # noqa: S108  # their free space is read


@dataclass(frozen=True)
class SnapshotSubject:
    """The subject of a summary. Its texts come from outside and are made short lines. at: seconds since the epoch."""

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
    """The text. log, kernel and memory may raise Unread or OSError; the reason then replaces the section."""
    what = [
        f"incident {line(about.incident)}, attempt {about.attempt}, on {line(about.host)}",
        *([line(about.phase)] if about.phase else []),
        f"taken at {iso(about.at)}",
        *(_service_lines(status) if status is not None else ["no service was named"]),
    ]
    return "".join(
        (
            _section("What", what),
            _section("Last errors of its log", _lines_or_reason(lambda: last_errors(log()))),
            _section("Kernel", _lines_or_reason(lambda: kernel_lines(kernel()))),
            _section("Memory at that time", _lines_or_reason(lambda: _memory_lines(memory()))),
            _section("Disks at that time", disks([*places, *_DISK_PATHS])),
        )
    )


def last_errors(text: str) -> list[str]:
    """The last lines that report a problem, and the very last lines, which often give the cause."""
    lines = text.splitlines()
    tail_from = max(0, len(lines) - _MOST_LAST)
    errors = [entry for entry in lines[:tail_from] if complains(entry)][-_MOST_ERRORS:]
    gap = ["..."] if errors else []
    return [line(entry) for entry in [*errors, *gap, *lines[tail_from:]]] or ["(its log is empty)"]


def kernel_lines(lines: Sequence[KernelLine]) -> list[str]:
    """The kernel's lines about faults, with times by the present wall clock."""
    found = [entry for entry in lines if parse_line(entry.text)["kind"] != "none"][-_MOST_KERNEL:]
    told = [f"{iso(from_monotonic(entry.at))} {entry.text}" if entry.at is not None else entry.text for entry in found]
    return [line(entry) for entry in told] or ["nothing about a fault"]


def disks(places: Iterable[str]) -> list[str]:
    """The free space of each file system that holds one of the paths."""
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
        told.append(f"{line(place)}: {_readable_size(usage.free)} free of {_readable_size(usage.total)} ({share} %)")
    return told


def line(text: str) -> str:
    """One printable line; of a long one the beginning and the end."""
    clean = plain(text)
    return clean if len(clean) <= _LONGEST_LINE else f"{clean[: _LONGEST_LINE - 100]} ... {clean[-90:]}"


def _service_lines(status: Status) -> list[str]:
    told = [f"{status.label}: {status.state if status.readable else f'not readable, {status.reason}'}"]
    told += [f"in the words of its orchestrator: {status.detail}"] if status.detail else []
    told += [f"main process {status.main_pid}, since {status.since}"] if status.main_pid is not None else []
    told += [f"how the last one ended: {status.end.text}"] if status.end.text else []
    told += [f"ended at {iso(from_monotonic(status.end.at))}"] if status.end.at is not None else []
    return [line(entry) for entry in [*told, *status.oom_evidence]]


def _memory_lines(meminfo: str) -> list[str]:
    wanted = tuple(f"{name}:" for name in _MEMORY)
    return [line(entry) for entry in meminfo.splitlines() if entry.startswith(wanted)] or ["not told"]


def _lines_or_reason(read: Callable[[], list[str]]) -> list[str]:
    try:
        return read()
    except (OSError, Unread) as error:
        return [line(f"not readable: {error}")]


def _section(title: str, lines: Iterable[str]) -> str:
    return f"## {title}\n" + "".join(f"{entry}\n" for entry in lines) + "\n"


def _readable_size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
