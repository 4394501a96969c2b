# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fast alerts, with a real Alertmanager, and with a real Prometheus that tells of the same fault."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from tests.integration.exporter.running import Alertmanager, Exporter, KernelFile, Prometheus, instant
from tests.support.servers.waiting import until

GPU = "0000:3b:00"
LABELS = {
    "alertname": "GPUKernelFault",
    "failure_class": "gpu_fault",
    "nature": "event",
    "severity": "critical",
    "host": "node-a",
    "kind": "xid",
    "xid": "48",
    "gpu": GPU,
}


def only(alertmanager: Alertmanager) -> dict[str, Any] | None:
    alerts = alertmanager.alerts()
    assert len(alerts) < 2, alerts
    return alerts[0] if alerts else None


def fast(make: Callable[..., Exporter], kernel: KernelFile, alertmanager: Alertmanager, *options: str) -> Exporter:
    return make("--kmsg", str(kernel.path), "--alertmanager", alertmanager.url, *options)


def test_a_kernel_line_becomes_an_alert(
    make_exporter: Callable[..., Exporter], kernel: KernelFile, alertmanager: Alertmanager
) -> None:
    exporter = fast(make_exporter, kernel, alertmanager, "--label", "cluster=blue")
    exporter.until("the log", lambda page: page.value("autoglm_kernel_log_readable") == 1)
    written = datetime.now(UTC)
    kernel.xid(48, GPU)
    alert = until("the alert", lambda: only(alertmanager))
    assert alert["labels"] == {**LABELS, "cluster": "blue"}
    assert alert["annotations"]["summary"] == "node-a: the kernel reports a GPU fault (xid 48 on 0000:3b:00)"
    assert instant(alert["endsAt"]) - instant(alert["startsAt"]) == timedelta(minutes=3)
    assert abs(instant(alert["startsAt"]) - written) < timedelta(minutes=1)
    exporter.until("the count", lambda page: page.value("autoglm_fast_alerts_total", outcome="sent") == 1)


def test_what_is_only_counted_is_no_alert(
    make_exporter: Callable[..., Exporter], kernel: KernelFile, alertmanager: Alertmanager
) -> None:
    fast(make_exporter, kernel, alertmanager)
    kernel.xid(43, GPU)
    kernel.xid(48, GPU)
    alert = until("the alert", lambda: only(alertmanager))
    assert alert["labels"]["xid"] == "48"


def test_the_rules_alert_is_the_same_alert(
    make_exporter: Callable[..., Exporter],
    make_prometheus: Callable[..., Prometheus],
    kernel: KernelFile,
    alertmanager: Alertmanager,
) -> None:
    exporter = fast(make_exporter, kernel, alertmanager)
    kernel.xid(48, GPU)
    first = until("the fast alert", lambda: only(alertmanager))
    assert not first.get("generatorURL")
    make_prometheus(exporter, alertmanager)
    # Alertmanager shows the later of two equal alerts; only Prometheus gives them a link.
    second = until(
        "Prometheus' alert", lambda: alert if (alert := only(alertmanager)) and alert.get("generatorURL") else None
    )
    assert (second["fingerprint"], second["labels"]) == (first["fingerprint"], first["labels"])
    assert second["startsAt"] == first["startsAt"]
    assert "runbook" in second["annotations"]


def test_alertmanager_that_comes_late_gets_the_newest_state(
    make_exporter: Callable[..., Exporter],
    kernel: KernelFile,
    tmp_path: Path,
    started: Callable[[Alertmanager], Alertmanager],
) -> None:
    alertmanager = Alertmanager(tmp_path / "late")
    exporter = fast(make_exporter, kernel, alertmanager)
    kernel.xid(48, GPU)
    exporter.until("a failure", lambda page: (page.value("autoglm_fast_alerts_total", outcome="failed") or 0) >= 2)
    kernel.xid(48, GPU)
    kernel.xid(79, GPU)
    page = exporter.until("two that wait", lambda page: page.value("autoglm_fast_alerts_pending") == 2)
    assert page.value("autoglm_heartbeat_timestamp_seconds")
    started(alertmanager)
    alerts = until("both alerts", lambda: found if len(found := alertmanager.alerts()) == 2 else None)
    assert {alert["labels"]["xid"] for alert in alerts} == {"48", "79"}
    exporter.until("nothing to wait", lambda page: page.value("autoglm_fast_alerts_pending") == 0)


def test_alertmanager_takes_the_rules_resolution_for_the_fast_alert_too(
    make_exporter: Callable[..., Exporter], kernel: KernelFile, alertmanager: Alertmanager
) -> None:
    fast(make_exporter, kernel, alertmanager)
    kernel.xid(48, GPU)
    alert = until("the alert", lambda: only(alertmanager))
    over = {"labels": alert["labels"], "startsAt": alert["startsAt"], "endsAt": datetime.now(UTC).isoformat()}
    httpx.post(f"{alertmanager.url}/api/v2/alerts", json=[over], trust_env=False).raise_for_status()
    until("the end", lambda: not alertmanager.alerts())
