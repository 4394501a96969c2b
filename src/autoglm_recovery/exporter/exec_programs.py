# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which program a process runs, and whether it may run in a service.

A wrong word here cuts a healthy service off from the network.  So what an upgrade, a unit's own mounts and a container
runtime do as a matter of course is told apart from an intruder; and what cannot be told is unknown, and neither.
"""

from __future__ import annotations

import filecmp
import os
import re
import stat
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from autoglm_recovery.exporter.services import NodeService

FileId = tuple[int, int]

# systemd (255 and later) begins each unit's program through this one.
EXECUTOR = "/usr/lib/systemd/systemd-executor"
_DELETED = " (deleted)"
# crun and runc execute a copy of themselves, so that no container can write to them: the root of a detached mount of
# the same file or of a sealed overlay, or a file in memory.  crun 1.8: "/"; runc 1.2: "/runc".  Their sources say it in
# src/libcrun/cloned_binary.c, and libcontainer/dmz.
_RUNTIMES = frozenset(("crun", "runc"))
_COPY = re.compile(r"/|/(?P<overlay>crun|runc)|/memfd:(?P<memory>crun|runc)_cloned:/proc/self/exe(?: \(deleted\))?")
_REMEMBERED = 65536
_UNCLEAN = re.compile(r"[^A-Za-z0-9_./+:@() -]")
_LONGEST = 200


class UnknownProgramError(Exception):
    """It cannot be told whether a program may run."""


@dataclass(frozen=True)
class ExecutedProgram:
    """A program as the kernel runs it.  ``path``: in its own mounts, such as "/memfd:x (deleted)".

    ``mounts``: its mount namespace.  ``regular``: it is a file that still has a name.  ``exe``: where it can be read.
    """

    path: str
    file: FileId
    mounts: int
    regular: bool = True
    exe: Path = Path()


@dataclass
class Machine:
    """The machine's own mounts, which are those of process 1.

    Where that may not be looked at, our own serve: either this process is in the machine's mounts as well, or it lacks
    CAP_SYS_PTRACE, and sees no service's program at all.
    """

    proc: Path = Path("/proc")

    def mounts(self) -> int:
        """Return their namespace.  Raises OSError."""
        return os.stat(self._process() / "ns/mnt").st_ino

    def place(self, path: str) -> Path:
        """Return where a path of the machine can be read from here, which may have other mounts."""
        return self._process() / "root" / path.lstrip("/")

    def _process(self) -> Path:
        first = self.proc / "1"
        return first if os.access(first / "ns/mnt", os.F_OK) else self.proc / "self"

    def file(self, path: str) -> FileId | None:
        """Return which file a path is now; None where it is none.  Raises UnknownProgramError."""
        try:
            seen = os.lstat(self.place(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise UnknownProgramError(f"{path} of the machine cannot be looked at: {error.strerror}") from error
        return seen.st_dev, seen.st_ino

    def has_content(self, path: str, exe: Path) -> bool:
        """Tell whether a file is, byte for byte, what a program is.  Raises UnknownProgramError."""
        try:
            return filecmp.cmp(self.place(path), exe, shallow=False)
        except OSError as error:
            raise UnknownProgramError(f"{path} cannot be compared: {error.strerror}") from error
        finally:
            filecmp.clear_cache()


@dataclass
class AllowList:
    """Decides.  ``own_mounts``: the mount namespace of the machine, in which files may be upgraded at any time.

    In other mounts a declared program is the machine's own file, or stays the file that it was at the first look.
    """

    own_mounts: int | None = None
    machine_file: Callable[[str], FileId | None] = lambda _path: None
    has_content: Callable[[str, Path], bool] = lambda _path, _exe: False
    _pinned: OrderedDict[tuple[str, int, str], FileId] = field(default_factory=OrderedDict)

    def why_not(self, service: NodeService, program: ExecutedProgram) -> str:
        """Return why a program may not run in a service; empty where it may.  Raises UnknownProgramError."""
        at_home = program.mounts == self.own_mounts
        # The name that it had; an upgrade has replaced it since.
        path = program.path if program.regular else program.path.removesuffix(_DELETED)
        if at_home and path == EXECUTOR:
            return ""
        if path not in service.programs:
            return "" if self._is_runtimes_copy(service, program) else "is not among its programs"
        return "" if at_home else self._why_not_elsewhere(service, program, path)

    def _why_not_elsewhere(self, service: NodeService, program: ExecutedProgram, path: str) -> str:
        key = (service.name, program.mounts, path)
        pinned = self._pinned.get(key)
        if pinned == program.file:
            return ""
        if not program.regular:
            return "has no name in the file system any more"
        if pinned is None:
            self._pinned[key] = program.file
            if len(self._pinned) > _REMEMBERED:
                self._pinned.popitem(last=False)
            return ""
        if self.machine_file(path) == program.file:
            return ""  # a unit's own mounts show the machine's files, which were upgraded
        return "is not the file that it was when it was first seen there"

    def _is_runtimes_copy(self, service: NodeService, program: ExecutedProgram) -> bool:
        match = _COPY.fullmatch(program.path)
        if match is None:
            return False
        named = match["overlay"] or match["memory"]
        for path in sorted(service.programs):
            name = path.rpartition("/")[2]
            if name not in _RUNTIMES or named not in (None, name):
                continue
            if self.machine_file(path) == program.file or self.has_content(path, program.exe):
                return True
        return False


def clean(path: str) -> str:
    """Return a path that an intruder has chosen, fit for people's eyes."""
    return _UNCLEAN.sub("?", path)[:_LONGEST]


def read_program(proc: Path, pid: int) -> ExecutedProgram | None:
    """Return what a process runs; None where that cannot be read, or not any more."""
    exe = proc / str(pid) / "exe"
    try:
        path, seen = os.readlink(exe), os.stat(exe)
        mounts = os.stat(proc / str(pid) / "ns/mnt").st_ino
    except OSError:
        return None
    regular = stat.S_ISREG(seen.st_mode) and seen.st_nlink > 0
    return ExecutedProgram(path, (seen.st_dev, seen.st_ino), mounts, regular, exe)
