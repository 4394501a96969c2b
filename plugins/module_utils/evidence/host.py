# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence from the host: its state, its kernel's log and its sockets."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from pathlib import Path

from ..host import kernel_log
from ..host.command import Runner
from ..host.piece import Piece
from ..host.processes import command_line, read_file, section
from ..host.redaction import redact_text

_FILES = (
    "loadavg", "uptime", "version", "meminfo", "vmstat", "pressure/memory", "pressure/cpu", "pressure/io",
    "swaps", "mounts", "sys/vm/overcommit_memory", "sys/vm/panic_on_oom", "driver/nvidia/version",
)  # fmt: skip
# Any user may create any number of files in shared memory.
_MAX_ENTRIES = 10_000
_CONNECTION_FILES = ("tcp", "tcp6", "udp", "udp6", "raw", "raw6", "packet", "unix", "route", "arp", "dev")
_SOCKET_FILES = ("tcp", "tcp6", "unix", "sockstat", "sockstat6")


def state(proc: Path, shared_memory: Path = Path("/dev/shm")) -> Piece:  # noqa: S108  # it is listed, not written
    """Load, memory, pressure and shared memory of the host."""
    text = "".join(section(name, lambda name=name: read_file(proc / name)) for name in _FILES)  # type: ignore[misc]
    return Piece(text + section(str(shared_memory), lambda: _list_directory(shared_memory)), str(proc))


def kernel(run: Runner, timeout: float, known_secrets: Iterable[str] = ()) -> Piece:
    """The kernel's log, with the name of the reader that worked."""
    log = kernel_log.read(run, timeout)
    return Piece(redact_text(log.as_text(), known_secrets), log.source, log.failed)


def sockets(proc: Path, run: Runner, timeout: float) -> Piece:
    """Open sockets with their processes by ss, else the kernel's bare tables."""
    outcome = run(["ss", "-H", "-a", "-n", "-p", "-t", "-u", "-o", "-i"], timeout)
    if not outcome.complaint():
        return Piece(outcome.stdout.decode("utf-8", "replace"), "ss -anptuoi")
    text = "".join(section(name, lambda name=name: read_file(proc / "net" / name)) for name in _SOCKET_FILES)  # type: ignore[misc]
    return Piece(text, f"{proc}/net", (f"ss: {outcome.complaint()}",))


def connections(proc: Path, pid: int) -> Piece:
    """The kernel's tables of sockets in the network namespace of a process, which may be another than the host's."""
    root = proc / str(pid) / "net"
    text = "".join(section(name, lambda name=name: read_file(root / name)) for name in _CONNECTION_FILES)  # type: ignore[misc]
    return Piece(text, str(root))


def programs(proc: Path, pids: Iterable[int], known_secrets: Iterable[str] = ()) -> Piece:
    """What each process of a service runs: the file, also one that is deleted or in memory alone, and its arguments."""
    known = tuple(known_secrets)
    lines = []
    for pid in pids:
        root = proc / str(pid)
        try:
            words = " ".join(command_line(root, known))
            lines.append(f"{pid:>8} {redact_text(os.readlink(root / 'exe'), known)!r} {words!r}\n")
        except OSError as error:
            lines.append(f"{pid:>8} (unreadable: {error.strerror})\n")
    return Piece("".join(lines), f"{proc}/*/exe")


def _list_directory(directory: Path) -> str:
    lines = []
    with os.scandir(directory) as entries:
        for entry in sorted(itertools.islice(entries, _MAX_ENTRIES), key=lambda entry: entry.name):
            status = entry.stat(follow_symlinks=False)
            lines.append(f"{status.st_size:>14} uid {status.st_uid:>6} mtime {status.st_mtime:.0f} {entry.name!r}\n")
    if len(lines) == _MAX_ENTRIES:
        lines.append(f"({_MAX_ENTRIES} of them; what more there is was not listed)\n")
    return "".join(lines) or "(empty)\n"
