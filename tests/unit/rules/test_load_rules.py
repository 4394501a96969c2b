# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the alerts of monitoring.metrics fire and resolve, and which of them there are."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from autoglm_recovery.policy import Policy, parse_policy
from autoglm_recovery.policy.monitoring import METRICS
from autoglm_recovery.rules.engine_metrics import FAILED, LATENCIES, WAITING
from autoglm_recovery.rules.render import EVERYTHING, render_rules
from tests.unit.rules.timeline import Player, Timeline

Timelines = Callable[[int], Timeline]

HOST = "node-a"
ALERTS = {
    "cpu_load": ("HostCPUOverloaded", "overload"),
    "gpu_memory": ("InferenceGPUMemoryFull", "oom"),
    "latency": ("InferenceLatencyHigh", "overload"),
    "memory": ("HostMemoryAlmostFull", "overload"),
    "request_queue": ("InferenceQueueGrowing", "overload"),
}
RECORDED = Path(__file__).parents[1] / "plugins/fixtures"


@pytest.fixture
def timeline(promtool: str, tmp_path: Path) -> Timelines:
    return lambda seconds: Timeline(seconds, Player(promtool, render_rules(EVERYTHING), tmp_path))


def load_rules(policy: Policy) -> dict[str, dict[str, str]]:
    groups = {group["name"]: group["rules"] for group in yaml.safe_load(render_rules(policy))["groups"]}
    return {rule["alert"]: rule for rule in groups.get("autoglm-load", []) if "alert" in rule}


# --- which there are -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
def test_what_is_named_has_its_alert_and_nothing_else_has(metric: str) -> None:
    rules = load_rules(parse_policy(f"monitoring: {{metrics: [{metric}]}}"))
    name, failure_class = ALERTS[metric]
    assert list(rules) == [name]
    assert rules[name]["labels"]["failure_class"] == failure_class
    assert rules[name]["labels"]["nature"] == "state"
    assert load_rules(Policy()) == {}


def test_thresholds_of_the_policy_are_those_of_the_rules() -> None:
    text = """
monitoring:
  metrics: [cpu_load, gpu_memory, latency, memory, request_queue]
  thresholds:
    cpu_load: 97.5%
    memory: {lasts: 5m}
    latency: {of: request, above: 30s}
    request_queue: 16
    gpu_memory: {above: 95%, lasts: 1m}
"""
    rules = load_rules(parse_policy(text))
    assert "autoglm:host_cpu_busy > 0.975\n" in rules["HostCPUOverloaded"]["expr"]
    assert "autoglm:host_memory_used > 0.9\n" in rules["HostMemoryAlmostFull"]["expr"]
    assert rules["HostMemoryAlmostFull"]["for"] == "5m"
    assert "autoglm:service_latency_seconds > 30.0\n" in rules["InferenceLatencyHigh"]["expr"]
    assert "autoglm:service_waiting[1m]) > 16)" in rules["InferenceQueueGrowing"]["expr"]
    assert ">= 0.95\n" in rules["InferenceGPUMemoryFull"]["expr"]
    assert "tgi_request_duration_bucket" in render_rules(parse_policy(text))


def test_the_defaults_are_what_the_documentation_says() -> None:
    limits = Policy().monitoring.thresholds.model_dump(mode="json")
    assert limits == {
        "cpu_load": {"above": "85%", "lasts": "2m"},
        "gpu_memory": {"above": "98%", "lasts": "30s"},
        "latency": {"of": "first_token", "above": "500ms", "lasts": "2m"},
        "memory": {"above": "90%", "lasts": "2m"},
        "request_queue": {"above": 0, "lasts": "2m"},
    }


def test_metrics_of_vllm_are_those_that_a_real_one_has() -> None:
    page = (RECORDED / "vllm_metrics.txt").read_text("utf-8")
    named = {*WAITING, *LATENCIES["first_token"], *LATENCIES["request"], *(name for name, _ in FAILED)}
    ours = {name for name in named if name.startswith(("vllm:", "http_"))}
    assert len(ours) == 5
    assert ours <= set(re.findall(r"^([a-z0-9_:]+)\{", page, re.MULTILINE))


def test_promtool_takes_all_of_them(promtool: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(render_rules(EVERYTHING))
    done = subprocess.run(
        [promtool, "check", "rules", "rules.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


# --- when they fire --------------------------------------------------------------------------------------------------


def test_busy_cpus_and_an_exporter_that_is_silent_meanwhile(timeline: Timelines) -> None:
    """Busy from 60 to 320; what its silence from 240 to 280 hides is not taken for calm."""

    def idle(at: int) -> float | None:
        if 240 <= at < 280:
            return None
        return 0.9 * at if at < 60 else 54 + 0.05 * (at - 60) if at < 320 else 67 + 0.9 * (at - 320)

    with timeline(420) as t:
        t.node(HOST, "node_cpu_seconds_total", idle, ', cpu="0", mode="idle"')
        t.node(HOST, "node_cpu_seconds_total", lambda at: None if (left := idle(at)) is None else at - left,
               ', cpu="0", mode="user"')  # fmt: skip
        t.expect(180)
        t.expect(230, ("HostCPUOverloaded", HOST))
        t.expect(278, ("HostCPUOverloaded", HOST))
        t.expect(310, ("HostCPUOverloaded", HOST))
        t.expect(370)


def test_memory_that_is_almost_full(timeline: Timelines) -> None:
    with timeline(300) as t:
        t.node(HOST, "node_memory_MemTotal_bytes", lambda _at: 100.0)
        t.node(HOST, "node_memory_MemAvailable_bytes", lambda at: 5.0 if 60 <= at < 260 else 40.0)
        t.expect(178)
        t.expect(184, ("HostMemoryAlmostFull", HOST))
        t.expect(262)


def working(t: Timeline, requests: Callable[[int], float]) -> None:
    """An engine that makes progress all the time."""
    t.engine(HOST, "vllm:num_requests_running", requests, 'engine="0"')
    t.engine(HOST, "vllm:generation_tokens_total", lambda at: 10.0 * at, 'engine="0"')


def test_a_slow_service_until_nobody_asks_it_any_more(timeline: Timelines) -> None:
    with timeline(480) as t:
        working(t, lambda at: 1.0 if at < 260 else 0.0)
        t.engine(HOST, "vllm:num_requests_waiting", lambda _at: 0.0, 'engine="0"')
        for bucket, counts in (("0.1", False), ("0.5", False), ("1.0", True), ("+Inf", True)):
            t.engine(
                HOST,
                "vllm:time_to_first_token_seconds_bucket",
                lambda at, counts=counts: min(at, 60.0) + (max(0.0, min(at, 260) - 60.0) if counts else 0.0),
                f'engine="0", le="{bucket}"',
            )
        t.expect(178)
        t.expect(210, ("InferenceLatencyHigh", HOST))
        t.expect(376, ("InferenceLatencyHigh", HOST))
        t.expect(390)


def test_a_queue_that_grows_and_then_stays_and_then_is_gone(timeline: Timelines) -> None:
    with timeline(420) as t:
        working(t, lambda _at: 4.0)
        queue = 'engine="0"'
        t.engine(
            HOST, "vllm:num_requests_waiting", lambda at: float(min(max(0, at - 60), 240) if at < 380 else 0), queue
        )
        t.expect(238)
        t.expect(250, ("InferenceQueueGrowing", HOST))
        t.expect(370, ("InferenceQueueGrowing", HOST))
        t.expect(382)


def test_a_long_queue_that_does_not_grow_is_none_of_these(timeline: Timelines) -> None:
    with timeline(300) as t:
        working(t, lambda _at: 4.0)
        t.engine(HOST, "vllm:num_requests_waiting", lambda _at: 30.0, 'engine="0"')
        t.expect(290)


@pytest.mark.parametrize(("used", "fires"), [(99.0, True), (90.0, False)])
def test_failing_requests_on_a_gpu_without_memory(timeline: Timelines, used: float, fires: bool) -> None:
    expected = [("InferenceGPUMemoryFull", HOST)] if fires else []
    with timeline(300) as t:
        working(t, lambda _at: 1.0)
        gpu = 'gpu="0000:3b:00", uuid="GPU-1", index="0"'
        t.exporter(HOST, "autoglm_gpu_memory_total_bytes", lambda _at: 100.0, gpu)
        t.exporter(HOST, "autoglm_gpu_memory_used_bytes", lambda _at: used, gpu)
        t.exporter(HOST, "autoglm_gpu_owner_info", lambda _at: 1.0, f'{gpu}, service="llm-{HOST}", pool="llm"')
        failing = 'engine="0", finished_reason="error"'
        t.engine(HOST, "vllm:request_success_total", lambda at: float(min(max(0, at - 60), 60) // 10), failing)
        t.expect(60)
        t.expect(110, *expected)
        t.expect(220, *expected)
        t.expect(250)


# --- probes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "fires"), [(503, True), (0, False), (404, False)])
def test_a_health_page_that_answers_with_an_error(timeline: Timelines, status: int, fires: bool) -> None:
    """A prober that gets no answer may be cut off, and what is not there says nothing."""
    with timeline(200) as t:
        t.probe(HOST, lambda at: status if 20 <= at < 120 else 200)
        t.expect(60)
        t.expect(70, *([("InferenceUnhealthy", HOST)] if fires else []))
        t.expect(122)
