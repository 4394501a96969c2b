# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiver's own parts on a database that is thrown away, with a clock that jumps to whatever comes next.

Only the two ends are not the receiver's: alerts come out of a record, and a run does nothing but take its time.  It
then says that it has repaired, and whether that is true shows in the record, as it shows to the receiver: the alert
resolves within the strategy's ``resolve_within``, or it does not, and the ladder goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from autoglm_recovery.policy.launchers import LAUNCHERS
from autoglm_recovery.receiver.fleet.site_config import CurrentConfig, SiteConfig
from autoglm_recovery.receiver.intake.commit import Delivery, Intake
from autoglm_recovery.receiver.intake.payload import MOST_ALERTS, parse_webhook
from autoglm_recovery.receiver.loop.dispatch import Dispatcher
from autoglm_recovery.receiver.loop.loop import Loop
from autoglm_recovery.receiver.loop.proving import LastHeard
from autoglm_recovery.receiver.observe.metrics import Metrics
from autoglm_recovery.receiver.rehearse.backtest.events import Event, deliveries
from autoglm_recovery.receiver.rehearse.backtest.tally import Tally
from autoglm_recovery.receiver.runs.follow import Follower
from autoglm_recovery.receiver.runs.leases import LeaseRenewer
from autoglm_recovery.receiver.runs.protocol import RunRecord, RunReport, RunSpec, RunStatus
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.store.runs import CHECK, Lease
from autoglm_recovery.receiver.store.standing import Backlog, standing
from autoglm_recovery.receiver.values.watchdog import ALWAYS_HEARD
from autoglm_recovery.receiver.verify.proof import NOTHING_TO_PROVE

# The clock of leases is the wall's, of which a backtest takes a while.
_LEASE_S = 1e6
_MOST_TURNS = 10_000


class FixedConfig(CurrentConfig):
    """One policy and one fleet for the whole of the past."""

    def __init__(self, config: SiteConfig) -> None:
        """Keep the given configuration in force."""
        self.now = config

    def read_again(self) -> str | None:
        """Read nothing."""
        return None


class TimedLauncher:
    """Runs nothing.  What is launched ends well after its time, and a service that is asked is healthy."""

    outlives_receiver = False
    name = "backtest"

    def __init__(self, takes_s: float, clock: Callable[[], float]) -> None:
        self._takes_s = takes_s
        self._clock = clock
        self._ends: dict[int, float] = {}

    @property
    def next_end(self) -> float:
        """Return when the next run ends."""
        return min(self._ends.values(), default=store.NEVER)

    def look(self, run: RunRecord, order: Callable[[], RunSpec]) -> RunReport:
        """Begin the run, or end it if its time is over."""
        if run.id not in self._ends:
            order()
            self._ends[run.id] = run.started_at + self._takes_s
        if self._clock() < self._ends[run.id]:
            return RunReport(RunStatus.running)
        del self._ends[run.id]
        healthy = {"at": self._clock(), "kind": "proof", "text": f"{run.host} is healthy", "verdict": "healthy"}
        lines = (healthy,) if run.action == CHECK else ()
        return RunReport(RunStatus.ended, lines, cursor=len(lines), rc=0)

    def cancel(self, run: RunRecord, why: str) -> None:  # noqa: ARG002 - as launchers are called
        """Forget the run."""
        self._ends.pop(run.id, None)


@dataclass
class Replay:
    """A receiver whose past is replayed."""

    database: Database
    tally: Tally
    loop: Loop
    launcher: TimedLauncher
    intake: Intake
    now: float = 0.0

    def run(self, events: Sequence[Event], until: float, told: Callable[[float], None] = lambda _: None) -> None:
        """Tell the receiver everything at its time, and let it do what is due, until a moment.

        ``told`` hears the time that it is.
        """
        coming = deliveries(events)
        following = next(coming, None)
        while True:
            at = min(following[0] if following else store.NEVER, self.launcher.next_end, self._next_due())
            if at > until:
                break
            self.now = max(self.now, at)
            told(self.now)
            if following and following[0] <= self.now:
                self._deliver(following[1])
                following = next(coming, None)
            self._turn()
        self.now = until

    def _next_due(self) -> float:
        with self.database.reading() as connection:
            due = store.next_due(connection)
        return store.NEVER if due is None else due

    def _deliver(self, events: Sequence[Event]) -> None:
        for at in range(0, len(events), MOST_ALERTS):
            webhook = parse_webhook(payload(events[at : at + MOST_ALERTS]))
            self.intake.submit(Delivery(webhook.group_key, webhook.alerts, webhook.rejected)).result()

    def _turn(self) -> None:
        """Do what is due at this moment.

        Raises RuntimeError if that has no end, which a receiver would have worn itself out on.
        """
        for _ in range(_MOST_TURNS):
            if self.loop.turn() > 0:
                return
        moment = datetime.fromtimestamp(self.now, UTC).isoformat()
        raise RuntimeError(f"at {moment} something is due again and again without getting anywhere")


@contextmanager
def replaying(directory: Path, config: SiteConfig, run_takes_s: float) -> Iterator[Replay]:
    """Put a receiver together in an empty directory."""
    database = Database(f"sqlite:///{directory / 'backtest.db'}", lasting=False)
    made: list[Replay] = []

    def clock() -> float:
        return made[0].now

    def ask() -> Backlog:
        with database.reading() as connection:
            return standing(connection)

    try:
        database.migrate()
        metrics, tally = Metrics(ask), Tally()
        lease = Lease("backtest", _LEASE_S, database.now())
        launcher = TimedLauncher(run_takes_s, clock)
        keeper = LeaseRenewer(database, lease)
        follower = Follower(database, metrics, keeper, dict.fromkeys(LAUNCHERS, launcher), clock)
        heard = LastHeard(proof=lambda _run: NOTHING_TO_PROVE, watchdog=lambda _connection: ALWAYS_HEARD)
        dispatcher = Dispatcher(database, lease, directory, metrics, heard=heard, decided=tally.decided, clock=clock)
        loop = Loop(database, FixedConfig(config), metrics, dispatcher, follower, clock=clock)
        intake = Intake(database, lambda: None, clock)
        made.append(Replay(database, tally, loop, launcher, intake))
        intake.start()
        try:
            yield made[0]
        finally:
            intake.stop()
    finally:
        database.close()


def payload(events: Sequence[Event]) -> bytes:
    """Write events as the webhook in which the receiver is told of them."""
    return json.dumps({"version": "4", "groupKey": "backtest", "alerts": [_wire(event) for event in events]}).encode()


def _wire(event: Event) -> dict[str, object]:
    wire: dict[str, object] = {
        "status": event.status,
        "labels": dict(event.labels),
        "startsAt": _moment(event.starts_at),
    }
    return {**wire, "endsAt": _moment(event.at)} if event.status == "resolved" else wire


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
