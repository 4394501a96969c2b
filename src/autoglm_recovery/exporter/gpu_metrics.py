# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot of the GPUs as metrics.  Pure; a value that was not read has no sample, never a 0."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from autoglm_recovery.exporter.memory import KnownGpu, pids_on
from autoglm_recovery.exporter.names import (
    CLOCK_EVENTS,
    COUNTER,
    GRAVE_LINK_ERRORS,
    METRICS,
    RECOVERY_ACTIONS,
    ROWS,
)
from autoglm_recovery.exporter.services import NOBODY, NodeService
from autoglm_recovery.knowledge.gpu.nvlink.fields import BER_FIELDS, COUNTERS, bit_error_rate

GPU = ("gpu", "uuid", "index")
VERDICTS = ("healthy", "unhealthy", "unknown")


@dataclass(frozen=True)
class GpuView:
    """One GPU with its readings.  ``values`` is empty where nothing could be read now."""

    known: KnownGpu
    verdict: str
    state: str = "unread"
    values: Mapping[str, Any] = field(default_factory=dict)
    lost: bool = False
    links_missing: int | None = None
    owner: NodeService = NOBODY
    services: Mapping[int, NodeService] = field(default_factory=dict)

    @property
    def labels(self) -> list[str]:
        """Return the values of the labels ``GPU``."""
        return [self.known.gpu, self.known.uuid, str(self.known.index)]


@dataclass(frozen=True)
class HostView:
    """All GPUs of the host.  ``present``: the number that each witness counts.  ``error``: why NVML was not read."""

    verdict: str
    gpus: Sequence[GpuView] = ()
    expected: int = 0
    present: Mapping[str, int] = field(default_factory=dict)
    error: str | None = None
    versions: Mapping[str, Any] = field(default_factory=dict)


def gpu_metrics(view: HostView) -> Iterator[Metric]:
    """Yield every metric that comes from a snapshot."""
    yield from _of_host(view)
    yield from _of_values(view.gpus)
    yield from _of_states(view.gpus)
    yield from _of_links(view.gpus)
    yield from _of_instances(view.gpus)
    yield from _of_processes(view.gpus)


def _of_host(view: HostView) -> Iterator[Metric]:
    yield _verdict_gauge(
        "autoglm_host_verdict", "1 for what the GPUs of this host are together", (), [([], view.verdict)]
    )
    yield _gauge_of(
        "autoglm_gpus_expected",
        "How many GPUs there should be: as told, else the most known of",
        (),
        [([], view.expected)],
    )
    counted = [([witness], number) for witness, number in view.present.items()]
    yield _gauge_of("autoglm_gpus_present", "How many GPUs each witness counts", ("witness",), counted)
    errors: list[tuple[list[str], float]] = [([view.error], 1)] if view.error else []
    yield _gauge_of("autoglm_nvml_error", "1 for the error that keeps NVML from being read", ("error",), errors)
    versions = {name: str(view.versions.get(f"{name}_version") or "") for name in ("driver", "nvml", "cuda")}
    told: list[tuple[list[str], float]] = [(list(versions.values()), 1)] if any(versions.values()) else []
    yield _gauge_of("autoglm_driver_info", "Versions of the NVIDIA driver", tuple(versions), told)


def _of_values(gpus: Iterable[GpuView]) -> Iterator[Metric]:
    families = {
        name: (CounterMetricFamily if kind == COUNTER else GaugeMetricFamily)(name, text, labels=[*GPU, *labels])
        for name, (kind, text, labels) in METRICS.items()
    }
    for gpu in gpus:
        for row in ROWS:
            value = gpu.values.get(row.value)
            if value is not None:
                labels = [*gpu.labels, *(label for _name, label in row.labels)]
                families[row.metric].add_metric(labels, round(float(value) * row.scale, 6))
    yield from families.values()


def _of_states(gpus: Sequence[GpuView]) -> Iterator[Metric]:
    yield _verdict_gauge(
        "autoglm_gpu_verdict", "1 for what the GPU is", GPU, [(gpu.labels, gpu.verdict) for gpu in gpus]
    )
    names = [
        ([*gpu.labels, str(gpu.values.get("name") or ""), str(gpu.values.get("serial") or "")], 1.0) for gpu in gpus
    ]
    yield _gauge_of("autoglm_gpu_info", "What the GPU is called", (*GPU, "name", "serial"), names)
    owners = [([*gpu.labels, gpu.owner.name, gpu.owner.pool], 1.0) for gpu in gpus]
    text = "The service that used the GPU last; empty where nobody is known or several share it"
    yield _gauge_of("autoglm_gpu_owner_info", text, (*GPU, "service", "pool"), owners)
    lost = [(gpu.labels, float(gpu.lost)) for gpu in gpus if gpu.lost or gpu.state in ("read", "reset_required")]
    yield _gauge_of(
        "autoglm_gpu_lost", "1 where NVML says lost, or the GPU was there and is not listed any more", GPU, lost
    )
    hung = [(gpu.labels, float(gpu.state == "hung")) for gpu in gpus]
    yield _gauge_of("autoglm_gpu_hung", "1 where the driver does not answer for this GPU", GPU, hung)
    actions = [
        ([*gpu.labels, RECOVERY_ACTIONS.get(gpu.values["recovery_action"], "unknown")], 1.0)
        for gpu in gpus
        if gpu.values.get("recovery_action") is not None
    ]
    text = "1 for what the driver wants to be done about the GPU"
    yield _gauge_of("autoglm_gpu_recovery_action", text, (*GPU, "action"), actions)
    events = [
        ([*gpu.labels, reason], float(bool(gpu.values["clock_reasons"] & bit)))
        for gpu in gpus
        if gpu.values.get("clock_reasons") is not None
        for reason, bit in CLOCK_EVENTS.items()
    ]
    yield _gauge_of("autoglm_gpu_clock_event_active", "1 for what lowers the clocks", (*GPU, "reason"), events)


def _of_links(gpus: Sequence[GpuView]) -> Iterator[Metric]:
    links = [
        ([*gpu.labels, str(link["link"]), link.get("remote") or ""], float(bool(link["up"])))
        for gpu in gpus
        for link in gpu.values.get("nvlinks") or []
    ]
    yield _gauge_of("autoglm_nvlink_up", "1 where the link is up", (*GPU, "link", "remote"), links)
    yield from _of_link_counters(gpus)
    missing = [(gpu.labels, float(gpu.links_missing)) for gpu in gpus if gpu.links_missing is not None]
    text = "Links that are down, and were up in this boot or are up on other GPUs of the model"
    yield _gauge_of("autoglm_nvlink_links_missing", text, GPU, missing)


def _of_link_counters(gpus: Sequence[GpuView]) -> Iterator[Metric]:
    errors = CounterMetricFamily(
        "autoglm_nvlink_errors",
        "Errors on a link; weight grave: those of which a sound link has none",
        labels=[*GPU, "link", "counter", "weight"],
    )
    rates = GaugeMetricFamily("autoglm_nvlink_bit_error_rate", "Bit error rate", labels=[*GPU, "link", "type"])
    for gpu in gpus:
        for link, told in enumerate(gpu.values.get("nvlink_counters") or []):
            values = told["values"]
            for counter in COUNTERS:
                if values.get(counter) is not None:
                    weight = "grave" if counter in GRAVE_LINK_ERRORS else "light"
                    errors.add_metric([*gpu.labels, str(link), counter, weight], values[counter])
            for kind in BER_FIELDS:
                raw = values.get(f"{kind}_ber")
                if raw is not None:
                    rates.add_metric([*gpu.labels, str(link), kind], bit_error_rate(int(raw))["rate"])
    yield errors
    yield rates


def _of_instances(gpus: Sequence[GpuView]) -> Iterator[Metric]:
    labels = (*GPU, "mig_uuid", "mig_gi", "mig_ci", "name")
    instances = [
        ([*gpu.labels, *(str(_or_empty(one.get(key))) for key in ("uuid", "gi", "ci", "name"))], 1.0)
        for gpu in gpus
        for one in gpu.values.get("mig_devices") or []
    ]
    yield _gauge_of("autoglm_gpu_mig_device_info", "MIG devices", labels, instances)


def _of_processes(gpus: Sequence[GpuView]) -> Iterator[Metric]:
    held: Counter[tuple[str, ...]] = Counter()
    for gpu in gpus:
        for pid in pids_on({"values": gpu.values}):
            service = gpu.services.get(pid)
            for gi, ci, used in _memory_of(gpu, pid):
                if service is not None and used is not None:
                    held[(service.name, service.pool, service.unit, gpu.known.gpu, gpu.known.uuid, gi, ci)] += used
    labels = ("service", "pool", "unit", "gpu", "uuid", "mig_gi", "mig_ci")
    text = "GPU memory that the service's processes hold"
    yield _gauge_of("autoglm_service_gpu_memory_bytes", text, labels, [(list(key), used) for key, used in held.items()])


def _memory_of(gpu: GpuView, pid: int) -> list[tuple[str, str, int | None]]:
    """Return the memory of a process per GPU instance; a process in both the compute and graphics list counts once."""
    found: dict[tuple[str, str], int | None] = {}
    for kind in ("compute", "graphics", "mps"):
        for process in gpu.values.get(f"processes_{kind}") or []:
            if process["pid"] == pid:
                place = (str(_or_empty(process.get("gi"))), str(_or_empty(process.get("ci"))))
                found.setdefault(place, process["used_bytes"])
    return [(*place, used) for place, used in found.items()]


def _verdict_gauge(
    name: str, text: str, labels: Sequence[str], rows: Iterable[tuple[list[str], str]]
) -> GaugeMetricFamily:
    samples = [([*given, one], float(one == verdict)) for given, verdict in rows for one in VERDICTS]
    return _gauge_of(name, text, (*labels, "verdict"), samples)


def _gauge_of(
    name: str, text: str, labels: Sequence[str], samples: Iterable[tuple[list[str], float]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _or_empty(value: object) -> object:
    return "" if value is None else value
