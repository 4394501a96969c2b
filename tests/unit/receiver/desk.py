# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiver without its processes: a real database, alerts as the intake commits them, and a clock that tests turn.

A run is ended by hand, as the follower writes down an end.
"""

from __future__ import annotations

import atexit
import math
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import sqlalchemy as sa

from autoglm_recovery.knowledge.faults.classes import ACTIONS
from autoglm_recovery.policy import parse_policy
from autoglm_recovery.receiver.fleet.fleet import Fleet, Host, InferenceService
from autoglm_recovery.receiver.fleet.site_config import SiteConfig
from autoglm_recovery.receiver.intake.commit import Delivery, DeliveryReceipt, Intake
from autoglm_recovery.receiver.intake.payload import fingerprint
from autoglm_recovery.receiver.loop.dispatch import Dispatcher
from autoglm_recovery.receiver.loop.proving import LastHeard
from autoglm_recovery.receiver.observe.metrics import Metrics
from autoglm_recovery.receiver.observe.silences import NONE_ASKED, SilenceSnapshot
from autoglm_recovery.receiver.operators import orders
from autoglm_recovery.receiver.runs.run_end import after as after_run
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store import runs, schema
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.store.runs import Lease
from autoglm_recovery.receiver.store.standing import Backlog, standing
from autoglm_recovery.receiver.triage.absorb import absorb
from autoglm_recovery.receiver.values.alerts import taken_together
from autoglm_recovery.receiver.values.model import ENDED, Alert, Fault, FaultMode, RunState, Target, outcome_of
from autoglm_recovery.receiver.values.principal import Principal, Role
from autoglm_recovery.receiver.values.watchdog import WatchdogStretch
from autoglm_recovery.receiver.verify.proof import NOT_ASKED, Proof

START = 1_800_000_000.0
PERSON = Principal("a test", Role.operator, "open", "127.0.0.1")
GPU = "GPU-11111111-2222-3333-4444-555555555555"

# node-a and node-b serve two models, node-c only one of them.
FLEET = Fleet(
    hosts={
        "node-a": Host("node-a", services=(InferenceService("llama", "chat"), InferenceService("embed", "vectors"))),
        "node-b": Host("node-b", services=(InferenceService("llama", "chat"), InferenceService("embed", "vectors"))),
        "node-c": Host("node-c", services=(InferenceService("llama", "chat"),)),
    }
)


def open_incident(connection: sa.Connection, target: Target, now: float = 1.0) -> int:
    """Open an incident of a target, past intake and triage, and return its number."""
    fault = Fault("oom", "said so", target)
    row = store.beginning(fault, target, mode=FaultMode.transient, root_cause="X", starts_at=1.0, now=now)
    return store.open_incidents(connection, [row])[0]


def begin_run(connection: sa.Connection, by: Lease, incident: int, host: str = "node-a") -> int:
    """Have a run of an incident going on and return its number."""
    return runs.create(
        connection,
        by,
        incident_id=incident,
        host=host,
        action="restart_process",
        attempt=1,
        state="running",
        reason="",
        launcher="local",
        directory="",
        started_at=1.0,
    )


@dataclass
class Desk:
    """Where incidents are worked on."""

    database: Database
    config: SiteConfig
    dispatcher: Dispatcher
    metrics: Metrics
    now: float = START
    silences: SilenceSnapshot = NONE_ASKED
    proofs: dict[int, Proof] = field(default_factory=dict)
    deliveries: int = field(default=0)
    # As if Prometheus were heard again right after whatever is told.
    watchdog_at: float = math.inf
    watchdog_since: float = 0.0
    # What a check of a service reads, at once; None leaves it to the test.
    probe: str | None = "healthy"

    def policy(self, text: str) -> None:
        """Put another policy in force."""
        self.config = SiteConfig(parse_policy(text), self.config.fleet, self.config.playbooks, self.config.inventory)

    def pass_time(self, seconds: float) -> None:
        """Turn the clock."""
        self.now += seconds

    def post(self, status: str, host: str, failure_class: str, start: float | None = None, **labels: str) -> float:
        """Commit an alert; return when it began."""
        began = self.now if start is None else start
        named = {"alertname": f"Alert{failure_class}", "failure_class": failure_class, "host": host, "nature": "state"}
        named |= labels
        alert = Alert(status, named, {}, began, None, fingerprint(named))
        self.commit(alert)
        return began

    def commit(self, *alerts: Alert, group: str = "g", sender: str = "") -> DeliveryReceipt:
        """Commit alerts as one delivery."""
        with self.clock():
            # The writer's own commit, without its thread.
            return Intake(self.database, lambda: None)._commit([Delivery(group, alerts, (), sender)])[0]

    def fire(self, host: str, failure_class: str, **labels: Any) -> float:
        """Have an alert fire, and everything that is due done."""
        began = self.post("firing", host, failure_class, **labels)
        self.turn()
        return began

    def resolve(self, host: str, failure_class: str, start: float, **labels: Any) -> None:
        """Have an alert resolve, and everything that is due done."""
        self.post("resolved", host, failure_class, start, **labels)
        self.turn()

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Give the code the time of the test."""
        with patch("time.time", lambda: self.now):
            yield

    def turn(self) -> None:
        """Do what the loop does, until nothing is due."""
        with self.clock():
            while absorb(self.database, self.config.policy, self.config.fleet, self.metrics):
                pass
            for _ in range(1000):
                with self.database.reading() as connection:
                    due = store.due(connection, self.now, 200)
                if not due:
                    return
                for incident_id in due:
                    self.dispatcher.step(incident_id, self.config)
                if self.probe is not None:
                    self.checked(self.probe)
        raise AssertionError(f"incidents {due} are due again and again without getting anywhere")

    def checked(self, verdict: str, host: str | None = None) -> None:
        """End all checks, or that of a host, with a verdict, as the follower does."""
        with self.clock(), self.database.writing() as connection:
            for run in runs.unfinished(connection):
                if run.action == runs.CHECK and host in (None, run.host):
                    state = RunState.succeeded if verdict == "healthy" else RunState.failed
                    read = {"verdict": verdict, "said": f"{run.host} is {verdict}"}
                    runs.update(connection, run.id, state=state, ended_at=self.now, **read)
                    store.update(connection, run.incident_id, self.now, due_at=self.now)

    def look_again(self) -> None:
        """Have what waits for a proof looked at, as the watch does when one is there, and do what is due."""
        with self.clock(), self.database.writing() as connection:
            store.look_again(connection, [row.id for row in store.verifying(connection)], self.now)
        self.turn()

    def rows_of_runs(self) -> list[str]:
        """Return the states of all runs, oldest first."""
        return [row.state for row in self.rows(schema.runs) if row.action != runs.CHECK]

    def end_run(self, host: str, rc: int | None) -> str:
        """End the run on a host with an exit code, as the follower does, and do what is due; return its action."""
        with self.clock(), self.database.writing() as connection:
            going_on = [run for run in runs.unfinished(connection) if run.action != runs.CHECK]
            run = next(run for run in going_on if run.host == host)
            state = outcome_of(rc)
            runs.update(connection, run.id, state=state, rc=rc, ended_at=self.now)
            incident = store.incident(connection, run.incident_id)
            patience = self.config.policy.recovery.strategy(incident.failure_class).resolve_within.total_seconds()
            firing = taken_together(store.latest_news(connection, incident.id)).denies
            after = after_run(state, self.now, self.now + patience if firing else self.now, incident.fault_mode)
            # A person may have closed the incident.
            if incident.state not in ENDED:
                store.update(connection, incident.id, self.now, **after)
            store.ask_again(connection, self.now, self.config.policy.guardrails.max_concurrent_runs)
        self.turn()
        return run.action

    def order(self, number: int, order: str) -> None:
        """Carry out a person's order, and do what is due."""
        with self.clock():
            orders.carry_out(self.database, number, orders.OperatorCommand(order), PERSON)
        self.turn()

    def rows(self, table: sa.Table) -> list[Any]:
        """Return all rows of a table."""
        with self.database.reading() as connection:
            return list(connection.execute(sa.select(table).order_by(table.c.id)).all())

    def incident(self, number: int = 1) -> Any:
        """Return one incident."""
        return next(row for row in self.rows(schema.incidents) if row.id == number)

    def state(self, number: int = 1) -> str:
        """Return the state of one incident."""
        return self.incident(number).state

    def running(self) -> dict[str, str]:
        """Return the action that is under way on each host."""
        return {
            row.host: row.action
            for row in self.rows(schema.runs)
            if row.state in ("launching", "running") and row.action != runs.CHECK
        }

    def timeline(self, number: int = 1) -> list[str]:
        """Return what is told of one incident."""
        return [row.text for row in self.rows(schema.timeline) if row.incident_id == number]


@cache
def _empty_database() -> Path:
    """Return a file that was migrated once, for all the desks of a test run."""
    directory = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, directory)
    database = Database(f"sqlite:///{directory / 'empty.db'}")
    database.migrate()
    database.close()  # the last connection to go writes the log into the file
    return directory / "empty.db"


@contextmanager
def desk(directory: Path, policy: str = "", fleet: Fleet = FLEET) -> Iterator[Desk]:
    """Return a desk with a fresh database."""
    shutil.copy(_empty_database(), directory / "r.db")
    database = Database(f"sqlite:///{directory / 'r.db'}")

    def ask() -> Backlog:
        with database.reading() as connection:
            return standing(connection)

    metrics = Metrics(ask)
    lease = Lease("desk", 60.0, database.now())
    config = SiteConfig(parse_policy(policy), fleet, frozenset({*ACTIONS, runs.CHECK}), directory)
    made: list[Desk] = []
    heard = LastHeard(
        lambda: made[0].silences,
        lambda run: made[0].proofs.get(run, NOT_ASKED),
        lambda _: WatchdogStretch(made[0].watchdog_since, made[0].watchdog_at),
    )
    dispatcher = Dispatcher(database, lease, directory, metrics, heard=heard)
    made.append(Desk(database, config, dispatcher, metrics))
    try:
        yield made[0]
    finally:
        database.close()


__all__ = ["FLEET", "GPU", "START", "Desk", "desk"]
