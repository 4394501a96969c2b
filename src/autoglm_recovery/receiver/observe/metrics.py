# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the receiver says about itself to Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from autoglm_recovery import __version__
from autoglm_recovery.receiver.process.worker import Workers
from autoglm_recovery.receiver.store.refusals import UNREADABLE
from autoglm_recovery.receiver.store.standing import Backlog
from autoglm_recovery.receiver.values.model import IncidentState
from autoglm_recovery.receiver.values.refusal import RefusalReason

# From a good scrape interval up to an hour of trying.
_SECONDS = (0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 13, 20, 30, 60, 120, 300, 600, 1800, 3600)


class Metrics:
    """The receiver's counters and histograms, in a registry of their own."""

    def __init__(self, standing: Callable[[], Backlog]) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_DatabaseFigures(standing))
        ProcessCollector(registry=self.registry)
        Info("autoglm_build", "The receiver's version", registry=self.registry).info({"version": __version__})
        self._policy_valid = self._gauge(
            "policy_valid", "0 where the files in force are older than those on disk, which cannot be used"
        )
        self._policy_read = self._gauge("policy_read_timestamp_seconds", "When policy and inventory were last read")
        self._hosts = self._gauge("fleet_hosts", "Hosts in the inventory")
        self._loop_turned = self._gauge("loop_turned_timestamp_seconds", "When the acting loop last ended a turn")
        self._loop_well = self._gauge("loop_well", "0 where its last turn ended with an error")
        self._watchdog_seen = self._gauge(
            "watchdog_seen_timestamp_seconds", "When the alert that always fires was last delivered; 0 for never"
        )
        self._alerts = Counter(
            "autoglm_alerts",
            "Alerts taken in, once each however often they were delivered",
            ["failure_class", "status", "outcome"],
            registry=self.registry,
        )
        self._refused_alerts = Counter(
            "autoglm_alerts_refused",
            "Alerts that nothing is done about, because their labels do not name one host, or they cannot be read",
            ["reason"],
            registry=self.registry,
        )
        # An increase is seen only of what was there before it.
        for why in (*RefusalReason, UNREADABLE):
            self._refused_alerts.labels(str(why))
        self._duplicates = Counter(
            "autoglm_alert_redeliveries", "Deliveries of news that was known already", registry=self.registry
        )
        self._rejected = Counter(
            "autoglm_alerts_rejected", "Alerts that could not be read and were set aside", registry=self.registry
        )
        self._truncated = Counter(
            "autoglm_alerts_left_out",
            "Alerts that Alertmanager left out of a webhook because of its max_alerts",
            registry=self.registry,
        )
        self._requests = Counter(
            "autoglm_webhook_requests", "Webhook requests by answer", ["status"], registry=self.registry
        )
        self._refused = Counter(
            "autoglm_requests_refused",
            "Requests beyond what an address or all may ask a second",
            registry=self.registry,
        )
        self._runs = Counter("autoglm_runs", "Ended runs", ["action", "state"], registry=self.registry)
        self._corrected = Counter(
            "autoglm_class_corrections",
            "Incidents whose class the playbook's own reading has corrected",
            ["was", "failure_class"],
            registry=self.registry,
        )
        self._taken_over = Counter(
            "autoglm_runs_taken_over",
            "Runs taken over from a receiver that lost its lease",
            registry=self.registry,
        )
        self._late_writes = Counter(
            "autoglm_late_writes_refused",
            "Writes about a run that another receiver had taken over meanwhile",
            registry=self.registry,
        )
        self._starts = Counter(
            "autoglm_run_starts", "Runs by how their process was started, warm or cold", ["how"], registry=self.registry
        )
        self._to_commit = self._histogram("commit", "until it was on disk here")
        self._to_launch = self._histogram("launch", "until the first action was launched")
        self._to_verified = self._histogram("verified", "until the repair was proven and the alert had resolved")

    def _histogram(self, name: str, until: str) -> Histogram:
        return Histogram(
            f"autoglm_alert_to_{name}_seconds",
            f"Seconds from the start of an alert {until}",
            buckets=_SECONDS,
            registry=self.registry,
        )

    def _gauge(self, name: str, help_text: str) -> Gauge:
        return Gauge(f"autoglm_{name}", help_text, registry=self.registry)

    def config_read(self, hosts: int) -> None:
        """Note that policy and inventory were read."""
        self._policy_valid.set(1)
        self._policy_read.set_to_current_time()
        self._hosts.set(hosts)

    def config_kept(self) -> None:
        """Note that what is on disk cannot be used, and the old stays in force."""
        self._policy_valid.set(0)

    def turned(self, *, well: bool) -> None:
        """Note a turn of the loop."""
        self._loop_turned.set_to_current_time()
        self._loop_well.set(int(well))

    def watchdog(self, at: float) -> None:
        """Note that the alert that always fires was delivered: the way from Prometheus to here works."""
        self._watchdog_seen.set(at)

    def request(self, status: int) -> None:
        """Count an answer to a webhook."""
        self._requests.labels(str(status)).inc()

    def request_refused(self) -> None:
        """Count a request that came too soon."""
        self._refused.inc()

    def delivery(self, duplicates: int, rejected: int, truncated: int) -> None:
        """Count what a delivery held beside news, and what it lacked."""
        self._truncated.inc(truncated)
        self._duplicates.inc(duplicates)
        self._rejected.inc(rejected)
        self._refused_alerts.labels(UNREADABLE).inc(rejected)

    def alert(self, failure_class: str, status: str, outcome: str, seconds_to_commit: float) -> None:
        """Count an alert.  Only a firing one tells how long the way here took: a resolved one keeps its old start."""
        self._alerts.labels(failure_class, status, outcome).inc()
        if status == "firing":
            self._to_commit.observe(max(0.0, seconds_to_commit))

    def watch(self, workers: Workers) -> None:
        """Say from now on how the background threads are."""
        self.registry.register(_WorkerFigures(workers))

    def alert_refused(self, reason: str) -> None:
        """Count a firing alert that was refused, by the kind of the reason."""
        self._refused_alerts.labels(reason).inc()

    def launched(self, seconds: float) -> None:
        """Note how long an incident waited for its first action."""
        self._to_launch.observe(max(0.0, seconds))

    def verified(self, seconds: float) -> None:
        """Note how long a recovery took."""
        self._to_verified.observe(max(0.0, seconds))

    def class_corrected(self, was: str, failure_class: str) -> None:
        """Count an incident that is of another class than its alert said."""
        self._corrected.labels(was, failure_class).inc()

    def taken_over(self) -> None:
        """Count a run that was another receiver's."""
        self._taken_over.inc()

    def late_write(self) -> None:
        """Count a write that came too late."""
        self._late_writes.inc()

    def run_started(self, how: str) -> None:
        """Count how the supervisor of a run was started: ``warm`` or ``cold``."""
        self._starts.labels(how).inc()

    def run_ended(self, action: str, state: str) -> None:
        """Count a run."""
        self._runs.labels(action, state).inc()


class _WorkerFigures(Collector):
    """Asks the workers at each scrape: one that is stuck could not say so itself."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    def collect(self) -> Iterator[Metric]:
        """Ask."""
        failures = CounterMetricFamily(
            "autoglm_worker_failures",
            "Errors of background threads, each of which goes on after a pause",
            labels=["worker"],
        )
        well = GaugeMetricFamily("autoglm_worker_well", "0 where its last step ended with an error", labels=["worker"])
        stuck = GaugeMetricFamily(
            "autoglm_worker_stuck_seconds", "For how long it has not come round; 0 while it does", labels=["worker"]
        )
        for worker in self._workers:
            trouble = worker.trouble
            failures.add_metric([worker.name], worker.failures)
            well.add_metric([worker.name], 0 if trouble else 1)
            stuck.add_metric([worker.name], trouble.seconds if trouble and trouble.stuck else 0)
        yield from (failures, well, stuck)


class _DatabaseFigures(Collector):
    """Asks the database at each scrape, so that the figures survive a restart and are the same from every replica."""

    def __init__(self, ask: Callable[[], Backlog]) -> None:
        self._ask = ask

    def describe(self) -> Iterator[Metric]:
        """Name the metrics without asking the database."""
        yield from _families(None, 0.0)

    def collect(self) -> Iterator[Metric]:
        """Ask.  Without an answer there are no figures rather than old ones, and one that says so."""
        try:
            found: Backlog | None = self._ask()
        except sa.exc.SQLAlchemyError:
            found = None
        yield from _families(found, time.time())


def _families(found: Backlog | None, now: float) -> Iterator[Metric]:
    readable = GaugeMetricFamily("autoglm_database_readable", "1 where the database answered this scrape")
    readable.add_metric([], 0 if found is None else 1)
    states = GaugeMetricFamily("autoglm_incidents", "Incidents by state", labels=["state"])
    ages = GaugeMetricFamily("autoglm_oldest_incident_seconds", "Age of the oldest incident by state", labels=["state"])
    going_on = GaugeMetricFamily("autoglm_runs_unfinished", "Runs that have not ended", labels=["action", "state"])
    run_age = GaugeMetricFamily("autoglm_oldest_run_seconds", "Age of the oldest run that has not ended")
    waiting = GaugeMetricFamily("autoglm_alerts_waiting", "Alerts on disk that nobody has looked at")
    wait = GaugeMetricFamily("autoglm_oldest_alert_waiting_seconds", "How long the oldest of them has waited")
    rejects = GaugeMetricFamily("autoglm_rejects_stored", "Alerts that could not be read and were set aside")
    if found is not None:
        for state in IncidentState:
            states.add_metric([state.value], found.incidents.get(state.value, 0))
        for name, opened_at in found.oldest_incident.items():
            ages.add_metric([name], now - opened_at)
        for (action, name), count in found.runs.items():
            going_on.add_metric([action, name], count)
        run_age.add_metric([], now - found.oldest_run if found.oldest_run else 0)
        waiting.add_metric([], found.alerts_waiting)
        wait.add_metric([], now - found.oldest_alert if found.oldest_alert else 0)
        rejects.add_metric([], found.rejects)
    yield from (readable, states, ages, going_on, run_age, waiting, wait, rejects)
