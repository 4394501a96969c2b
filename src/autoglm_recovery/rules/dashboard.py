# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Grafana dashboard of the receiver: who needs a person, how recoveries go, and how the receiver stands.

Plain data in the shape that Grafana imports (schema version 39, Grafana 10 and later).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_WIDTH, _HEIGHT = 24, 8
_SOURCE = {"type": "prometheus", "uid": "${source}"}


@dataclass(frozen=True)
class Panel:
    """One panel: ``queries`` are (legend, PromQL).  ``kind`` is Grafana's; ``unit`` is one of Grafana's units."""

    title: str
    kind: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    width: int = 8
    red_above: float | None = None


def _quantiles(metric: str) -> tuple[tuple[str, str], ...]:
    rate = f"sum by (le) (rate({metric}_bucket[$__rate_interval]))"
    return tuple((f"p{share}", f"histogram_quantile({share / 100}, {rate})") for share in (50, 95, 99))


PANELS = (
    Panel(
        "Needs a person",
        "stat",
        (("", 'max(autoglm_incidents{state=~"escalated|held|unproven"})'),),
        red_above=1,
        width=4,
    ),
    Panel("Going on", "stat", (("", 'max(sum by (instance) (autoglm_incidents{state!~"resolved|closed"}))'),), width=4),
    Panel(
        "Playbooks running",
        "stat",
        (("", "max(sum by (instance) (autoglm_runs_unfinished)) or 0 * count(autoglm_loop_well)"),),
        width=4,
    ),
    Panel("Oldest alert not looked at", "stat", (("", "max(autoglm_oldest_alert_waiting_seconds)"),), "s", 4, 30),
    Panel(
        "Since the last Watchdog", "stat", (("", "time() - max(autoglm_watchdog_seen_timestamp_seconds)"),), "s", 4, 300
    ),
    Panel("Receivers well", "stat", (("", "sum(autoglm_loop_well)"),), width=4),
    Panel(
        "Incidents by state",
        "timeseries",
        (("{{state}}", 'max by (state) (autoglm_incidents{state!~"resolved|closed"})'),),
    ),
    Panel(
        "Oldest incident by state",
        "timeseries",
        (("{{state}}", "max by (state) (autoglm_oldest_incident_seconds)"),),
        "s",
    ),
    Panel(
        "Alerts a second by class",
        "timeseries",
        (("{{failure_class}}", "sum by (failure_class) (rate(autoglm_alerts_total[$__rate_interval]))"),),
    ),
    Panel("From alert to repair proven", "timeseries", _quantiles("autoglm_alert_to_verified_seconds"), "s"),
    Panel("From alert to first action", "timeseries", _quantiles("autoglm_alert_to_launch_seconds"), "s"),
    Panel("From alert to disk", "timeseries", _quantiles("autoglm_alert_to_commit_seconds"), "s"),
    Panel(
        "Runs ended by action and outcome",
        "timeseries",
        (("{{action}} {{state}}", "sum by (action, state) (increase(autoglm_runs_total[1h]))"),),
    ),
    Panel(
        "How runs were started", "timeseries", (("{{how}}", "sum by (how) (increase(autoglm_run_starts_total[1h]))"),)
    ),
    Panel("Oldest run that has not ended", "timeseries", (("", "max(autoglm_oldest_run_seconds)"),), "s"),
    Panel(
        "Webhooks by answer",
        "timeseries",
        (("{{status}}", "sum by (status) (rate(autoglm_webhook_requests_total[$__rate_interval]))"),),
        "reqps",
    ),
    Panel(
        "Not taken in",
        "timeseries",
        (
            ("set aside, unreadable", "sum(increase(autoglm_alerts_rejected_total[1h]))"),
            ("left out by Alertmanager", "sum(increase(autoglm_alerts_left_out_total[1h]))"),
            ("delivered again", "sum(increase(autoglm_alert_redeliveries_total[1h]))"),
        ),
    ),
    Panel(
        "Receivers: CPU and memory",
        "timeseries",
        (
            ("{{instance}} cores", 'rate(process_cpu_seconds_total{job="receiver"}[$__rate_interval])'),
            ("{{instance}} GiB", 'process_resident_memory_bytes{job="receiver"} / 2^30'),
        ),
    ),
)


def render_dashboard(
    panels: Iterable[Panel] = PANELS, uid: str = "autoglm-receiver", title: str = "autoglm.recovery"
) -> dict[str, Any]:
    """Return the document that Grafana imports."""
    return {
        "uid": uid,
        "title": title,
        "tags": ["autoglm"],
        "schemaVersion": 39,
        "timezone": "utc",
        "refresh": "10s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [{"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "panels": list(_laid_out(panels)),
    }


def _laid_out(panels: Iterable[Panel]) -> Iterable[dict[str, Any]]:
    """Place panels from left to right, a new row where one does not fit."""
    x = y = 0
    height = 0
    for number, panel in enumerate(panels, 1):
        tall = _HEIGHT if panel.kind == "timeseries" else _HEIGHT // 2
        if x + panel.width > _WIDTH:
            x, y = 0, y + height
        yield _panel(panel, number, {"x": x, "y": y, "w": panel.width, "h": tall})
        x, height = x + panel.width, tall


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.red_above is not None:
        steps.append({"color": "red", "value": panel.red_above})
    thresholds = {"mode": "absolute", "steps": steps}
    return {
        "id": number,
        "title": panel.title,
        "type": panel.kind,
        "gridPos": place,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "thresholds": thresholds}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": _SOURCE, "expr": query, "legendFormat": legend}
            for index, (legend, query) in enumerate(panel.queries)
        ],
    }
