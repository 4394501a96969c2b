# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which processes a service has, where they are, and by what they could talk. All of it is read, nothing is changed.

What belongs to a service: its control group or its mark, as for everything else; also its main process's session and
descendants, and its PID namespace, where an intruder is found who has left the group or cleaned the environment.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..host import command
from ..host.command import Runner
from ..host.numbers import whole_number
from ..host.processes import pids, read_file
from ..host.unread import Unread
from ..services import process, systemctl
from ..services.ownership import Ownership, systemd_groups
from ..services.protocol import Service
from .cutting import name_of
from .plan import ProcessSeen, ServiceSeen

# Sockets by their inodes, and in which column of a line that is.
_TABLES = {"tcp": 9, "tcp6": 9, "udp": 9, "udp6": 9, "udplite": 9, "udplite6": 9, "raw": 9, "raw6": 9, "packet": 8}
_MONITOR = "conmon"
_PAST_RULES = "/dev/infiniband/"
_CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapAmb")


@dataclass(frozen=True)
class ProcessEntry:
    """What decides whether a process belongs to a service. pid_namespace: empty for the reader's own.
    monitor: whether it is called as podman's of a container."""

    pid: int
    parent: int
    session: int
    groups: tuple[str, ...]
    pid_namespace: str
    mark: str = ""
    monitor: bool = False


def look(service: Service, run: Runner, timeout: float, proc: Path = Path("/proc")) -> ServiceSeen:
    """Read all of it. What cannot be read is told, and nothing is raised."""
    status = service.status()
    if not status.readable or status.main_pid is None or status.process_gone:
        return ServiceSeen(status.label, None, unread=() if status.readable else (status.reason,))
    if os.geteuid() != 0:
        return ServiceSeen(status.label, status.main_pid, unread=("that takes root",))
    try:
        hosts = _host_namespaces(proc)
        foreign = _sockets_of_host(proc)
        before = process.read(proc, status.main_pid)
        members = belonging(_entries(proc, service.ownership(), timeout), service.ownership(), status.main_pid)
        seen = [each for each in (_read(proc, pid, foreign) for pid in sorted(members)) if each is not None]
        watchdog = _watchdog(service, run, timeout)
    except (OSError, Unread) as error:
        why = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
        return ServiceSeen(status.label, status.main_pid, unread=(why,))
    if before is None or before.began not in [each.began for each in seen if each.pid == status.main_pid]:
        return ServiceSeen(status.label, status.main_pid, unread=(f"process {status.main_pid} has ended meanwhile",))
    can_cut = command.is_there("nft") and command.is_there("nsenter")
    return ServiceSeen(
        status.label, status.main_pid, tuple(seen), hosts, os.getpid() in members, watchdog, can_cut=can_cut
    )


def belonging(known: Mapping[int, ProcessEntry], ownership: Ownership, main: int) -> frozenset[int]:
    """Which of these processes are the service's."""
    first = known.get(main)
    own_space = "" if first is None else first.pid_namespace
    # Who has started a container from outside is in its unit's group, and in nobody's hands who is in the container.
    outside = {first.parent} if own_space and first is not None and known.get(first.parent, first).monitor else set()
    found = {
        pid
        for pid, each in known.items()
        if main in (pid, each.session)
        or ownership.owns(each.groups, each.mark)
        or (own_space and each.pid_namespace == own_space)
    }
    return frozenset(_with_descendants(known.values(), found - outside) - outside - {0, 1})


def _with_descendants(entries: Iterable[ProcessEntry], found: set[int]) -> set[int]:
    children: dict[int, list[int]] = {}
    for each in entries:
        children.setdefault(each.parent, []).append(each.pid)
    waiting, reached = list(found), set(found)
    while waiting:
        for child in children.get(waiting.pop(), []):
            if child not in reached:
                reached.add(child)
                waiting.append(child)
    return reached


def namespace_holder(proc: Path, name: str) -> int | None:
    """A process that is in the network namespace of that name, None where nobody is."""
    for pid in pids(proc):
        try:
            if name_of((proc / str(pid) / "ns/net").stat()) == name:
                return pid
        except OSError:
            continue  # it has ended
    return None


def _entries(proc: Path, ownership: Ownership, timeout: float) -> dict[int, ProcessEntry]:
    numbers = pids(proc)
    marked = process.marks(proc, numbers, timeout) if ownership.mark else {}
    found = {}
    for pid in numbers:
        root = proc / str(pid)
        try:
            told = process.read(proc, pid)
            if told is None or not told.alive:
                continue
            status = _status(root)
            parent = whole_number(status.get("PPid", "")) or 0
            groups = systemd_groups(read_file(root / "cgroup"))
            # Of one with a single number (NSpid in proc(5)) it is the reader's, and need not be looked at.
            nested = len(status.get("NSpid", "").split()) != 1
            space = name_of((root / "ns/pid").stat()) if nested else ""
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        found[pid] = ProcessEntry(pid, parent, told.session, groups, space, marked.get(pid, ""), told.name == _MONITOR)
    return found


def _read(proc: Path, pid: int, foreign: frozenset[int]) -> ProcessSeen | None:
    """One process of the service with all its threads, None where it has ended. Raises OSError and Unread."""
    root = proc / str(pid)
    try:
        told = process.read(proc, pid)
        if told is None or not told.alive:
            return None
        threads = [each for each in (_thread(root / "task" / one) for one in os.listdir(root / "task")) if each]
        holds = _held_by(root, foreign)
    except (FileNotFoundError, ProcessLookupError):
        return None
    spaces = frozenset(space for space, _capabilities in threads)
    capabilities = frozenset(number for _space, numbers in threads for number in numbers)
    return ProcessSeen(pid, told.began, told.state in ("T", "t"), spaces, capabilities, holds)


def _thread(root: Path) -> tuple[str, frozenset[int]] | None:
    """Namespace and capabilities of a thread: each has its own of both."""
    try:
        told = _status(root)
        if told.get("State", "").startswith(("Z", "X")):
            return None
        return name_of((root / "ns/net").stat()), capabilities_of(told)
    except (FileNotFoundError, ProcessLookupError):
        return None


def capabilities_of(status: Mapping[str, str]) -> frozenset[int]:
    """The capabilities that a thread has or may get back: root does by the next program. Raises Unread."""
    names = [*_CAPABILITIES, *(["CapBnd"] if "0" in status.get("Uid", "0").split() else [])]
    found = 0
    for name in names:
        try:
            found |= int(status[name], 16)
        except (KeyError, ValueError) as error:
            raise Unread(f"a thread does not tell its {name}") from error
    return frozenset(number for number in range(64) if found >> number & 1)


def _held_by(root: Path, foreign: frozenset[int]) -> tuple[str, ...]:
    """Open files that pass any rule of a network namespace: RDMA, and sockets of the host's."""
    found = set()
    for name in os.listdir(root / "fd"):
        try:
            target = os.readlink(root / "fd" / name)
        except OSError:
            continue  # closed meanwhile
        if target.startswith(_PAST_RULES):
            found.add("an RDMA device, which passes all rules")
        number = whole_number(target[len("socket:[") : -1]) if target.startswith("socket:[") else None
        if number in foreign:
            found.add("a socket of the host's network")
    return tuple(sorted(found))


def _sockets_of_host(proc: Path) -> frozenset[int]:
    """The inodes of the sockets in the host's network namespace. Raises OSError."""
    found: set[int] = set()
    for name, column in _TABLES.items():
        try:
            with (proc / "1/net" / name).open(encoding="ascii", errors="replace") as table:
                fields = [line.split() for line in table]
        except FileNotFoundError:
            continue  # this kernel has no such protocol
        found.update(whole_number(each[column]) or 0 for each in fields if len(each) > column)
    return frozenset(found - {0})


def _host_namespaces(proc: Path) -> frozenset[str]:
    """The network namespaces of the host's init, and of whoever reads. Raises OSError and Unread.

    Where init's may not be looked at, its tables tell: each namespace has files of its own in procfs.
    """
    own = name_of((proc / "self/ns/net").stat())
    try:
        return frozenset((own, name_of((proc / "1/ns/net").stat())))
    except PermissionError:
        if name_of((proc / "1/net/dev").stat()) == name_of((proc / "self/net/dev").stat()):
            return frozenset((own,))
        raise Unread("which network namespace is the host's cannot be told") from None


def _status(root: Path) -> dict[str, str]:
    pairs = (line.partition(":") for line in read_file(root / "status").splitlines())
    return {key: value.strip() for key, _colon, value in pairs}


def _watchdog(service: Service, run: Runner, timeout: float) -> str:
    """Who would end a service that is frozen. Raises Unread."""
    if service.kind != "systemd":
        return ""
    set_to = systemctl.show(service.name, run, timeout).get("WatchdogUSec", "0")
    return "" if set_to in ("", "0", "infinity") else f"systemd's watchdog (WatchdogSec={set_to})"
