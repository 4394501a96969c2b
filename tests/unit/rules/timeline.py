# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet over time, played to the real rules by `promtool test rules`.

Everything is well until a test says otherwise. The nodes' clocks are wrong on purpose, and all nodes share one
OOM kill counter, as containers of one machine do.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import yaml

STEP = 2
# Of a timeline of many minutes no second matters, and promtool needs tens of seconds to evaluate all rules at each.
LONG = 1000
LONG_STEP = 10
CLOCK_ERROR = 1_000_000
HOSTS = ("node-a", "node-b")
UNIT = "llm.service"
STATES = ("active", "activating", "deactivating", "failed", "inactive")

Samples = list[float | str]


@dataclass(frozen=True)
class Player:
    """Where and with what a timeline is played."""

    promtool: str
    rules: str
    directory: Path

    def play(self, document: dict[str, object]) -> None:
        """Run it, and fail with promtool's own words."""
        (self.directory / "rules.yml").write_text(self.rules, encoding="utf-8")
        # Without this, promtool evaluates the groups of one moment in an order of its own, another one each time.
        groups = [group["name"] for group in yaml.safe_load(self.rules)["groups"]]
        document = {**document, "group_eval_order": groups}
        (self.directory / "test.yml").write_text(yaml.safe_dump(document, width=10_000), encoding="utf-8")
        command = [self.promtool, "test", "rules", "test.yml"]
        # A fifth of the time goes into collecting what fits into memory anyway.
        environment = {**os.environ, "GOGC": "800"}
        done = subprocess.run(command, cwd=self.directory, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


class Timeline:
    """Samples every two seconds, and the alerts that are expected to fire at given seconds.

    Where it is ``LONG`` seconds or more, the rules are evaluated every ten seconds only.
    """

    def __init__(self, seconds: int, player: Player) -> None:
        self._steps = seconds // STEP
        self._evaluated_every = STEP if seconds < LONG else LONG_STEP
        self._player = player
        self._series: dict[str, Samples] = {}
        self._expected: list[tuple[int, list[tuple[str, str]]]] = []
        self._annotations: list[dict[str, object]] = []
        self._queries: list[dict[str, object]] = []
        self._without_unit_label = False
        for host in HOSTS:
            self._series[_up("node", host)] = self._constant(1)
            self._series[_endpoint(host)] = self._constant(1)
            self._series[_node("node_vmstat_oom_kill", host)] = self._constant(7)
            self._series[_node("node_time_seconds", host)] = [
                step * STEP + CLOCK_ERROR for step in range(self._steps + 1)
            ]
            self._series[_start_time(host)] = self._constant(CLOCK_ERROR - 3600)
            self._series[_restarts(host)] = self._constant(0)
            for state in STATES:
                self._series[_state(host, state)] = self._constant(1 if state == "active" else 0)

    def __enter__(self) -> Timeline:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._player.play(self._document())

    def _constant(self, value: float) -> Samples:
        return [value] * (self._steps + 1)

    def _set(self, series: str, value: float, since: int, until: int | None = None) -> None:
        samples = self._series.get(series, [])
        for step in range(since // STEP, min(len(samples), self._steps + 1 if until is None else until // STEP)):
            samples[step] = value

    def oom_kill(self, at: int) -> None:
        for host in HOSTS:
            series = _node("node_vmstat_oom_kill", host)
            before = self._series[series][at // STEP]
            assert isinstance(before, (int, float))
            self._set(series, before + 1, at)

    def balancer(self, host: str, state: str, since: int, until: int | None = None) -> None:
        """As HAProxy's exporter tells through the rendered job: one series for each state, of which one is 1."""
        labels = f'job="autoglm_haproxy",proxy="llm",server="s1",host="{host}",service="llm-{host}"'
        for each in ("DOWN", "UP", "MAINT", "DRAIN", "NOLB"):
            series = f'haproxy_server_status{{{labels},state="{each}"}}'
            self._series.setdefault(series, self._constant(1 if each == "UP" else 0))
            self._set(series, 1 if each == state else 0, since, until)

    def other_service_drained(self, host: str, since: int) -> None:
        """Another service on the host, which nobody scrapes, has been drained."""
        labels = f'job="autoglm_haproxy",proxy="llm",server="{host}",host="{host}",service="other"'
        self._series[f'haproxy_server_status{{{labels},state="DRAIN"}}'] = self._constant(0)
        self._set(f'haproxy_server_status{{{labels},state="DRAIN"}}', 1, since)

    def taken_out(self, host: str, since: int, until: int) -> None:
        """A run's note, as our exporter tells of it; it ends with a scrape without it."""
        series = f'autoglm_service_taken_out_timestamp_seconds{{job="autoglm",host="{host}",service="llm-{host}"}}'
        self._noted(series, host, since, until)

    def quarantined(self, host: str, since: int, until: int) -> None:
        """The mark on a host, as our exporter tells of it."""
        series = f'autoglm_quarantined_timestamp_seconds{{job="autoglm",host="{host}",by="alice",reason="Xid 79"}}'
        self._noted(series, host, since, until)

    def _noted(self, series: str, host: str, since: int, until: int) -> None:
        self._own_exporter(host)
        self._series.setdefault(series, ["_"] * (self._steps + 1))
        self._set(series, since + CLOCK_ERROR, since, until)
        if until // STEP <= self._steps:
            self._series[series][until // STEP] = "stale"

    def at_work(self, host: str, since: int, until: int) -> None:
        """A run holds the lock of the host."""
        self._own_exporter(host)
        self._set(f'autoglm_host_at_work{{job="autoglm",host="{host}"}}', 1, since, until)

    def own_exporter_silent(self, host: str, since: int, until: int) -> None:
        """Our exporter cannot be scraped, so that nobody tells of notes."""
        for series in self._series:
            if 'job="autoglm"' in series and f'host="{host}"' in series and series.startswith("autoglm_"):
                self._absent(series, since, until)

    def _own_exporter(self, host: str) -> None:
        for metric, value in (("autoglm_host_at_work", 0), ("autoglm_taken_out_readable", 1)):
            self._series.setdefault(f'{metric}{{job="autoglm",host="{host}"}}', self._constant(value))

    def reboot(self, host: str, at: int) -> None:
        self._set(_node("node_vmstat_oom_kill", host), 0, at)

    def unit(self, host: str, state: str, since: int) -> None:
        for each in STATES:
            self._set(_state(host, each), 1 if each == state else 0, since)
        # node_exporter tells the start of units that are active (systemd_linux.go, collectUnitStartTimeMetrics).
        self._set(_start_time(host), since + CLOCK_ERROR if state == "active" else 0, since)

    def endpoint(self, host: str, *, answers: bool, since: int, until: int | None = None) -> None:
        self._set(_endpoint(host), int(answers), since, until)

    def systemd_restarts(self, host: str, at: int) -> None:
        before = self._series[_restarts(host)][at // STEP]
        assert isinstance(before, (int, float))
        self._set(_restarts(host), before + 1, at)

    def exporter_silent(self, host: str, since: int, until: int | None = None) -> None:
        """A scrape that fails: `up` is 0, and Prometheus marks all other series of the target stale."""
        self._set(_up("node", host), 0, since, until)
        for series, samples in self._series.items():
            if series.startswith("node_") and f'host="{host}"' in series:
                for step in range(since // STEP, self._steps + 1 if until is None else until // STEP):
                    samples[step] = "stale" if step == since // STEP else "_"

    def host_silent(self, host: str, since: int, until: int | None = None) -> None:
        """No scrape of anything on the host has an answer."""
        self.exporter_silent(host, since, until)
        self.endpoint(host, answers=False, since=since, until=until)
        for series in self._series:
            if f'host="{host}"' in series and series.startswith(("vllm:", "llamacpp:", "sglang:", "tgi_")):
                self._absent(series, since, until)

    def vanishes(self, host: str, job: str, since: int, until: int | None = None) -> None:
        """Service discovery loses a target: no sample at all, not even that it is down."""
        for series in self._series:
            if f'host="{host}"' in series and f'job="{job}"' in series:
                self._absent(series, since, until)

    def engine(self, host: str, metric: str, values: Callable[[int], float | None], more: str = "") -> None:
        """A metric of the engine on a host, as a function of the second; None where there is no scrape of it."""
        self._series[_engine(metric, host, more)] = [_sample(values, step * STEP) for step in range(self._steps + 1)]

    def node(self, host: str, metric: str, values: Callable[[int], float | None], more: str = "") -> None:
        """A metric of node_exporter, as a function of the second."""
        self._series[_node(metric, host, more)] = [_sample(values, step * STEP) for step in range(self._steps + 1)]

    def exporter(self, host: str, metric: str, values: Callable[[int], float | None], more: str) -> None:
        """A metric of our exporter, as a function of the second."""
        series = f'{metric}{{job="autoglm", instance="{host}:9471", host="{host}", {more}}}'
        self._series[series] = [_sample(values, step * STEP) for step in range(self._steps + 1)]

    def probe(self, host: str, status: Callable[[int], int]) -> None:
        """What a blackbox_exporter is answered by a service: a status of HTTP, or 0 for nothing at all."""
        labels = f'job="blackbox", instance="prober:9115", target="{host}:8080", host="{host}", service="llm-{host}"'
        for metric, value in (("probe_http_status_code", status), ("probe_success", lambda at: int(status(at) == 200))):
            self._series[f"{metric}{{{labels}}}"] = [value(step * STEP) for step in range(self._steps + 1)]

    def slow_page(self, host: str, metric: str, values: Callable[[int], float | None], every: int = 10) -> None:
        """The same as the patient job reads it: with fewer samples, and under a name of its own."""
        kept = {step: values(step * STEP) for step in range(0, self._steps + 1, every // STEP)}
        self._series[_slow(f"autoglm_slow:{metric}", host, 'engine="0"')] = [
            "_" if kept.get(step) is None else kept[step] for step in range(self._steps + 1)
        ]

    def slow_up(self, host: str, up: Callable[[int], float], seconds: float) -> None:
        """What the patient job says of the endpoint, and how long it waited."""
        self._series[_slow("up", host)] = [up(step * STEP) for step in range(self._steps + 1)]
        self._series[_slow("scrape_duration_seconds", host)] = self._constant(seconds)

    def without_slow_until(self, host: str, second: int) -> None:
        """The patient job asks for the first time then."""
        for series, samples in self._series.items():
            if 'job="inference_slow"' in series and f'host="{host}"' in series:
                samples[: second // STEP] = ["_"] * (second // STEP)

    def _absent(self, series: str, since: int, until: int | None = None) -> None:
        """No samples, after a mark that says so."""
        samples = self._series[series]
        for step in range(since // STEP, self._steps + 1 if until is None else until // STEP):
            samples[step] = "stale" if step == since // STEP else "_"

    def without(self, metric: str) -> None:
        """As if the exporter were too old, or were not told to export this."""
        self._series = {series: samples for series, samples in self._series.items() if not series.startswith(metric)}

    def without_unit_label(self) -> None:
        self._without_unit_label = True

    def only_from(self, since: int) -> None:
        """As if Prometheus had made its first scrape then."""
        for samples in self._series.values():
            samples[: since // STEP] = ["_"] * (since // STEP)

    def expect(self, at: int, *alerts: tuple[str, str]) -> None:
        """At this second exactly these (alert, host) fire."""
        self._expected.append((at, sorted(alerts)))

    def expect_alert(self, at: int, name: str, labels: dict[str, str], annotations: dict[str, str]) -> None:
        """At this second exactly one alert of this name fires, with exactly these labels and annotations."""
        expected = [{"exp_labels": labels, "exp_annotations": annotations}]
        self._annotations.append({"eval_time": f"{at}s", "alertname": name, "exp_alerts": expected})

    def expect_labels(self, at: int, labels: dict[str, str]) -> None:
        """At this second exactly one alert of this name fires, with exactly these labels."""
        written = ", ".join(f'{name}="{value}"' for name, value in {**labels, "alertstate": "firing"}.items())
        self._queries.append(
            {
                "eval_time": f"{at}s",
                "expr": f'ALERTS{{alertname="{labels["alertname"]}"}}',
                "exp_samples": [{"labels": f"ALERTS{{{written}}}", "value": 1}],
            }
        )

    def _label(self, series: str) -> str:
        return series.replace(f', unit="{UNIT}"', "") if self._without_unit_label else series

    def _document(self) -> dict[str, object]:
        return {
            "rule_files": ["rules.yml"],
            "evaluation_interval": f"{self._evaluated_every}s",
            "tests": [
                {
                    "interval": f"{STEP}s",
                    "input_series": [
                        {"series": self._label(series), "values": " ".join(str(sample) for sample in samples)}
                        for series, samples in self._series.items()
                    ],
                    "promql_expr_test": [*(_firing(at, alerts) for at, alerts in self._expected), *self._queries],
                    "alert_rule_test": self._annotations,
                }
            ],
        }


def _firing(at: int, alerts: list[tuple[str, str]]) -> dict[str, object]:
    return {
        "eval_time": f"{at}s",
        "expr": 'count by (alertname, host) (ALERTS{alertstate="firing"})',
        "exp_samples": [{"labels": f'{{alertname="{name}", host="{host}"}}', "value": 1} for name, host in alerts],
    }


def _up(job: str, host: str) -> str:
    return f'up{{job="{job}", instance="{host}:9100", host="{host}"}}'


def _endpoint(host: str) -> str:
    return (
        f'up{{job="inference", instance="{host}:8080", host="{host}", service="llm-{host}", pool="llm", unit="{UNIT}"}}'
    )


def _engine(metric: str, host: str, more: str = "") -> str:
    labels = f'job="inference", instance="{host}:8080", host="{host}", service="llm-{host}", pool="llm", unit="{UNIT}"'
    return f"{metric}{{{labels}, {more}}}" if more else f"{metric}{{{labels}}}"


def _slow(metric: str, host: str, more: str = "") -> str:
    return _engine(metric, host, more).replace('job="inference"', 'job="inference_slow"')


def _sample(values: Callable[[int], float | None], second: int) -> float | str:
    value = values(second)
    if value is not None:
        return value
    return "stale" if second and values(second - STEP) is not None else "_"


def _node(metric: str, host: str, more: str = "") -> str:
    return f'{metric}{{job="node", instance="{host}:9100", host="{host}"{more}}}'


def _state(host: str, state: str) -> str:
    return _node("node_systemd_unit_state", host, f', name="{UNIT}", state="{state}", type="simple"')


def _start_time(host: str) -> str:
    return _node("node_systemd_unit_start_time_seconds", host, f', name="{UNIT}"')


def _restarts(host: str) -> str:
    return _node("node_systemd_service_restart_total", host, f', name="{UNIT}"')
