# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""State directories are lost, restored, copied and made beside one another, clocks are wrong by years, runs freeze and
wake: the databases are real, and the marks are a host's.

Whatever happens, no run goes on where a newer one has been.  A receiver is never refused for ever: one refusal lets it
go above the mark.  Where no clock went backwards it is not refused at all, whatever became of its state directory.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import shutil
import sqlite3
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from autoglm_recovery.knowledge.fencing.mark import Fenced, ShownToken, show
from autoglm_recovery.receiver.store import fences
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.store.runs import new_key


@functools.cache
def empty() -> Path:
    """Return a database as a receiver makes it, and what becomes of it is a copy's."""
    path = Path(tempfile.mkdtemp(prefix="epoch-")) / "empty.db"
    atexit.register(shutil.rmtree, path.parent, ignore_errors=True)
    database = Database(f"sqlite:///{path}", lasting=False)
    database.migrate()
    database.close()
    return path


TODAY = 1_795_888_800.0
YEAR = 365 * 86400.0
HOSTS = ("node-a", "node-b")
SERVICES = (None, "llama", "qwen")


@dataclass
class Life:
    """A state directory with a receiver on it."""

    path: Path
    database: Database


@dataclass
class Run:
    """A run that was begun: ``order`` is its place in the order in which runs were begun, over all databases."""

    life: Life
    host: str
    service: str | None
    token: int
    order: int
    key: str = field(default_factory=new_key)


class StateDirectories(RuleBasedStateMachine):
    """Each rule is something that happens to a state directory, to a clock, or to a run."""

    lives = Bundle("lives")
    backups = Bundle("backups")
    runs = Bundle("runs")

    @initialize()
    def begin(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="epoch-"))
        self.made = self.order = 0
        self.at = self.latest = TODAY
        self.clock_was_right = True
        self.opened: list[Database] = []
        # Per host and service: the runs that were let on, in this order.
        self.went_on: list[Run] = []

    def teardown(self) -> None:
        for database in getattr(self, "opened", ()):
            database.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _open(self, copy_of: Path) -> Life:
        self.made += 1
        path = self.directory / f"{self.made}.db"
        shutil.copy(copy_of, path)
        database = Database(f"sqlite:///{path}", lasting=False)
        self.opened.append(database)
        return Life(path, database)

    def _copy(self, life: Life) -> Path:
        self.made += 1
        path = self.directory / f"{self.made}.copy"
        with contextlib.closing(sqlite3.connect(life.path)) as source, contextlib.closing(sqlite3.connect(path)) as to:
            source.backup(to)
        return path

    @rule(target=lives)
    def first_or_second_or_made_anew(self) -> Life:
        """A lost state directory, and that of another receiver for the same hosts."""
        return self._open(empty())

    @rule(target=backups, life=lives)
    def back_up(self, life: Life) -> Path:
        return self._copy(life)

    @rule(target=lives, backup=backups, life=consumes(lives))
    def restore(self, backup: Path, life: Life) -> Life:
        """Yesterday's backup in the place of what there was; runs of before may still be frozen somewhere."""
        self.opened.remove(life.database)
        life.database.close()
        return self._open(backup)

    @rule(target=lives, life=lives)
    def copy_and_use_both(self, life: Life) -> Life:
        return self._open(self._copy(life))

    @rule(seconds=st.floats(0.0, 3 * 86400.0))
    def time_passes(self, seconds: float) -> None:
        self._move(seconds)

    @rule(seconds=st.floats(-10 * YEAR, 10 * YEAR))
    def the_clock_is_set(self, seconds: float) -> None:
        self._move(seconds)

    def _move(self, seconds: float) -> None:
        self.at = max(0.0, self.at + seconds)
        self.clock_was_right = self.clock_was_right and self.at >= self.latest
        self.latest = max(self.latest, self.at)

    def _begin(self, life: Life, host: str, service: str | None) -> Run:
        # Two that begin in one instant have no order that any clock could tell.
        self._move(0.001)
        self.order += 1
        with life.database.writing() as connection:
            token = fences.give(connection, sa.literal(self.at), host)
        return Run(life, host, service, token, self.order)

    @rule(target=runs, life=lives, host=st.sampled_from(HOSTS), service=st.sampled_from(SERVICES))
    def a_run_is_begun_and_frozen(self, life: Life, host: str, service: str | None) -> Run:
        return self._begin(life, host, service)

    @rule(target=runs, one=lives, other=lives, host=st.sampled_from(HOSTS), service=st.sampled_from(SERVICES))
    def two_begin_one_in_the_same_instant(self, one: Life, other: Life, host: str, service: str | None) -> Any:
        """As when Alertmanager tells both of one alert."""
        first = self._begin(one, host, service)
        with other.database.writing() as connection:
            token = fences.give(connection, sa.literal(self.at), host)
        return multiple(first, Run(other, host, service, token, self.order))

    @rule(run=runs)
    def it_wakes_and_comes_to_a_step(self, run: Run) -> None:
        with contextlib.suppress(Fenced):
            self._step(run)

    @rule(target=runs, life=lives, host=st.sampled_from(HOSTS), service=st.sampled_from(SERVICES))
    def a_run_is_begun_and_goes_on(self, life: Life, host: str, service: str | None) -> Run:
        """As the receiver does it: a refusal raises what it gives for the host, and the run is begun again."""
        run = self._begin(life, host, service)
        try:
            self._step(run)
        except Fenced as refusal:
            assert not self.clock_was_right, f"refused although no clock went backwards: {refusal}"
            with life.database.writing() as connection:
                assert fences.raise_to(connection, host, refusal.mark)
            run = self._begin(life, host, service)
            self._step(run)
        return run

    def _step(self, run: Run) -> None:
        show(self.directory / "marks", ShownToken(run.host, run.service, run.token, run.key))
        self.went_on.append(run)

    @invariant()
    def nobody_goes_on_where_a_newer_one_has_been(self) -> None:
        last = self.went_on[-1] if getattr(self, "went_on", None) else None
        if last is None:
            return
        for earlier in self.went_on[:-1]:
            if earlier.host != last.host or not _meet(earlier.service, last.service):
                continue
            assert earlier.token <= last.token
            assert earlier.token != last.token or earlier.key == last.key
            # Of one database the later run is the newer one, and of several too while the clocks are right.
            assert earlier.order <= last.order or not (self.clock_was_right or earlier.life is last.life)


def _meet(one: str | None, other: str | None) -> bool:
    """Tell whether two actions may disturb each other: one on the whole host, or both on one service."""
    return one is None or other is None or one == other


TestStateDirectories = StateDirectories.TestCase
TestStateDirectories.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
