# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metrics that are computed at each scrape from what the exporter already has in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from autoglm_recovery.exporter.alertmanager import AlertSender
from autoglm_recovery.exporter.alerts import SERIES
from autoglm_recovery.exporter.exec_watch import BEGUN_BY, ExecWatch
from autoglm_recovery.exporter.kernel import KernelReader
from autoglm_recovery.exporter.ledger import FaultLedger
from autoglm_recovery.exporter.processes import Usage
from autoglm_recovery.exporter.services import NodeService

_SERVICE = ("service", "pool", "unit")


def own_metrics(heartbeat: float, saves_failed: int) -> Iterator[Metric]:
    """Yield how the exporter itself stands."""
    yield GaugeMetricFamily("autoglm_heartbeat_timestamp_seconds", "When the exporter last worked", heartbeat)
    yield GaugeMetricFamily("autoglm_state_save_errors", "Writes of the state file that failed", saves_failed)


def fault_metrics(ledger: FaultLedger) -> Iterator[Metric]:
    """Yield the fault counters, and when each was seen last."""
    counts = CounterMetricFamily("autoglm_kernel_faults", "Faults that the kernel has told of", labels=SERIES)
    last = GaugeMetricFamily(
        "autoglm_kernel_fault_last_seen_timestamp_seconds", "When the kernel last told of it", labels=SERIES
    )
    for labels, seen in ledger.rows():
        values = [labels[name] for name in SERIES]
        counts.add_metric(values, seen.count)
        last.add_metric(values, seen.last)
    yield counts
    yield last
    yield CounterMetricFamily(
        "autoglm_kernel_faults_dropped", "Faults for which there was no room among the series", value=ledger.dropped
    )


def kernel_metrics(reader: KernelReader) -> Iterator[Metric]:
    """Yield metrics about the reading of the kernel's log."""
    source = reader.source
    yield GaugeMetricFamily(
        "autoglm_kernel_log_readable", "1 while the kernel's log is read", value=int(reader.readable)
    )
    yield CounterMetricFamily("autoglm_kernel_log_records", "Records read of the kernel's log", value=source.records)
    yield CounterMetricFamily(
        "autoglm_kernel_log_lost_records", "Records that the kernel overwrote before they were read", value=source.lost
    )


def exec_metrics(watch: ExecWatch) -> Iterator[Metric]:
    """Yield what the watch of executed programs saw, and what it did not; no samples where nothing is watched."""
    up = GaugeMetricFamily("autoglm_exec_watch_up", "1 while the kernel tells of executed programs", labels=())
    lost = CounterMetricFamily(
        "autoglm_exec_watch_events_lost", "Events of processes that the kernel could not deliver, at least", labels=()
    )
    unexpected = CounterMetricFamily(
        "autoglm_service_unexpected_execs", "Programs begun in it that are not among its programs", labels=_SERVICE
    )
    unseen = CounterMetricFamily(
        "autoglm_service_unseen_execs",
        "Programs begun in it that were gone before they were read, by who began them: a declared program, or another",
        labels=(*_SERVICE, "begun_by"),
    )
    if watch.watched:
        up.add_metric([], int(watch.up))
        lost.add_metric([], watch.source.lost)
    for service in watch.watched:
        labels = [service.name, service.pool, service.unit]
        unexpected.add_metric(labels, watch.unexpected[service.name])
        for begun_by in BEGUN_BY:
            unseen.add_metric([*labels, begun_by], watch.unseen[service.name, begun_by])
    yield from (up, lost, unexpected, unseen)


def alert_metrics(senders: Iterable[AlertSender]) -> Iterator[Metric]:
    """Yield metrics about the fast alerts.  A number is an Alertmanager's position on the command line."""
    labels = ("alertmanager", "outcome")
    told = CounterMetricFamily(
        "autoglm_fast_alerts",
        "Fast alerts by outcome: sent, failed (and tried again), refused, dropped (no room or too late)",
        labels=labels,
    )
    pending = GaugeMetricFamily(
        "autoglm_fast_alerts_pending", "Fast alerts that wait for their first delivery", labels=labels[:1]
    )
    for number, sender in enumerate(senders):
        for outcome, count in sorted(vars(sender.counts).items()):
            told.add_metric([str(number), outcome], count)
        pending.add_metric([str(number)], sender.pending)
    yield told
    yield pending


def probe_metrics(age: float, took: float | None, errors: Mapping[str, int]) -> Iterator[Metric]:
    """Yield how fresh the snapshot is."""
    yield GaugeMetricFamily(
        "autoglm_probe_age_seconds", "Seconds since NVML was last read, or since the exporter began", value=age
    )
    if took is not None:
        yield GaugeMetricFamily("autoglm_probe_duration_seconds", "How long the last look at the GPUs took", value=took)
    family = CounterMetricFamily("autoglm_probe_errors", "Looks that met this error", labels=("error",))
    for error, count in sorted(errors.items()):
        family.add_metric([error], count)
    yield family


def service_metrics(usage: Mapping[NodeService, Usage]) -> Iterator[Metric]:
    """Yield what the processes of each service use together."""
    gauges: dict[str, tuple[str, str]] = {
        "processes": ("processes", "Processes of the service"),
        "resident_bytes": ("resident_memory_bytes", "Resident memory of its processes; what they share counts twice"),
        "open_files": ("open_fds", "Open file descriptors of its processes"),
        "threads": ("threads", "Threads of its processes"),
        "started": ("start_time_seconds", "When its oldest process was started"),
    }
    for attribute, (name, text) in gauges.items():
        family = GaugeMetricFamily(f"autoglm_service_{name}", text, labels=_SERVICE)
        for service, used in usage.items():
            value = getattr(used, attribute)
            if value is not None:
                family.add_metric([service.name, service.pool, service.unit], value)
        yield family
    cpu = CounterMetricFamily(
        "autoglm_service_cpu_seconds", "CPU time of its processes, also of those that have ended", labels=_SERVICE
    )
    for service, used in usage.items():
        cpu.add_metric([service.name, service.pool, service.unit], used.cpu_seconds)
    yield cpu
