# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the directories of ended runs are kept, and how they go."""

from __future__ import annotations

import math
import os
import re
import shutil
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import structlog

from autoglm_recovery.receiver.runs import kept_evidence
from autoglm_recovery.receiver.runs.local import run_directory
from autoglm_recovery.receiver.runs.protocol import RunStatus

SWEEP_EVERY_S = 600.0
_GOING = ".removed"
# The number alone in release 0.1.0.
_NAME = re.compile(r"([0-9]{1,18})(?:-[0-9a-f]+)?", re.ASCII)
# The file whose time is the end of a run that is over: it has a result, or nothing holds it any more.
_LAST_FILE = {"ended": "result.json", "lost": "started"}

log = structlog.get_logger()


@dataclass(frozen=True)
class ArtifactRetention:
    """What is kept: the newest ``keep`` runs, none older than ``max_age_s`` seconds.  None is no limit."""

    keep: int | None = 1000
    max_age_s: float | None = 30 * 86400.0


@dataclass(frozen=True)
class KeptRun:
    """A run's directory.  ``ended_at`` is None for one that may be going on.

    ``number`` rises from run to run of one database; beside them may be those of one that was lost.
    """

    number: int
    path: Path
    ended_at: float | None

    @property
    def age(self) -> tuple[float, int]:
        """Return what rises from run to run."""
        return (math.inf if self.ended_at is None else self.ended_at, self.number)


def to_remove(
    kept: Iterable[KeptRun], unfinished: Collection[int], retention: ArtifactRetention, now: float
) -> list[KeptRun]:
    """Choose what goes.  A run that the database or its directory calls unfinished always stays, and counts as kept."""
    newest_first = sorted(kept, key=lambda run: run.age, reverse=True)
    going = []
    for place, run in enumerate(newest_first):
        if run.ended_at is None or run.number in unfinished:
            continue
        too_many = retention.keep is not None and place >= retention.keep
        too_old = retention.max_age_s is not None and now - run.ended_at > retention.max_age_s
        if too_many or too_old:
            going.append(run)
    return going


def found_in(runs_directory: Path) -> list[KeptRun]:
    """Read which runs there are.  What is not named like a run, or is a link, is somebody else's and left alone."""
    found = []
    with os.scandir(runs_directory) as entries:
        for entry in entries:
            named = _NAME.fullmatch(entry.name)
            if named and entry.is_dir(follow_symlinks=False):
                path = Path(entry.path)
                found.append(KeptRun(int(named[1]), path, _ended_at(path)))
    return found


def _ended_at(path: Path) -> float | None:
    """Return when a run ended; one that was cut off has no result, but nothing holds it and it was begun."""
    status = run_directory.status(path)
    if status is RunStatus.not_begun:
        # Of a run elsewhere there is nothing here but what was kept of its evidence.
        return kept_evidence.kept_at(path)
    if status.name not in _LAST_FILE:
        return None
    try:
        return (path / _LAST_FILE[status.name]).stat().st_mtime
    except FileNotFoundError:
        return None


class Sweeper:
    """Removes what retention lets go.  Called by the loop's thread; does something every ten minutes."""

    def __init__(self, runs_directory: Path, retention: ArtifactRetention) -> None:
        """Sweep at the first call."""
        self._runs_directory = runs_directory
        self._retention = retention
        self._next = 0.0

    @property
    def due(self) -> bool:
        """Tell whether a sweep would do something."""
        return time.monotonic() >= self._next and self._runs_directory.is_dir()

    def sweep(self, unfinished: Collection[int]) -> int:
        """Remove directories, given the numbers of all runs that the database calls unfinished; return how many."""
        if not self.due:
            return 0
        self._next = time.monotonic() + SWEEP_EVERY_S
        for half in self._runs_directory.glob(f"*{_GOING}"):
            shutil.rmtree(half, ignore_errors=True)
        removed = 0
        for run in to_remove(found_in(self._runs_directory), unfinished, self._retention, time.time()):
            # Renamed first: a directory that is half removed must not look like a run.
            going = run.path.with_name(f"{run.path.name}{_GOING}")
            try:
                run.path.rename(going)
                shutil.rmtree(going)
                removed += 1
            except OSError as error:
                log.warning("the directory of a run could not be removed", directory=str(run.path), why=str(error))
        if removed:
            log.info("removed directories of ended runs", count=removed)
        return removed
