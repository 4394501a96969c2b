# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking a running trainer by a signal to write a checkpoint, and choosing which of its checkpoints to save.

A file that has stopped growing may still be unfinished, so a checkpoint is chosen only if its structure proves it.
"""

from __future__ import annotations

import os
import signal
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from ..host import paths
from ..host.command import run
from ..host.numbers import whole_number
from ..host.processes import living_thread
from ..host.unread import Unread
from ..services import process, systemctl
from .formats import detect, prove
from .names import check_relative
from .problems import CheckpointError, Damaged
from .tree import Signature, read_tree, signature

_POLL_SECONDS = 0.1
_SYSTEMCTL_SECONDS = 10.0
# Polls after the trainer has ended: a file counts once two polls have seen it unchanged.
_POLLS_AFTER_END = 3
# No trainer nests deeper; each level is one more open directory.
_DEEPEST = 32


@dataclass(frozen=True)
class Source:
    """Where a trainer writes. pattern: selects the checkpoints in a directory; None: the path is the checkpoint."""

    path: Path
    pattern: str | None = None
    format: str | None = None

    def entries(self) -> list[Path]:
        """The possible checkpoints, newest first. Raises CheckpointError."""
        if self.pattern is None:
            return [self.path]
        parts = check_relative(self.pattern, "pattern").split("/")
        try:
            directory = paths.open_directory(str(self.path))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise CheckpointError(f"{self.path}: cannot be listed: {error.strerror}") from error
        try:
            found = dict(_matching(directory, parts, ""))
        finally:
            os.close(directory)
        return [self.path / name for name in sorted(found, key=found.__getitem__, reverse=True)]


def _matching(directory: int, parts: list[str], before: str) -> Iterator[tuple[str, int]]:
    """The matches of a pattern below an open directory, and when they changed, in ns. Links are not followed.

    A part of two asterisks stands for any number of directories, as in pathlib.
    """
    part, rest = parts[0], parts[1:]
    anywhere = part == "**"
    if anywhere and rest:
        yield from _matching(directory, rest, before)
    with os.scandir(directory) as entries:
        found = [entry for entry in entries if not entry.is_symlink() and (anywhere or fnmatchcase(entry.name, part))]
        for entry in found:
            name, is_directory = before + entry.name, entry.is_dir(follow_symlinks=False)
            if not rest and (is_directory or not anywhere):
                yield name, _changed_at(entry)
            deeper = parts if anywhere else rest
            if is_directory and deeper and name.count("/") < _DEEPEST:
                try:
                    below = paths.open_below(directory, entry.name)
                except OSError:  # removed meanwhile, or not readable
                    continue
                try:
                    yield from _matching(below, deeper, name + "/")
                finally:
                    os.close(below)


def newest_whole(source: Source) -> tuple[Path, dict[str, str]]:
    """The newest entry that its structure proves, and why newer ones are not proven. Raises CheckpointError."""
    skipped: dict[str, str] = {}
    for path in source.entries():
        try:
            prove(read_tree(path), source.format)
        except Damaged as error:
            skipped[str(path)] = str(error)
            continue
        return path, skipped
    reasons = "".join(f"; {reason}" for reason in skipped.values())[:1000]
    where = f"{source.path}/{source.pattern}" if source.pattern else str(source.path)
    raise CheckpointError(f"{where}: there is no whole checkpoint{reasons}")


def snapshot(source: Source) -> dict[Path, dict[str, Signature]]:
    """The entries and their signatures before the trainer is asked."""
    return {path: signature(path) for path in source.entries()}


@dataclass(frozen=True)
class Trainer:
    """A trainer's process. owner: the user who named it and must own it; None if root named it."""

    pid: int
    owner: int | None = None


def ask(trainer: Trainer, name: str) -> None:
    """Send a signal to a process that handles it. Raises ValueError and CheckpointError."""
    number, pid = signal_number(name), trainer.pid
    try:
        descriptor = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    except OSError as error:
        raise CheckpointError(f"process {pid}: {error.strerror}") from error
    try:
        # The descriptor is opened before the checks, so that the number cannot go to another process in between.
        _check_owner(trainer)
        if not _handles_signal(pid, number):
            raise CheckpointError(f"process {pid} has no handler for {name}, which would end it; it was not sent")
        if descriptor is not None and hasattr(signal, "pidfd_send_signal"):
            signal.pidfd_send_signal(descriptor, number)
        else:
            os.kill(pid, number)
    except OSError as error:
        raise CheckpointError(f"process {pid}: {name} could not be sent: {error.strerror}") from error
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _check_owner(trainer: Trainer) -> None:
    if trainer.owner is None:
        return
    try:
        found = process.read(Path("/proc"), trainer.pid)
    except Unread as error:
        raise CheckpointError(str(error)) from error
    if found is None:
        raise CheckpointError(f"process {trainer.pid} is gone")
    if found.uid != trainer.owner:
        raise CheckpointError(
            f"the PID file belongs to user {trainer.owner} and process {trainer.pid} to user {found.uid}: "
            "whoever may write the file could have us signal any process; it was not sent"
        )


def wait_for_new(source: Source, before: Mapping[Path, dict[str, Signature]], pid: int, timeout: float) -> Path:
    """Wait for a new or changed entry that its structure proves. Raises CheckpointError."""
    deadline = time.monotonic() + timeout
    last: dict[Path, dict[str, Signature]] = {}
    why = "it wrote nothing new"
    polls_after_end = 0
    while True:
        polls_after_end += not _is_running(pid)
        for path in source.entries():
            seen = signature(path)
            quiet = seen and seen != before.get(path) and seen == last.get(path)
            last[path] = seen
            problem = _why_not_whole(path, source.format, seen) if quiet else None
            if quiet and problem is None:
                return path
            why = problem or why
        if polls_after_end > _POLLS_AFTER_END:
            raise CheckpointError(f"process {pid} ended before it had written a whole checkpoint: {why}")
        if time.monotonic() > deadline:
            raise CheckpointError(f"process {pid} wrote no whole checkpoint within {timeout:g} s: {why}")
        time.sleep(_POLL_SECONDS)


def _why_not_whole(path: Path, wanted: str | None, seen: Mapping[str, Signature]) -> str | None:
    """Why an entry is not proven, None if it is. Plain files are never proven to be finished."""
    try:
        tree = read_tree(path)
        if not tree.files or (wanted or detect(tree)) == "files":
            return f"{path}: has no structure by which it could be seen to be finished"
        prove(tree, wanted)
    except Damaged as error:
        return f"{path}: {error}"
    return None if signature(path) == seen else f"{path}: is still written to"


def signal_number(name: str) -> signal.Signals:
    """SIGUSR1 or USR1. Raises ValueError."""
    try:
        number = signal.Signals["SIG" + name.upper().removeprefix("SIG")]
    except KeyError:
        raise ValueError(f"signal {name[:40]!r} is none; try SIGUSR1") from None
    if number in (signal.SIGKILL, signal.SIGSTOP):
        raise ValueError(f"{name} cannot be handled by any trainer")
    return number


def find(pid_file: Path | None, unit: str | None) -> Trainer:
    """The trainer's main process, by its pid file or its systemd unit. Raises CheckpointError."""
    if pid_file is not None:
        return _trainer_of_pid_file(str(pid_file))
    try:
        pid = systemctl.main_pid(systemctl.show(systemctl.unit_name(unit or ""), run, _SYSTEMCTL_SECONDS))
    except Unread as error:
        raise CheckpointError(f"{unit}: {error}") from error
    if pid is None:
        raise CheckpointError(f"{unit} is not running, so nobody can be asked for a checkpoint")
    return Trainer(pid)


def _trainer_of_pid_file(pid_file: str) -> Trainer:
    try:
        with os.fdopen(paths.open_file(pid_file), encoding="ascii") as file:
            about = os.fstat(file.fileno())
            if about.st_mode & stat.S_IWOTH:
                raise CheckpointError(f"{pid_file} may be written by anybody, who could have us signal any process")
            if about.st_uid == 0:
                _check_written_by_root(file.fileno(), about, pid_file)
            text = file.read(64).strip()
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{pid_file}: cannot be read: {error}") from error
    number = whole_number(text)
    if number is None or number < 2:
        raise CheckpointError(f"{pid_file}: holds no process id")
    return Trainer(number, about.st_uid or None)


def _check_written_by_root(descriptor: int, about: os.stat_result, pid_file: str) -> None:
    """Check that only root can have put the file there: then it may name any user's process. Raises OSError.

    A file in a directory that a service owns does not count: the service could move a file of root's to this name.
    """
    if about.st_mode & stat.S_IWGRP:
        raise CheckpointError(
            f"{pid_file} is root's and may be written by a group, which could have us signal any process"
        )
    directory = paths.open_directory(os.path.dirname(pid_file), own=True)
    try:
        if not paths.is_at(descriptor, directory, os.path.basename(pid_file)):
            raise CheckpointError(f"{pid_file}: was replaced while it was read")
    finally:
        os.close(directory)


def _handles_signal(pid: int, number: int) -> bool:
    try:
        lines = Path(f"/proc/{pid}/status").read_text("utf-8", "replace").splitlines()
    except OSError as error:
        raise CheckpointError(f"process {pid}: {error.strerror}") from error
    mask = next((line.split()[1] for line in lines if line.startswith("SigCgt:")), "0")
    return bool(int(mask, 16) >> (number - 1) & 1)


def _is_running(pid: int) -> bool:
    try:
        return living_thread(Path(f"/proc/{pid}")) is not None
    except OSError:
        return False


def _changed_at(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_mtime_ns
    except OSError:
        return 0
