# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control groups of both versions: their mounts, the groups of a unit, and their memory counters."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from .numbers import whole_number
from .piece import Piece
from .processes import read_file, section
from .unread import Unread
from .walking import walk

# Files of both versions, the most useful first; memory.stat is long and comes last.
_FILES = (
    "memory.events", "memory.events.local", "memory.oom_control", "memory.failcnt", "memory.oom.group",
    "memory.current", "memory.usage_in_bytes", "memory.peak", "memory.max_usage_in_bytes",
    "memory.max", "memory.limit_in_bytes", "memory.high", "memory.swap.current", "memory.swap.max", "memory.pressure",
    "cgroup.events", "cgroup.procs", "pids.current", "pids.max", "memory.stat",
)  # fmt: skip
_MAX_DIRECTORIES = 20_000
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """A mounted hierarchy. version: 1 or 2. root: the group that the mount point shows. controllers: of version 1."""

    version: int
    root: str
    point: Path
    controllers: frozenset[str] = frozenset()

    @property
    def tells_memory(self) -> bool:
        return self.version == 2 or "memory" in self.controllers

    def serves(self, controllers: frozenset[str]) -> bool:
        """Whether a line of /proc/PID/cgroup belongs to this hierarchy. Version 2 names no controllers there."""
        return self.version == 1 and controllers <= self.controllers if controllers else self.version == 2

    def locate(self, group: str) -> Path:
        """The directory of a group, given its path in /proc/PID/cgroup."""
        inside = group[len(self.root) :] if self.root != "/" and group.startswith(self.root) else group
        return self.point / inside.lstrip("/")


def parse_mounts(mountinfo: str) -> list[Mount]:
    """The hierarchies in a /proc/PID/mountinfo (format: proc(5))."""
    mounts = []
    for line in mountinfo.splitlines():
        left, dash, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        if not dash or len(fields) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        options = frozenset(kind[2].split(","))
        root, point = (_OCTAL.sub(lambda m: chr(int(m.group(1), 8)), text) for text in fields[3:5])
        mounts.append(Mount(2 if kind[0] == "cgroup2" else 1, root, Path(point), options))
    return mounts


def parse_membership(text: str) -> list[tuple[frozenset[str], str]]:
    """The lines of a /proc/PID/cgroup: controllers (empty for version 2) and the group's path."""
    groups = []
    for line in text.splitlines():
        fields = line.split(":", 2)
        if len(fields) == 3:
            groups.append((frozenset(name for name in fields[1].split(",") if name), fields[2]))
    return groups


def groups_of_process(
    proc: Path, pid: int, mounts: Iterable[Mount], wanted: Callable[[str], bool] = lambda _group: True
) -> list[Path]:
    """The directories of the groups that a process is in and that may tell of memory. Raises OSError.

    wanted: is asked with the path of each group.
    """
    found: list[Path] = []
    for controllers, group in parse_membership(read_file(proc / str(pid) / "cgroup")):
        for mount in mounts:
            if mount.tells_memory and mount.serves(controllers) and wanted(group):
                found.append(mount.locate(group))
    return [path for path in dict.fromkeys(found) if path.is_dir()]


def groups_of_unit(unit: str, control_group: str, mounts: Iterable[Mount]) -> list[Path]:
    """Groups with the unit's name or named by systemd, dead or alive, in every hierarchy with memory counters."""
    found: list[Path] = []
    for mount in mounts:
        if not mount.tells_memory:
            continue
        if control_group:
            found.append(mount.locate(control_group))
        found.extend(_groups_named(mount.point, unit))
    return [path for path in dict.fromkeys(found) if path.is_dir()]


def processes_in(directory: Path) -> list[int]:
    """Every process in a group and in the groups below it."""
    found: list[int] = []
    for path in (directory, *_directories_below(directory)):
        try:
            found.extend(filter(None, map(whole_number, read_file(path / "cgroup.procs").split())))
        except OSError:
            continue
    return sorted(set(found))


def oom_kills(groups: Iterable[Path]) -> int | None:
    """How many processes the OOM killer has killed in these groups, None where no group has that counter.

    A group that appears in several hierarchies counts once.
    """
    counts = []
    for group in groups:
        for name in ("memory.events", "memory.oom_control"):
            with contextlib.suppress(OSError):
                found = re.search(r"^oom_kill ([0-9]{1,20})$", read_file(group / name), re.MULTILINE)
                counts.extend([int(found.group(1))] if found else [])
    return max(counts, default=None)


def memory(groups: Iterable[Path], mounts: Iterable[Mount]) -> Piece:
    """Memory state and OOM counters of groups and of all their parents, whose counters outlive a dead group."""
    points = {mount.point for mount in mounts}
    listed: list[Path] = []
    for group in groups:
        listed.extend(path for path in (group, *group.parents) if any(_is_inside(path, point) for point in points))
    if not listed:
        raise Unread("no control group with memory accounting was found for the unit")
    text = "".join(_group_text(path) for path in dict.fromkeys(listed))
    return Piece(text, ", ".join(str(group) for group in dict.fromkeys(groups)))


def _group_text(path: Path) -> str:
    names = [name for name in _FILES if (path / name).exists()]
    title = f"# group {path}\n"
    if not names:
        return f"{title}(no memory accounting here)\n\n"
    return title + "".join(section(name, lambda name=name: read_file(path / name)) for name in names)  # type: ignore[misc]


def _groups_named(root: Path, unit: str) -> Iterator[Path]:
    return (path for path in _directories_below(root) if path.name == unit)


def _directories_below(root: Path) -> Iterator[Path]:
    seen = 0
    for directory, names, _files in walk(root):
        for name in names:
            yield Path(directory) / name
        seen += len(names)
        if seen > _MAX_DIRECTORIES:
            return


def _is_inside(path: Path, point: Path) -> bool:
    return path == point or point in path.parents
