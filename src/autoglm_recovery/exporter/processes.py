# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of each service, and the resources that they use, by /proc alone."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autoglm_recovery.exporter.services import NodeService, Services
from autoglm_recovery.knowledge.host.numbers import whole_number

# systemd moves a child into its control group only after the fork, so a young process is looked up again.
_ASKED_AGAIN = 3
# A process number may be reused unnoticed between two scans.
_ASKED_EVERY = 16
_DEAD_KEPT = 4096


@dataclass(frozen=True)
class Usage:
    """The resources of one service's processes.  ``started``: the start of the oldest one, in seconds since 1970."""

    processes: int
    resident_bytes: int
    cpu_seconds: float
    open_files: int | None
    threads: int
    started: float


@dataclass(frozen=True)
class _ProcessStat:
    cpu: float
    threads: int
    started: float
    resident: int


@dataclass
class _KnownProcess:
    service: NodeService | None
    asked: int = 0
    started: float = -1.0
    cpu: float = 0.0


@dataclass
class _UsageSum:
    processes: int = 0
    resident: int = 0
    files: int | None = 0
    threads: int = 0
    started: float = float("inf")


@dataclass
class Processes:
    """Scans all processes on demand.  ``service_of`` is safe in any thread, and knows recently ended processes too."""

    services: Services
    proc: Path = Path("/proc")
    _known: dict[int, _KnownProcess] = field(default_factory=dict)
    _dead: dict[int, NodeService] = field(default_factory=dict)
    _ended_cpu: dict[NodeService, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _boot: float = 0.0

    def __post_init__(self) -> None:
        self._tick = os.sysconf("SC_CLK_TCK")
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._boot = _boot_time(self.proc)

    def look(self) -> Mapping[NodeService, Usage]:
        """Return the usage of each service that has processes now."""
        if not self.services.all:
            return {}
        pids = {int(name) for name in os.listdir(self.proc) if name.isdigit()}
        with self._lock:
            for pid in self._known.keys() - pids:
                self._add_ended(pid)
            for pid in pids:
                self._find_service(pid)
            return self._usage()

    def service_of(self, pid: int | None) -> NodeService | None:
        """Return the service of a process, or of one that has just died."""
        if pid is None or not self.services.all:
            return None
        with self._lock:
            known = self._known.get(pid)
            if known is not None and known.service is not None:
                return known.service
            return self._read_service(pid) or self._dead.get(pid)

    def _find_service(self, pid: int) -> None:
        known = self._known.setdefault(pid, _KnownProcess(None))
        known.asked += 1
        if known.service is None and (known.asked <= _ASKED_AGAIN or known.asked % _ASKED_EVERY == 0):
            known.service = self._read_service(pid)

    def _read_service(self, pid: int) -> NodeService | None:
        try:
            return self.services.of_membership((self.proc / str(pid) / "cgroup").read_text("utf-8", "replace"))
        except OSError:
            return None

    def _add_ended(self, pid: int) -> None:
        known = self._known.pop(pid)
        if known.service is None:
            return
        self._ended_cpu[known.service] = self._ended_cpu.get(known.service, 0.0) + known.cpu
        self._dead[pid] = known.service
        if len(self._dead) > _DEAD_KEPT:
            del self._dead[next(iter(self._dead))]

    def _usage(self) -> dict[NodeService, Usage]:
        sums: dict[NodeService, _UsageSum] = {}
        for pid, known in list(self._known.items()):
            stat = self._read_stat(pid) if known.service is not None else None
            if known.service is None or stat is None:
                continue
            if known.started not in (-1.0, stat.started):
                self._add_ended(pid)  # a new process with the same number; the next scan finds its service
                continue
            known.started, known.cpu = stat.started, stat.cpu
            files = self._open_files(pid)
            sums.setdefault(known.service, _UsageSum())
            total = sums[known.service]
            total.processes += 1
            total.resident += stat.resident
            total.threads += stat.threads
            total.started = min(total.started, stat.started)
            total.files = None if files is None or total.files is None else total.files + files
        return {service: self._usage_of(service, total) for service, total in sums.items()}

    def _usage_of(self, service: NodeService, total: _UsageSum) -> Usage:
        """Add the CPU time of ended processes, so that the counter never falls."""
        living = sum(known.cpu for known in self._known.values() if known.service == service)
        cpu = living + self._ended_cpu.get(service, 0.0)
        return Usage(total.processes, total.resident, cpu, total.files, total.threads, self._boot + total.started)

    def _read_stat(self, pid: int) -> _ProcessStat | None:
        try:
            text = (self.proc / str(pid) / "stat").read_text("utf-8", "replace")
        except OSError:
            return None
        fields = text.rpartition(")")[2].split()
        told = [whole_number(fields[at]) if len(fields) > at else None for at in (11, 12, 17, 19, 21)]
        if None in told:
            return None
        user, system, threads, began, pages = (number or 0 for number in told)
        return _ProcessStat((user + system) / self._tick, threads, began / self._tick, pages * self._page)

    def _open_files(self, pid: int) -> int | None:
        try:
            return len(os.listdir(self.proc / str(pid) / "fd"))
        except OSError:
            return None


def _boot_time(proc: Path) -> float:
    try:
        for line in (proc / "stat").read_text("ascii").splitlines():
            if line.startswith("btime "):
                return float(line.split()[1])
    except (OSError, ValueError):
        pass
    return 0.0
