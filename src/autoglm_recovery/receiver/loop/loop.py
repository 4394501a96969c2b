# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiver's one thread that acts: absorb, follow, dispatch, again and again."""

from __future__ import annotations

from collections.abc import Callable

from autoglm_recovery.receiver.fleet.site_config import CurrentConfig, SiteConfig
from autoglm_recovery.receiver.loop.dispatch import Dispatcher
from autoglm_recovery.receiver.notify.refusals import tell_of_refusals
from autoglm_recovery.receiver.observe.metrics import Metrics
from autoglm_recovery.receiver.process.service_manager import ServiceManager
from autoglm_recovery.receiver.process.worker import Worker
from autoglm_recovery.receiver.runs.follow import Follower
from autoglm_recovery.receiver.runs.local.artifacts import Sweeper
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store import runs
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.triage.absorb import absorb
from autoglm_recovery.receiver.values.clock import Clock, wall

MOST_DUE_AT_ONCE = 200

# A run tells what it does in a file, which is read this often; without runs the loop sleeps until something is due.
_FOLLOW_EVERY_S = 0.1
# News wakes it; this is for news that was lost.
_LONGEST_SLEEP_S = 5.0
_A_LITTLE_S = 0.05
_AFTER_AN_ERROR_S = 1.0
_LONGEST_TURN_S = 30.0


class Loop:
    """Moves every incident along.  All it knows is in the database, so that it may end and begin anywhere."""

    def __init__(  # noqa: PLR0913 - it moves everything
        self,
        database: Database,
        config: CurrentConfig,
        metrics: Metrics,
        dispatcher: Dispatcher,
        follower: Follower,
        *,
        sweeper: Sweeper | None = None,
        notified: Callable[[], None] = lambda: None,
        clock: Clock = wall,
        manager: ServiceManager | None = None,
    ) -> None:
        self._database = database
        self._config = config
        self._metrics = metrics
        self._dispatcher = dispatcher
        self._follower = follower
        self._sweeper = sweeper
        self._notified = notified
        self._clock = clock
        self._decided_by: SiteConfig | None = None
        self._manager = manager or ServiceManager()
        self._longest_sleep_s = min(_LONGEST_SLEEP_S, self._manager.longest_silence_s)
        self.worker = Worker(
            "loop",
            self._step,
            stuck_after=lambda: _LONGEST_TURN_S,
            first_pause_s=_AFTER_AN_ERROR_S,
            longest_pause_s=self._longest_sleep_s,
            vital=True,
        )

    def start(self) -> None:
        """Begin, with what this receiver had before it was restarted."""
        self._follower.take_up()
        self.worker.start()

    def stop(self) -> None:
        """End after the turn that is going on.  Runs go on by themselves and are taken up at the next start."""
        self.worker.stop()

    def wake(self) -> None:
        """Have the next turn begin now."""
        self.worker.wake()

    @property
    def well(self) -> bool:
        """Tell whether the loop turns and its last turn had no error."""
        return self.worker.trouble is None

    def _step(self) -> float:
        well = False
        try:
            pause = self.turn()
            well = True
            return pause
        finally:
            self._metrics.turned(well=well)
            # From here alone: a turn that hangs is not alive, whatever other threads do.  One that fails is.
            self._manager.alive()

    def turn(self) -> float:
        """Do everything that is due; return for how many seconds nothing will be."""
        config = self._config.now
        if config is not self._decided_by:
            with self._database.noting() as connection:
                store.decide_again(connection, self._clock())
            self._decided_by = config
        absorbed = absorb(self._database, config.policy, config.fleet, self._metrics, self._clock)
        if tell_of_refusals(self._database, config.policy, self._clock()):
            self._notified()
        going_on = self._follower.step(config, self._manager.alive)
        with self._database.reading() as connection:
            due = store.due(connection, self._clock(), MOST_DUE_AT_ONCE)
        for incident_id in due:
            self._dispatcher.step(incident_id, config)
            # Two hundred with a slow disk take longer than one may hang.
            self._manager.alive()
        if absorbed or due:
            return 0.0
        self._sweep()
        if going_on:
            return _FOLLOW_EVERY_S
        with self._database.reading() as connection:
            next_due = store.next_due(connection)
        lapse = self._follower.next_lapse()
        # Just after the end of a lease, so that it is over by then.
        waits = (
            (next_due or store.NEVER) - self._clock(),
            self._longest_sleep_s if lapse is None else lapse + _A_LITTLE_S,
        )
        return max(0.0, min(self._longest_sleep_s, *waits))

    def _sweep(self) -> None:
        """Remove what is left of old runs, now and then, when there is nothing more urgent."""
        if self._sweeper is None or not self._sweeper.due:
            return
        with self._database.reading() as connection:
            unfinished = {run.id for run in runs.unfinished(connection)}
        self._sweeper.sweep(unfinished)
