# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Envoy: what its admin API says is in force, against what its file says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.envoy import Envoy
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.protocol import BalancerError

CHECKED = '{"stats":[{"name":"cluster.llm.health_check.attempt","value":14}]}'
STATS = "GET /stats?format=json&filter=%5Ecluster%5B.%5Dllm%5B.%5Dhealth_check%5B.%5Dattempt%24"
CLUSTERS = "GET /clusters?format=json"


def endpoint(port: int, **more: Any) -> dict[str, Any]:
    return {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}, **more}


@pytest.fixture
def make(tmp_path: Path, fake_transport, recorded: Callable[[str], str]):
    def envoy(clusters: str = "", stats: str = CHECKED, document: Any = None, **second: Any) -> Envoy:
        found = [endpoint(8081, health_status="DRAINING"), endpoint(8082, **{"load_balancing_weight": 7, **second})]
        assignment = {"cluster_name": "llm", "endpoints": [{"lb_endpoints": found}]}
        (tmp_path / "eds.json").write_text(json.dumps(document or {"resources": [assignment]}))
        answers = {CLUSTERS: (200, clusters or recorded("envoy_clusters.json")), STATS: (200, stats)}
        transport = fake_transport(answers)
        return Envoy(str(tmp_path / "eds.json"), "llm", "http://envoy:9901", 0.1, str(tmp_path), transport)

    return envoy


def test_a_recorded_answer(make) -> None:
    assert [(m.name, m.admin, m.health, m.weight, m.pending) for m in make().members()] == [
        ("127.0.0.1:8081", "drained", "down", 1, False),
        ("127.0.0.1:8082", "active", "up", 7, False),
    ]
    assert make().in_flight("127.0.0.1:8082").value == 0  # a value of zero is left out


def test_without_health_checks_nobody_is_known_to_be_up(make) -> None:
    assert make(stats='{"stats":[]}').state("127.0.0.1:8082").health == "unknown"


def test_what_the_file_says_and_envoy_does_not_do_is_pending(make) -> None:
    assert make(health_status="DRAINING").state("127.0.0.1:8082").pending
    with pytest.raises(BalancerError, match=r"after 0\.1 s Envoy does not") as caught:
        make().drain("127.0.0.1:8082")
    assert caught.value.kind == "unproven"


def test_a_gauge_that_is_not_there_is_not_zero(make, recorded: Callable[[str], str]) -> None:
    without = recorded("envoy_clusters.json").replace('"rq_active"', '"other"')
    assert make(clusters=without).in_flight("127.0.0.1:8082").value is None
    waiting = recorded("envoy_clusters.json").replace('"rq_pending_active"', '"rq_pending_active", "value": "2"')
    assert make(clusters=waiting).in_flight("127.0.0.1:8082").value == 2
    assert make().in_flight("127.0.0.1:9").value is None


@pytest.mark.parametrize("clusters", ["[]", "{}", "x", '{"cluster_statuses": [{"name": "chat"}]}'])
def test_an_answer_of_another_form(make, clusters: str) -> None:
    with pytest.raises(BalancerError):
        make(clusters=clusters).members()


@pytest.mark.parametrize(
    "document", [{"resources": []}, [1], {"resources": [{"cluster_name": "llm", "endpoints": [{}]}]}]
)
def test_a_file_without_our_cluster(make, document: Any) -> None:
    with pytest.raises(BalancerError, match="has no endpoints"):
        make(document=document).members()
