# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWX is asked in a thread of its own: one that hangs holds up no repair that has no part in it.

The acting thread leaves what it wants to know, and takes what was seen since.  A look is made of what the database kept
at that time; where the run has moved on meanwhile it is thrown away and made again, so that no news is told twice.
Once a look has shown something there is no other one before the acting thread has taken that and asks again: it would
go on with what the database may not have kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from autoglm_recovery.receiver.process.worker import UNTIL_WOKEN, Worker
from autoglm_recovery.receiver.runs.awx.client import AwxUnavailable
from autoglm_recovery.receiver.runs.awx.launcher import AwxLauncher, as_before
from autoglm_recovery.receiver.runs.protocol import LaunchRefused, RunRecord, RunReport, RunSpec

log = structlog.get_logger()


@dataclass(frozen=True)
class _Wish:
    """What the acting thread wants: a look at a run, after it was cancelled where ``cancel`` says why."""

    run: RunRecord
    order: Callable[[], RunSpec] | None
    cancel: str | None = None


@dataclass(frozen=True)
class _Seen:
    """What came of a look, and of which state of the run it was made."""

    run: RunRecord
    outcome: RunReport | LaunchRefused


class BackgroundAwx:
    """Implements ``Launcher``; every call returns at once.  ``longest_s``: how long AWX may take over one run."""

    name = "awx"
    outlives_receiver = True

    def __init__(self, launcher: AwxLauncher, longest_s: float) -> None:
        """Ask nothing yet."""
        self._launcher = launcher
        self._lock = threading.Lock()
        self._wishes: dict[int, _Wish] = {}
        self._seen: dict[int, _Seen] = {}
        self._worker = Worker("awx", self._step, stuck_after=lambda: 4 * longest_s, first_after_s=0.0)

    @property
    def worker(self) -> Worker:
        """Return the thread that asks."""
        return self._worker

    def start(self) -> None:
        """Begin to ask."""
        self._worker.start()

    def stop(self) -> None:
        """Ask no more; jobs go on, and the connections are closed."""
        self._worker.stop()
        self._launcher.close()

    def look(self, run: RunRecord, order: Callable[[], RunSpec]) -> RunReport:
        """See ``Launcher.look``: what was seen since, or else as before."""
        with self._lock:
            seen = self._seen.pop(run.id, None)
            earlier = self._wishes.get(run.id)
            if seen is not None and seen.run == run:
                if earlier is not None:
                    self._wishes[run.id] = replace(earlier, order=None)
            else:
                self._wishes[run.id] = _Wish(run, order, earlier.cancel if earlier else None)
                seen = None
        if seen is None:
            self._worker.wake()
            return as_before(run)
        if isinstance(seen.outcome, LaunchRefused):
            raise seen.outcome
        return seen.outcome

    def cancel(self, run: RunRecord, why: str) -> None:
        """See ``Launcher.cancel``; AWX is told soon, and again until it has done so."""
        with self._lock:
            earlier = self._wishes.get(run.id)
            self._wishes[run.id] = _Wish(run, earlier.order if earlier else None, why)
        self._worker.wake()

    def _step(self) -> float:
        """Fulfil the wish that was left first."""
        with self._lock:
            if not self._wishes:
                return UNTIL_WOKEN
            wish = self._wishes.pop(next(iter(self._wishes)))
            if wish.run.id in self._seen:
                wish = replace(wish, order=None)
        self._fulfil(wish)
        return 0.0

    def _fulfil(self, wish: _Wish) -> None:
        if wish.cancel is not None:
            try:
                self._launcher.cancel(wish.run, wish.cancel)
            except AwxUnavailable as error:
                log.warning("a job could not be cancelled yet", run=wish.run.id, why=str(error))
        if wish.order is None:
            return
        try:
            outcome: RunReport | LaunchRefused = self._launcher.look(wish.run, wish.order)
        except LaunchRefused as refused:
            outcome = refused
        if outcome == as_before(wish.run):
            return
        with self._lock:
            self._seen[wish.run.id] = _Seen(wish.run, outcome)
