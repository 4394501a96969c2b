# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node with two GPUs over time, as its exporter tells of it, played to the real rules.

GPU 0 is used by the service llm-node-a, GPU 1 by nobody that is known.  The node's clock is wrong on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.unit.rules.timeline import CLOCK_ERROR, STEP, Player, Timeline

HOST = "node-a"
GPUS = ("0000:0b:00", "0000:1a:00")
OWNERS = (("llm-node-a", "llm"), ("", ""))
VERDICTS = ("healthy", "unhealthy", "unknown")
# Values of a GPU that is well: metric with its own labels -> value.
WELL = {
    "autoglm_gpu_lost": 0,
    "autoglm_gpu_hung": 0,
    "autoglm_gpu_remap_pending": 0,
    "autoglm_gpu_remap_failure": 0,
    "autoglm_gpu_retired_pages_pending": 0,
    "autoglm_nvlink_links_missing": 0,
    'autoglm_gpu_ecc_errors_total{scope="volatile", severity="uncorrected"}': 0,
    'autoglm_gpu_ecc_errors_total{scope="aggregate", severity="uncorrected"}': 3,
    'autoglm_gpu_recovery_action{action="none"}': 1,
    'autoglm_gpu_clock_event_active{reason="gpu_idle"}': 1,
    'autoglm_gpu_clock_event_active{reason="sw_power_cap"}': 1,
    'autoglm_gpu_clock_event_active{reason="hw_slowdown"}': 0,
    'autoglm_gpu_clock_event_active{reason="hw_thermal_slowdown"}': 0,
    'autoglm_gpu_clock_event_active{reason="hw_power_brake_slowdown"}': 0,
    'autoglm_nvlink_errors_total{link="0", counter="replay", weight="grave"}': 5,
    'autoglm_nvlink_errors_total{link="0", counter="crc", weight="light"}': 5,
}


class GpuTimeline(Timeline):
    """All is well until a test says otherwise."""

    def __init__(self, seconds: int, player: Player) -> None:
        super().__init__(seconds, player)
        self._series[_series("up")] = self._constant(1)
        self._series[HEARTBEAT] = [step * STEP + CLOCK_ERROR for step in range(self._steps + 1)]
        self.host_values(autoglm_gpus_expected=2, autoglm_probe_age_seconds=1)
        for witness in ("nvml", "pci"):
            self._series[_series(f'autoglm_gpus_present{{witness="{witness}"}}')] = self._constant(2)
        for verdict in VERDICTS:
            self._series[_series(f'autoglm_host_verdict{{verdict="{verdict}"}}')] = self._constant(
                int(verdict == "healthy")
            )
        for index, (service, pool) in enumerate(OWNERS):
            owner = f'autoglm_gpu_owner_info{{service="{service}", pool="{pool}"}}'
            self._series[_series(owner, index)] = self._constant(1)
            for metric, value in WELL.items():
                self._series[_series(metric, index)] = self._constant(value)
            for verdict in VERDICTS:
                metric = f'autoglm_gpu_verdict{{verdict="{verdict}"}}'
                self._series[_series(metric, index)] = self._constant(int(verdict == "healthy"))

    def host_values(self, since: int = 0, until: int | None = None, **values: float) -> None:
        """Set metrics of the host."""
        for metric, value in values.items():
            series = _series(metric)
            self._series.setdefault(series, self._constant(value))
            self._set(series, value, since, until)

    def present(self, witness: str, number: float, since: int, until: int | None = None) -> None:
        self._set(_series(f'autoglm_gpus_present{{witness="{witness}"}}'), number, since, until)

    def gpu(self, index: int, metric: str, value: float, since: int, until: int | None = None) -> None:
        """Set a metric of a GPU; one that a healthy GPU does not have begins then and ends then."""
        series = _series(metric, index)
        if series not in self._series:
            self._series[series] = ["_"] * (self._steps + 1)
            if until is not None and until // STEP <= self._steps:
                self._series[series][until // STEP] = "stale"
        self._set(series, value, since, until)

    def verdict(self, index: int, verdict: str, since: int, until: int | None = None) -> None:
        for each in VERDICTS:
            self.gpu(index, f'autoglm_gpu_verdict{{verdict="{each}"}}', int(each == verdict), since, until)

    def unreadable(self, index: int, since: int, until: int | None = None) -> None:
        """No value of the GPU is there, only that it is unknown."""
        self.verdict(index, "unknown", since, until)
        for metric in WELL:
            if metric != "autoglm_gpu_hung":
                self._absent(_series(metric, index), since, until)

    def gpu_host_unknown(self) -> None:
        """There is no NVML on this host."""
        for verdict in VERDICTS:
            self._set(_series(f'autoglm_host_verdict{{verdict="{verdict}"}}'), int(verdict == "unknown"), 0)
        self.gpu_nvml_error("NVML_ERROR_LIBRARY_NOT_FOUND", since=0)

    def gpu_nvml_error(self, error: str, since: int, until: int | None = None) -> None:
        series = _series(f'autoglm_nvml_error{{error="{error}"}}')
        self._series[series] = ["_"] * (self._steps + 1)
        self._set(series, 1, since, until)
        if until is not None:
            self._series[series][until // STEP] = "stale"

    def load_shed(self, service: str, since: int, until: int) -> None:
        """A run's note that it keeps load from a service, as our exporter tells of it."""
        series = _series(f'autoglm_service_load_shed_timestamp_seconds{{service="{service}"}}')
        self._series[series] = ["_"] * (self._steps + 1)
        self._set(series, since, since, until)
        self._series[series][until // STEP] = "stale"

    def silent(self, since: int, until: int | None = None) -> None:
        """The exporter cannot be scraped."""
        self._set(_series("up"), 0, since, until)
        for series in self._series:
            if series.startswith("autoglm_"):
                self._absent(series, since, until)

    def removed(self, since: int) -> None:
        """Somebody has taken the target away."""
        for series in self._series:
            if 'job="autoglm"' in series:
                self._absent(series, since)

    def heart_stops(self, since: int) -> None:
        samples = self._series[HEARTBEAT]
        for step in range(since // STEP, len(samples)):
            samples[step] = samples[since // STEP - 1]

    def fault(self, labels: Mapping[str, str], at: int) -> None:
        """The kernel tells of a fault: its series begins, or its time moves."""
        written = ", ".join(f'{name}="{value}"' for name, value in labels.items())
        series = _series(f"autoglm_kernel_fault_last_seen_timestamp_seconds{{{written}}}")
        self._series.setdefault(series, ["_"] * (self._steps + 1))
        self._set(series, at + CLOCK_ERROR, max(at, 0))

    def endpoint_of(self, service: str, *, answers: bool, since: int, until: int | None = None) -> None:
        assert service == f"llm-{HOST}"
        self.endpoint(HOST, answers=answers, since=since, until=until)


def _series(metric: str, gpu: int | None = None) -> str:
    name, _brace, own = metric.partition("{")
    labels = [f'job="autoglm", instance="{HOST}:9471", host="{HOST}"']
    if gpu is not None:
        labels.append(f'gpu="{GPUS[gpu]}", uuid="GPU-{gpu}", index="{gpu}"')
    return f"{name}{{{', '.join([*labels, own.removesuffix('}')] if own else labels)}}}"


HEARTBEAT = _series("autoglm_heartbeat_timestamp_seconds")
