# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the receiver says about itself to Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from autoglm_recovery.receiver.model import IncidentState

# From a good scrape interval up to an hour of trying.
_SECONDS = (0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 13, 20, 30, 60, 120, 300, 600, 1800, 3600)


class Metrics:
    """The receiver's counters and histograms, in a registry of their own."""

    def __init__(self, count_incidents: Callable[[], Mapping[str, int]]) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_IncidentStates(count_incidents))
        self._alerts = Counter(
            "autoglm_alerts",
            "Alerts taken in, once each however often they were delivered",
            ["failure_class", "status", "outcome"],
            registry=self.registry,
        )
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

    def alert(self, failure_class: str, status: str, outcome: str, seconds_to_commit: float) -> None:
        """Count an alert.  Only a firing one tells how long the way here took: a resolved one keeps its old start."""
        self._alerts.labels(failure_class, status, outcome).inc()
        if status == "firing":
            self._to_commit.observe(max(0.0, seconds_to_commit))

    def launched(self, seconds: float) -> None:
        """Note how long an incident waited for its first action."""
        self._to_launch.observe(max(0.0, seconds))

    def verified(self, seconds: float) -> None:
        """Note how long a recovery took."""
        self._to_verified.observe(max(0.0, seconds))

    def run_ended(self, action: str, state: str) -> None:
        """Count a run."""
        self._runs.labels(action, state).inc()


class _IncidentStates(Collector):
    """Counts incidents when asked, so that the figure is the database's and survives a restart."""

    def __init__(self, count: Callable[[], Mapping[str, int]]) -> None:
        self._count = count

    def describe(self) -> Iterator[Metric]:
        """Name the metric without asking the database."""
        yield GaugeMetricFamily("autoglm_incidents", "Incidents by state", labels=["state"])

    def collect(self) -> Iterator[Metric]:
        """Ask the database."""
        family = GaugeMetricFamily("autoglm_incidents", "Incidents by state", labels=["state"])
        counts = self._count()
        for state in IncidentState:
            family.add_metric([state.value], counts.get(state.value, 0))
        yield family
