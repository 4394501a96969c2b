# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Follow the runs that are not finished: launch what no process has begun, tell what was done, take in the outcome."""

from __future__ import annotations

import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import structlog

from autoglm_recovery.receiver import launch
from autoglm_recovery.receiver.extra_vars import extra_vars
from autoglm_recovery.receiver.launch import Life, Order
from autoglm_recovery.receiver.metrics import Metrics
from autoglm_recovery.receiver.model import FaultMode, IncidentState, RunState, outcome_of
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store import runs
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.world import World

MOST_SPAWNS = 3

log = structlog.get_logger()


class Follower:
    """Keeps the processes of runs; everything else about a run is in the database and in its directory."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._database = database
        self._metrics = metrics
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._spawns: dict[int, int] = {}

    def step(self, world: World) -> int:
        """Look at every unfinished run; return how many there are."""
        with self._database.reading() as connection:
            unfinished = runs.unfinished(connection)
        for run in unfinished:
            try:
                self._look(run, world)
            except Exception:  # one run that cannot be followed must not stop the others
                log.exception("run could not be followed", run=run.id)
        return len(unfinished)

    def _look(self, run: sa.Row[Any], world: World) -> None:
        directory = Path(run.directory)
        process = self._processes.get(run.id)
        gone = process is None or process.poll() is not None
        life = launch.life(directory)
        if life is Life.unborn:
            if gone:
                self._spawn(run, directory, world)
            return
        self._tell(run, directory, begun=run.state == RunState.launching)
        if life is Life.ended:
            self._finish(run, world, launch.result(directory).get("rc"), None)
        elif life is Life.cut_off and gone:
            orphans = launch.kill_orphans(directory)
            self._finish(
                run, world, None, f"its process is gone without a result; {orphans} processes it left were ended"
            )

    def _spawn(self, run: sa.Row[Any], directory: Path, world: World) -> None:
        self._spawns[run.id] = self._spawns.get(run.id, 0) + 1
        if self._spawns[run.id] > MOST_SPAWNS:
            self._finish(
                run, world, None, f"its process would not start {MOST_SPAWNS} times; see {directory}/supervisor.log"
            )
            return
        try:
            launch.prepare(directory, self._order(run, world))
            self._processes[run.id] = launch.spawn(directory)
        except OSError:
            log.exception("run could not be launched", run=run.id)

    def _order(self, run: sa.Row[Any], world: World) -> Order:
        with self._database.reading() as connection:
            incident = store.incident(connection, run.incident_id)
        assert incident is not None  # noqa: S101 - a foreign key says so
        opened_at = datetime.fromtimestamp(incident.opened_at, UTC).isoformat()
        variables = extra_vars(
            incident._asdict(),
            action=run.action,
            attempt=run.attempt,
            fence=run.id,
            opened_at=opened_at,
        )
        timeout = world.policy.recovery.strategy(incident.failure_class).timeout
        return Order(run.action, run.host, world.inventory, timeout.total_seconds(), variables)

    def _tell(self, run: sa.Row[Any], directory: Path, *, begun: bool) -> None:
        lines = launch.told(directory, run.events_told)
        if not lines and not begun:
            return
        with self._database.noting() as connection:
            if begun:
                runs.update(connection, run.id, state=RunState.running)
                text = f"{run.action} started on {run.host}, run {run.id}"
                store.tell(connection, run.incident_id, time.time(), "run_started", text)
            for line in lines:
                store.tell(connection, run.incident_id, line["at"], line["kind"], line["text"])
            runs.update(connection, run.id, events_told=run.events_told + len(lines))

    def _finish(self, run: sa.Row[Any], world: World, rc: int | None, why: str | None) -> None:
        now = time.time()
        state = outcome_of(rc)
        with self._database.writing() as connection:
            runs.update(connection, run.id, state=state, rc=rc, ended_at=now)
            incident = store.incident(connection, run.incident_id)
            assert incident is not None  # noqa: S101 - a foreign key says so
            text = f"{run.action} {state} after {now - run.started_at:.1f} s{f': {why}' if why else ''}"
            store.tell(connection, run.incident_id, now, "run_finished", text)
            firing = store.still_firing(connection, incident.id)
            patience = world.policy.recovery.strategy(incident.failure_class).resolve_within.total_seconds()
            after = _after(state, now, now + patience if firing else now)
            store.update(connection, run.incident_id, now, **after)
            store.ask_again(connection, now, world.policy.guardrails.max_concurrent_runs)
        process = self._processes.pop(run.id, None)
        if process is not None:
            process.wait()
        self._spawns.pop(run.id, None)
        self._metrics.run_ended(run.action, state)
        log.info("run ended", incident=run.incident_id, run=run.id, host=run.host, action=run.action, state=state)


def _after(state: RunState, now: float, verify_until: float) -> dict[str, Any]:
    """Say where an incident stands after a run."""
    if state is RunState.succeeded:
        reason = "the playbook proved its repair"
        return {"state": IncidentState.verifying, "reason": reason, "due_at": verify_until}
    mode = FaultMode.persistent.value
    return {"state": IncidentState.open, "fault_mode": mode, "reason": f"the last run {state}", "due_at": now}
