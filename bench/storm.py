# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m bench.storm``: 10,000 alerts over 1,000 hosts, committed, taken into incidents, and decided about.

The baseline is the same number of rows, one INSERT each, in one transaction on the same disk: what it costs to store
the alerts at all.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
import structlog

from autoglm_recovery.knowledge.faults.classes import ACTIONS
from autoglm_recovery.policy import parse_policy
from autoglm_recovery.receiver.fleet.fleet import Fleet, Host, InferenceService
from autoglm_recovery.receiver.fleet.site_config import SiteConfig
from autoglm_recovery.receiver.intake.commit import Delivery, Intake
from autoglm_recovery.receiver.intake.payload import fingerprint
from autoglm_recovery.receiver.loop.dispatch import Dispatcher
from autoglm_recovery.receiver.observe.metrics import Metrics
from autoglm_recovery.receiver.store import incidents, schema
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.store.runs import Lease
from autoglm_recovery.receiver.store.standing import standing
from autoglm_recovery.receiver.triage import absorb as absorbing
from autoglm_recovery.receiver.values.clock import wall
from autoglm_recovery.receiver.values.model import Alert

ALERTS, HOSTS, IN_ONE_DELIVERY = 10_000, 1_000, 500
CLASSES = ("overload", "not_ready", "unresponsive", "oom", "crash")


def main() -> None:
    """Measure, and print each figure beside the baseline."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with tempfile.TemporaryDirectory() as directory:
        alerts = storm()
        plain = timed(lambda: plain_inserts(Path(directory) / "baseline.db", alerts))
        database = Database(f"sqlite:///{directory}/r.db")
        database.migrate()
        stored = timed(lambda: commit(database, alerts))
        config = fleet(Path(directory))
        longest: list[float] = []
        taken = timed(lambda: take_in(database, config, longest))
        found = opened(database)
        decided = timed(lambda: decide(database, config, Path(directory)))
        states = incident_states(database)
        database.close()
    print(f"a storm of {ALERTS} alerts over {HOSTS} hosts, SQLite")
    row("plain INSERTs of as many rows, one transaction", plain, plain, "baseline")
    row("committed by the intake, before 200", stored, plain)
    row(f"taken into {found} incidents", taken, plain, f"longest transaction {max(longest) * 1000:.0f} ms")
    row("decided about, guardrails and all", decided, plain, ", ".join(f"{n} {s}" for s, n in sorted(states.items())))
    assert found == HOSTS, f"{found} incidents for {HOSTS} targets"


def row(what: str, seconds: float, baseline: float, note: str = "") -> None:
    """Print one line."""
    ratio = "" if note == "baseline" else f"x {seconds / baseline:5.1f}   "
    print(f"  {what:50} {seconds:6.2f} s   {ALERTS / seconds:8.0f} alerts/s   {ratio}{note}")


def timed(do: Callable[[], None]) -> float:
    """Return how long something takes."""
    begun = time.monotonic()
    do()
    return time.monotonic() - begun


def storm() -> list[Alert]:
    """Return the alerts: ten a host, of five classes, in no order of hosts."""
    alerts = []
    for number in range(ALERTS):
        labels = {
            "alertname": f"Storm{number % 7}",
            "failure_class": CLASSES[number % len(CLASSES)],
            "host": f"node-{number * 7919 % HOSTS:04}",
            "n": str(number),
        }
        alerts.append(Alert("firing", labels, {"summary": "a storm"}, time.time(), None, fingerprint(labels)))
    return alerts


def plain_inserts(path: Path, alerts: list[Alert]) -> None:
    """Store as many rows without thinking about any."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE t (fingerprint TEXT UNIQUE, starts_at REAL, labels TEXT)")
    connection.execute("BEGIN IMMEDIATE")
    for alert in alerts:
        values = (alert.fingerprint, alert.starts_at, json.dumps(alert.labels))
        connection.execute("INSERT INTO t VALUES (?, ?, ?)", values)
    connection.execute("COMMIT")
    connection.close()


def commit(database: Database, alerts: list[Alert]) -> None:
    """Hand the alerts to the intake as a busy Alertmanager would, and wait until all are on disk."""
    intake = Intake(database, lambda: None)
    intake.start()
    parts = [alerts[at : at + IN_ONE_DELIVERY] for at in range(0, len(alerts), IN_ONE_DELIVERY)]
    for done in [intake.submit(Delivery(f"g{n}", tuple(part))) for n, part in enumerate(parts)]:
        done.result(300)
    intake.stop()


def fleet(directory: Path) -> SiteConfig:
    """Return a thousand hosts, with one service each, in pools of ten."""
    hosts = {
        f"node-{n:04}": Host(f"node-{n:04}", services=(InferenceService("vllm", f"pool-{n // 10}"),))
        for n in range(HOSTS)
    }
    return SiteConfig(parse_policy(""), Fleet(hosts=hosts), frozenset(ACTIONS), directory)


def take_in(database: Database, config: SiteConfig, longest: list[float]) -> None:
    """Absorb until nothing is left, and note how long each transaction held the database."""
    metrics = Metrics(dict)
    while True:
        begun = time.monotonic()
        if not absorbing._absorb_batch(database, config.policy, config.fleet, metrics, wall):
            return
        longest.append(time.monotonic() - begun)


def opened(database: Database) -> int:
    """Count the incidents."""
    with database.reading() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(schema.incidents)).scalar_one())


def decide(database: Database, config: SiteConfig, directory: Path) -> None:
    """Look at every incident once, as the loop does."""
    lease = Lease("bench", 3600.0, database.now())
    dispatcher = Dispatcher(database, lease, directory, Metrics(dict))
    now = time.time()
    with database.reading() as connection:
        due = incidents.due(connection, now, 2 * HOSTS)
    for incident_id in due:
        dispatcher.step(incident_id, config)


def incident_states(database: Database) -> dict[str, int]:
    """Count the incidents by state."""
    with database.reading() as connection:
        return standing(connection).incidents


if __name__ == "__main__":
    main()
