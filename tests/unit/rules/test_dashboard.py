# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboard asks for what is there: every query can be read, and every metric in it is one that is published."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import generate_latest

from autoglm_recovery.exporter.names import COUNTER, METRICS
from autoglm_recovery.receiver.observe.metrics import Metrics
from autoglm_recovery.receiver.store.standing import Backlog
from autoglm_recovery.rules.dashboard import PANELS, Panel, render_dashboard
from autoglm_recovery.rules.engine_metrics import REQUESTS
from autoglm_recovery.rules.fleet_dashboard import FLEET_PANELS

QUERIES = [query for panel in PANELS for _, query in panel.queries]
FLEET_QUERIES = [query for panel in FLEET_PANELS for _, query in panel.queries]
# Of Prometheus itself, and of the blackbox_exporter (prober/handler.go).
OF_OTHERS = {"up", "ALERTS", "probe_duration_seconds"}


def published() -> str:
    one = Backlog({"held": 1}, {"held": 1.0}, {("restart_process", "running"): 1}, 1.0, 1, 1.0, 0)
    metrics = Metrics(lambda: one)
    metrics.alert("oom", "firing", "joined", 1.0)
    metrics.request(200)
    metrics.run_ended("restart_process", "succeeded")
    metrics.run_started("warm")
    return generate_latest(metrics.registry).decode()


@pytest.mark.parametrize("query", QUERIES)
def test_every_metric_is_published(query: str) -> None:
    names = re.findall(r"\b(?:autoglm|process)_[a-z_]+", query)
    assert names
    for name in names:
        assert re.search(rf"^{name}[{{ ]", published(), re.MULTILINE), name


def of_exporter() -> set[str]:
    """Return the names of the exporter's metrics, as its page and its table have them."""
    page = (Path(__file__).parents[3] / "docs/exporter.md").read_text("utf-8")
    tabled = {f"{name}_total" if kind == COUNTER else name for name, (kind, *_) in METRICS.items()}
    # A row of the page says one name whole, and of its neighbours how they end.
    ends = {f"autoglm_service{end}" for end in re.findall(r"`(_[a-z_]+)`", page)}
    return set(re.findall(r"autoglm_[a-z_]+", page)) | tabled | ends


@pytest.mark.parametrize("query", FLEET_QUERIES)
def test_every_metric_of_the_fleet_is_one_that_somebody_has(query: str) -> None:
    names = set(re.findall(r"\b(?:autoglm_[a-z_]+|probe_[a-z_]+|up|ALERTS)(?=[{\[) ]|$)", query))
    assert names or all(name in query for name in REQUESTS)
    assert names - OF_OTHERS - of_exporter() == set()


def test_prometheus_can_read_every_query(promtool: str, tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{n}", "expr": query.replace("$__rate_interval", "5m")}
        for n, query in enumerate(QUERIES + FLEET_QUERIES)
    ]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run(
        [promtool, "check", "rules", "rules.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_no_number_is_told_where_nothing_was_read(promtool: str, tmp_path: Path) -> None:
    """A 0 of nothing would be green."""
    stats = [query for panel in (*PANELS, *FLEET_PANELS) if panel.kind == "stat" for _, query in panel.queries]
    nothing = [{"expr": query, "eval_time": "1m", "exp_samples": []} for query in stats]
    counted = {
        'sum(1 - up{job="node"})': 1,
        'sum(autoglm_gpu_verdict{verdict!="healthy"})': 0,
        next(query for query in stats if "ALERTS" in query): 0,
        next(query for query in stats if "taken_out" in query): 0,
    }
    assert counted.keys() <= set(stats)
    something = [
        {"expr": query, "eval_time": "1m", "exp_samples": [{"labels": "{}", "value": value}]}
        for query, value in counted.items()
    ]
    series = {
        'up{job="node", host="a"}': "1 1",
        'up{job="node", host="b"}': "0 0",
        'autoglm_gpu_verdict{host="a", verdict="healthy"}': "1 1",
        'autoglm_gpu_verdict{host="a", verdict="failed"}': "0 0",
        'ALERTS{alertname="Watchdog", alertstate="firing"}': "1 1",
        "autoglm_taken_out_readable": "1 1",
    }
    tests = [
        {"interval": "1m", "promql_expr_test": nothing},
        {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": something,
        },
    ]
    (tmp_path / "tests.yml").write_text(yaml.safe_dump({"tests": tests}))
    done = subprocess.run(
        [promtool, "test", "rules", "tests.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("panels", [PANELS, FLEET_PANELS], ids=["receiver", "fleet"])
def test_no_panel_lies_over_another(panels: tuple[Panel, ...]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in render_dashboard(panels)["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        taken |= cells
