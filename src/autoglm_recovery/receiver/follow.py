# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follow the runs that are not finished: have them launched, tell what was done, take in the outcome.

A receiver follows the runs that it has claimed.  A run whose receiver keeps its lease no longer is taken over: followed
on where its launcher runs it elsewhere, closed as lost where its processes ended with their receiver.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog

from autoglm_recovery.receiver.clock import Clock, wall
from autoglm_recovery.receiver.extra_vars import extra_vars
from autoglm_recovery.receiver.keeper import Keeper
from autoglm_recovery.receiver.launcher import Launcher, LaunchRefused, Life, Look, Order, RunView
from autoglm_recovery.receiver.metrics import Metrics
from autoglm_recovery.receiver.model import ENDED, FaultMode, IncidentState, RunState, outcome_of
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store import runs
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.store.runs import Claim, Superseded, claim_of
from autoglm_recovery.receiver.world import World

log = structlog.get_logger()


class Follower:
    """Follows through launchers; everything about a run is in the database and with its launcher."""

    def __init__(
        self,
        database: Database,
        metrics: Metrics,
        keeper: Keeper,
        launchers: Mapping[str, Launcher],
        clock: Clock = wall,
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._keeper = keeper
        self._launchers = launchers
        self._clock = clock

    def take_up(self) -> None:
        """Claim what this receiver followed before it was restarted."""
        with self._database.writing() as connection:
            claims = runs.take_up(connection, self._keeper.lease)
        if claims:
            self._keeper.renew()
            log.info("took up runs of before", runs=[claim.run_id for claim in claims])

    def step(self, world: World) -> int:
        """Look at every unfinished run; return how many of them this receiver had to look at."""
        lease = self._keeper.lease
        with self._database.reading() as connection:
            unfinished = runs.unfinished(connection)
            lapsed = runs.lapsed(connection, lease) if len(unfinished) else []
        for run in lapsed:
            self._guarded(self._take_over, run, world)
        mine = [run for run in unfinished if run.owner == lease.owner]
        if any(not self._keeper.holds(run.id) for run in mine):
            self._keeper.renew()
        for run in mine:
            self._guarded(self._follow, run, world)
        return len(mine) + len(lapsed)

    def next_lapse(self) -> float | None:
        """Return in how many seconds a run of another receiver may have to be taken over."""
        with self._database.reading() as connection:
            return runs.next_lapse(connection, self._keeper.lease)

    def _guarded(self, do: Any, run: sa.Row[Any], world: World) -> None:
        try:
            do(run, world)
        except Superseded as refused:
            # Somebody took the run over while this receiver was frozen or cut off: what it knows of it is old.
            self._metrics.late_write()
            log.warning("late write refused", run=run.id, fence=run.fence, reason=str(refused))
            self._give_up(run, str(refused))
        except Exception:  # one run that cannot be followed must not stop the others
            log.exception("run could not be followed", run=run.id)

    def _give_up(self, run: sa.Row[Any], why: str) -> None:
        launcher = self._launchers.get(run.launcher)
        if launcher is not None and not launcher.outlives_receiver:
            launcher.cancel(_view(run), why)

    def _take_over(self, run: sa.Row[Any], world: World) -> None:
        lease = self._keeper.lease
        with self._database.writing() as connection:
            claim = runs.take_over(connection, run, lease)
            if claim is None:
                return
            text = f"receiver {run.owner} keeps its lease no longer; {lease.owner} took the run over, fencing token "
            store.tell(connection, run.incident_id, self._clock(), "taken_over", f"{text}{claim.fence}")
        self._metrics.taken_over()
        log.warning("run taken over", run=run.id, was=run.owner, fence=claim.fence)
        launcher = self._launchers.get(run.launcher)
        if launcher is not None and launcher.outlives_receiver:
            return
        why = f"its receiver {run.owner} died or froze, and its processes ended with it"
        self._give_up(run, why)
        self._finish(run, claim, world, Look(Life.cut_off, why=why))

    def _follow(self, run: sa.Row[Any], world: World) -> None:
        launcher = self._launchers.get(run.launcher)
        if launcher is None:
            none = f"this receiver has no launcher {run.launcher!r}"
            self._finish(run, claim_of(run), world, Look(Life.cut_off, why=none))
            return
        view = _view(run)
        if run.cancel is not None:
            launcher.cancel(view, run.cancel)
        try:
            look = launcher.look(view, lambda: self._order(run, world))
        except LaunchRefused as refused:
            self._finish(run, claim_of(run), world, Look(Life.cut_off, why=str(refused)))
            return
        if look.life is Life.unborn:
            return
        self._tell(run, look)
        if look.life in (Life.ended, Life.cut_off):
            self._finish(run, claim_of(run), world, look)

    def _order(self, run: sa.Row[Any], world: World) -> Order:
        with self._database.reading() as connection:
            incident = store.incident(connection, run.incident_id)
        assert incident is not None  # noqa: S101 - a foreign key says so
        opened_at = datetime.fromtimestamp(incident.opened_at, UTC).isoformat()
        variables = extra_vars(
            incident._asdict(),
            action=run.action,
            attempt=run.attempt,
            fence=run.fence,
            opened_at=opened_at,
        )
        timeout = world.policy.timeout(incident.failure_class, run.launcher)
        return Order(run.action, run.host, world.inventory, timeout.total_seconds(), variables)

    def _tell(self, run: sa.Row[Any], look: Look) -> None:
        begun = run.state == RunState.launching
        known = {"cursor": look.cursor, "reference": look.reference or run.reference, "link": look.link or run.link}
        if not begun and all(getattr(run, name) == value for name, value in known.items()):
            return
        # By what its launcher calls it a run is found again, and not launched twice: that must be on disk.
        named = known["reference"] != run.reference
        with self._database.writing() if named else self._database.noting() as connection:
            runs.report(connection, claim_of(run), state=RunState.running, **known)
            if begun:
                text = f"{run.action} started on {run.host}, run {run.id}"
                store.tell(connection, run.incident_id, self._clock(), "run_started", text)
            for line in look.lines:
                store.tell(connection, run.incident_id, line["at"], line["kind"], line["text"])

    def _finish(self, run: sa.Row[Any], claim: Claim, world: World, look: Look) -> None:
        now = self._clock()
        rc = look.rc if look.life is Life.ended else None
        state = outcome_of(rc)
        with self._database.writing() as connection:
            runs.report(connection, claim, state=state, rc=rc, ended_at=now)
            incident = store.incident(connection, run.incident_id)
            assert incident is not None  # noqa: S101 - a foreign key says so
            text = f"{run.action} {state} after {now - run.started_at:.1f} s{f': {look.why}' if look.why else ''}"
            store.tell(connection, run.incident_id, now, "run_finished", text)
            # A person may have closed the incident, which cancels its run.
            if incident.state not in ENDED:
                firing = store.still_firing(connection, incident.id)
                patience = world.policy.recovery.strategy(incident.failure_class).resolve_within.total_seconds()
                after = _after(state, now, now + patience if firing else now)
                store.update(connection, run.incident_id, now, **after)
            store.ask_again(connection, now, world.policy.guardrails.max_concurrent_runs)
        self._metrics.run_ended(run.action, state)
        log.info("run ended", incident=run.incident_id, run=run.id, host=run.host, action=run.action, state=state)


def _view(run: sa.Row[Any]) -> RunView:
    return RunView(
        id=run.id,
        incident_id=run.incident_id,
        host=run.host,
        action=run.action,
        attempt=run.attempt,
        fence=run.fence,
        directory=Path(run.directory),
        started_at=run.started_at,
        reference=run.reference,
        cursor=run.cursor,
    )


def _after(state: RunState, now: float, verify_until: float) -> dict[str, Any]:
    """Say where an incident stands after a run."""
    if state is RunState.succeeded:
        reason = "the playbook proved its repair"
        return {"state": IncidentState.verifying, "reason": reason, "due_at": verify_until}
    mode = FaultMode.persistent.value
    return {"state": IncidentState.open, "fault_mode": mode, "reason": f"the last run {state}", "due_at": now}
