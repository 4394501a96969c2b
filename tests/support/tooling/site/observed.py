# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The references of alerts, made of the rendered rules, and of metrics, made by the code that answers a scrape."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import yaml
from prometheus_client import Metric

from autoglm_recovery.exporter import live_metrics
from autoglm_recovery.exporter.gpu_metrics import HostView, gpu_metrics
from autoglm_recovery.exporter.ledger import FaultLedger
from autoglm_recovery.exporter.traffic import Traffic, traffic_metrics
from autoglm_recovery.policy import Policy
from autoglm_recovery.receiver.observe.metrics import Metrics
from autoglm_recovery.receiver.store.standing import Backlog
from autoglm_recovery.rules.render import EVERYTHING, render_receiver_rules, render_rules
from tests.support.tooling.site.commands import text

# A template of Prometheus', as people read it.
_TEMPLATE = re.compile(r"\{\{ *(.*?) *\}\}")

ALERTS = """# Every alert

Made of the rules that `autoglm rules` renders from a policy that names all `monitoring.metrics`, and no other key.
Durations and thresholds follow the policy. Words in
capitals stand for labels of the alert. How alerts come to fire and to end is in
[Prometheus and Alertmanager](../monitoring.md#alerts) and [The exporter](../exporter.md#alerts).
"""
METRICS = """# Metrics of the receiver

Made of its registry: what `GET /metrics` answers. Those of the exporter are in [](exporter-metrics.md).
"""
EXPORTER = """# Metrics of the exporter

Made by the code that answers a scrape: what `GET /metrics` of `autoglm exporter` may hold. What could not be read has
no sample, and is never 0. What the labels mean, and the rest, is in [The exporter](../exporter.md#metrics).
"""
_TABLE = """
| metric | type | labels | what it tells |
|---|---|---|---|
"""


def pages() -> dict[str, str]:
    """Return the pages by their names."""
    return {
        "reference/alerts": ALERTS + "\n".join(_alerts()),
        "reference/metrics": METRICS + _TABLE + "".join(_rows(families())),
        "reference/exporter-metrics": EXPORTER + _TABLE + "".join(_rows(exporter_families())),
    }


def _alerts() -> Iterator[str]:
    parts = {"About what is repaired": render_rules(EVERYTHING), "About the receiver": render_receiver_rules(Policy())}
    for heading, rendered in parts.items():
        yield f"\n## {heading}\n"
        for rule in rules(rendered):
            labels = ", ".join(f"{name} `{value}`" for name, value in sorted(rule["labels"].items()))
            waits = f", for `{rule['for']}`" if rule.get("for", "0s") != "0s" else ""
            said = [_readable(rule["annotations"][each]) for each in ("summary", "description") if _has(rule, each)]
            yield f"`{rule['alert']}`\n: {said[0]}\n"
            yield from (f"  {each}\n" for each in said[1:])
            yield f"  {labels}{waits}\n"


def _has(rule: Mapping[str, Any], annotation: str) -> bool:
    return bool(rule["annotations"].get(annotation))


def rules(rendered: str) -> list[Mapping[str, Any]]:
    """Return the alerts of a file of rules."""
    return [rule for group in yaml.safe_load(rendered)["groups"] for rule in group["rules"] if "alert" in rule]


def _readable(annotation: str) -> str:
    """Return an annotation with the names of labels in the place of Prometheus' templates for them."""

    def name(found: re.Match[str]) -> str:
        label = re.fullmatch(r"\$labels\.(\w+)", found[1])
        return label[1].upper() if label else ("..." if found[1].startswith(("$value", ".")) else "")

    return text(_TEMPLATE.sub(name, annotation))


def _rows(found: Sequence[Metric]) -> Iterator[str]:
    for family in sorted(found, key=lambda each: each.name):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = ", ".join(f"`{each}`" for each in getattr(family, "_labelnames", ()))
        yield f"| `{name}` | {family.type} | {labels} | {text(family.documentation).replace('|', chr(92) + '|')} |\n"


def families() -> list[Metric]:
    """Return every family of ours, with the names of its labels, as a receiver has it before anything has happened."""
    metrics = Metrics(lambda: Backlog({}, {}, {}, None, 0, None, 0))
    metrics.watch([])
    found = [_with_labels(collector) for collector in metrics.registry._collector_to_names]
    return [family for each in found for family in each if family.name.startswith("autoglm_")]


def _with_labels(collector: Any) -> Iterable[Metric]:
    for family in collector.collect():
        if hasattr(collector, "_labelnames"):
            family._labelnames = collector._labelnames
        yield family


def exporter_families() -> list[Metric]:
    """Return every family of the exporter, with the names of its labels, as of a host of which nothing is known."""
    nothing_read: Any = SimpleNamespace(source=SimpleNamespace(records=0, lost=0), readable=False)
    nothing_watched: Any = SimpleNamespace(watched=())
    return [
        *live_metrics.own_metrics(0.0, 0),
        *live_metrics.probe_metrics(0.0, 0.0, {}),
        *live_metrics.fault_metrics(FaultLedger()),
        *live_metrics.kernel_metrics(nothing_read),
        *live_metrics.exec_metrics(nothing_watched),
        *live_metrics.alert_metrics([]),
        *live_metrics.service_metrics({}),
        *traffic_metrics(Traffic(at_work=False)),
        *gpu_metrics(HostView("unknown")),
    ]
