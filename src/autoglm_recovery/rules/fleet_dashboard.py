# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Grafana dashboard of the fleet: who is not heard, what fires, and how GPUs and engines are doing."""

from __future__ import annotations

from autoglm_recovery.rules.dashboard import Panel
from autoglm_recovery.rules.engine_metrics import REQUESTS, pattern

_FIRING = 'ALERTS{alertstate="firing", failure_class!=""}'
# Which always fires: without it no rule is evaluated, and that none fires says nothing.
_WATCHDOG = 'ALERTS{alertname="Watchdog"}'
_GPU = "{{host}} {{gpu}}"

# A number is 0 only where something was read that says so: without samples there is none.
FLEET_PANELS = (
    Panel("Hosts not heard", "stat", (("", 'sum(1 - up{job="node"})'),), width=4, red_above=1),
    Panel("Engines not heard", "stat", (("", 'sum(1 - up{job="inference"})'),), width=4, red_above=1),
    Panel(
        "GPUs not healthy",
        "stat",
        (("", 'sum(autoglm_gpu_verdict{verdict!="healthy"})'),),
        width=4,
        red_above=1,
    ),
    Panel("Alerts firing", "stat", (("", f"count({_FIRING}) or 0 * count({_WATCHDOG})"),), width=4, red_above=1),
    Panel(
        "Taken out of traffic",
        "stat",
        (("", "count(autoglm_service_taken_out_timestamp_seconds > 0) or 0 * count(autoglm_taken_out_readable == 1)"),),
        width=4,
    ),
    Panel("Runs at work on hosts", "stat", (("", "sum(autoglm_host_at_work)"),), width=4),
    Panel(
        "What fires",
        "timeseries",
        (("{{alertname}} {{host}} {{service}}", f"sum by (alertname, host, service) ({_FIRING})"),),
    ),
    Panel(
        "Requests in hand or waiting",
        "timeseries",
        (
            (
                "{{host}} {{service}}",
                f'sum by (host, service) ({{__name__=~"{pattern(REQUESTS)}", job="inference"}})',
            ),
        ),
    ),
    Panel(
        "Probes of services",
        "timeseries",
        (("{{host}} {{service}}", 'max by (host, service) (probe_duration_seconds{job="blackbox"})'),),
        "s",
    ),
    Panel("GPU utilization", "timeseries", ((_GPU, "autoglm_gpu_utilization_ratio"),), "percentunit"),
    Panel(
        "GPU memory",
        "timeseries",
        ((_GPU, "autoglm_gpu_memory_used_bytes / autoglm_gpu_memory_total_bytes"),),
        "percentunit",
    ),
    Panel(
        "GPU temperature",
        "timeseries",
        ((_GPU, "max by (host, gpu) (autoglm_gpu_temperature_celsius)"),),
        "celsius",
    ),
    Panel("GPU power", "timeseries", ((_GPU, "autoglm_gpu_power_watts"),), "watt"),
    Panel(
        "Kernel faults in an hour",
        "timeseries",
        (
            (
                "{{host}} {{gpu}} {{failure_class}}",
                "sum by (host, gpu, failure_class) (increase(autoglm_kernel_faults_total[1h]))",
            ),
        ),
    ),
    Panel(
        "NVLink errors a second",
        "timeseries",
        ((_GPU, "sum by (host, gpu) (rate(autoglm_nvlink_errors_total[$__rate_interval]))"),),
    ),
    Panel(
        "Memory of services",
        "timeseries",
        (("{{host}} {{service}}", "sum by (host, service) (autoglm_service_resident_memory_bytes)"),),
        "bytes",
    ),
    Panel(
        "CPU of services",
        "timeseries",
        (
            (
                "{{host}} {{service}}",
                "sum by (host, service) (rate(autoglm_service_cpu_seconds_total[$__rate_interval]))",
            ),
        ),
    ),
    Panel(
        "GPU memory of services",
        "timeseries",
        (("{{host}} {{service}}", "sum by (host, service) (autoglm_service_gpu_memory_bytes)"),),
        "bytes",
    ),
)
