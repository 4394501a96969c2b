# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every background thread of the receiver is: one step again and again, which no error ends.

One policy for all errors: told in full once, counted, a pause that grows, and on.  And one way to see that a thread
does not come round any more: a step that takes longer than it may, or that is not begun when it was due.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import structlog

log = structlog.get_logger()

STUCK_AFTER_S = 60.0
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
# For a step that has nothing to do until it is woken.
UNTIL_WOKEN = math.inf


@dataclass(frozen=True)
class WorkerTrouble:
    """What is wrong with a worker: ``stuck``, for so many seconds, or else failing since then.

    ``vital``: without this worker no alert is stored, none acted on, or no run kept.
    """

    name: str
    stuck: bool
    seconds: float
    vital: bool = False

    def __str__(self) -> str:
        what = "is stuck, and has been" if self.stuck else "fails, and has"
        return f"{self.name} {what} for {self.seconds:.0f} s"


class Worker:
    """Does ``step`` in a thread of its own.  A step returns in how many seconds the next one is due.

    After an error the next step begins after ``first_pause_s``, twice as long after each error more, and after
    ``longest_pause_s`` at most; being woken does not shorten that.  ``stuck_after`` is how long a step may take.  The
    receiver is not ready without a ``vital`` one; without another it goes on, and what that would say counts as
    unknown.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], float],
        *,
        stuck_after: Callable[[], float] = lambda: STUCK_AFTER_S,
        first_after_s: float = 0.0,
        first_pause_s: float = FIRST_PAUSE_S,
        longest_pause_s: float = LONGEST_PAUSE_S,
        vital: bool = False,
    ) -> None:
        """Start nothing yet."""
        self.name = name
        self.vital = vital
        self.failures = 0
        """How many errors there were in all."""
        self._step = step
        self._stuck_after = stuck_after
        self._first_after_s = first_after_s
        self._pauses = first_pause_s, longest_pause_s
        self._awake = threading.Event()
        self._stopping = threading.Event()
        self._in_a_row = 0
        self._failing_since = 0.0
        self._told: type[BaseException] | None = None
        # When the step that goes on began, or the next one is due.
        self._expected_at = math.inf
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._expected_at = time.monotonic() + self._first_after_s
        self._thread.start()

    def stop(self, within_s: float | None = None) -> None:
        """End after the step that goes on; wait for that no longer than told."""
        self._stopping.set()
        self._awake.set()
        if self._thread.is_alive():
            self._thread.join(within_s)

    def wake(self) -> None:
        """Have the next step begin now."""
        self._awake.set()

    @property
    def stopping(self) -> bool:
        """Tell whether it is to end, for a step that takes long."""
        return self._stopping.is_set()

    @property
    def trouble(self) -> WorkerTrouble | None:
        """Tell what is wrong.  One that was not started, or is being stopped, is well."""
        if self._thread.ident is None or self.stopping:
            return None
        now = time.monotonic()
        late = now - self._expected_at
        if not self._thread.is_alive() or late > self._stuck_after():
            return WorkerTrouble(self.name, stuck=True, seconds=max(0.0, late), vital=self.vital)
        if self._in_a_row:
            return WorkerTrouble(self.name, stuck=False, seconds=now - self._failing_since, vital=self.vital)
        return None

    def attempt(self) -> float:
        """Do one step; return the seconds until the next one, which after an error are a pause."""
        self._expected_at = time.monotonic()
        try:
            pause = self._step()
        except BaseException as error:  # noqa: BLE001 - also what a library throws to end its thread must not end ours
            pause = self._note(error)
        else:
            if self._in_a_row:
                with suppress(Exception):
                    log.info("worker goes on", worker=self.name, failures=self._in_a_row)
            self._in_a_row, self._told = 0, None
        self._expected_at = time.monotonic() + pause
        return pause

    def _run(self) -> None:
        self._awake.wait(self._first_after_s)
        while True:
            self._awake.clear()
            # After the clearing, so that the word to stop is never what was cleared.
            if self._stopping.is_set():
                return
            pause = self.attempt()
            (self._stopping if self._in_a_row else self._awake).wait(None if pause == UNTIL_WOKEN else pause)

    def _note(self, error: BaseException) -> float:
        if not self._in_a_row:
            self._failing_since = time.monotonic()
        self.failures += 1
        self._in_a_row += 1
        # Where this goes may be what is broken: a full disk, a closed pipe.
        with suppress(Exception):
            # In full once: a database that is away for an hour fails every step of it.
            say = log.debug if type(error) is self._told else log.error
            say("worker failed", worker=self.name, failures=self._in_a_row, exc_info=error)
        self._told = type(error)
        first, longest = self._pauses
        return min(longest, first * 2.0 ** min(self._in_a_row - 1, 30))


class Background(Protocol):
    """A part of the receiver that works in the background."""

    @property
    def worker(self) -> Worker:
        """Return what it works in."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> None:
        """End."""


class Workers:
    """All workers of a receiver, to be asked how they are."""

    def __init__(self) -> None:
        """Have none yet."""
        self._all: list[Worker] = []

    def take(self, worker: Worker) -> None:
        """Have one more."""
        self._all.append(worker)

    def __iter__(self) -> Iterator[Worker]:
        """Return all, one after the other."""
        return iter(self._all)

    @property
    def troubles(self) -> tuple[WorkerTrouble, ...]:
        """Return what is wrong with any, the stuck ones first."""
        found = [trouble for worker in self._all if (trouble := worker.trouble) is not None]
        return tuple(sorted(found, key=lambda trouble: (not trouble.stuck, trouble.name)))
