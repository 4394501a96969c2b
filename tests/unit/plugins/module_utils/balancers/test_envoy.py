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
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers import envoy_endpoints
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.envoy import Envoy
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.protocol import BalancerError
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.registry import open_balancer

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


def test_priorities_and_localities_are_one_pool(make) -> None:
    clusters = {
        "cluster_statuses": [
            {"name": "llm", "host_statuses": [host(8081, "HEALTHY"), host(8082, "HEALTHY"), host(8082, "HEALTHY")]}
        ]
    }
    localities = [
        {"priority": 1, "lb_endpoints": [endpoint(8081)]},
        {"lb_endpoints": [endpoint(8082)]},
        {"lb_endpoints": [endpoint(8082)]},
    ]
    document = {"resources": [{"cluster_name": "llm", "endpoints": localities}]}
    pool = make(clusters=json.dumps(clusters), document=document).members()
    assert [(m.name, m.backup, m.weight, m.pending) for m in pool] == [
        ("127.0.0.1:8081", True, 1, False),
        ("127.0.0.1:8082", False, 2, False),
    ]


def test_drained_here_and_in_use_by_another_cluster_is_not_yet_drained(make, recorded: Callable[[str], str]) -> None:
    clusters = json.loads(recorded("envoy_clusters.json"))
    clusters["cluster_statuses"].append({"name": "chat", "host_statuses": [host(8081, "HEALTHY")]})
    member = make(clusters=json.dumps(clusters)).state("127.0.0.1:8081")
    assert (member.admin, member.pending) == ("drained", True)
    assert "cluster chat" in member.says
    clusters["cluster_statuses"][-1]["host_statuses"] = [host(8081, "DRAINING")]
    assert not make(clusters=json.dumps(clusters)).state("127.0.0.1:8081").pending


def test_files_of_clusters_in_a_dump() -> None:
    def cluster(name: str, source: dict[str, Any]) -> dict[str, Any]:
        return {"cluster": {"name": name, "eds_cluster_config": {"eds_config": source}}}

    newer = cluster("a", {"path_config_source": {"path": "/etc/envoy/a.json"}})
    older, by_ads = cluster("b", {"path": "/etc/envoy/b.json"}), cluster("c", {"ads": {}})
    dump = {
        "configs": [
            {"static_clusters": [newer, {"cluster": {"name": "fixed"}}]},
            {"dynamic_active_clusters": [older, by_ads]},
        ]
    }
    assert envoy_endpoints.files_of(dump) == {"a": "/etc/envoy/a.json", "b": "/etc/envoy/b.json"}
    assert envoy_endpoints.files_of([]) == {}


@pytest.fixture
def with_other(tmp_path: Path, fake_transport, recorded: Callable[[str], str]):
    """An Envoy that has the server in another cluster too, whose file its admin API names."""

    def envoy(named: str, health: str = "HEALTHY", **options: Any) -> Envoy:
        (tmp_path / "eds").mkdir(exist_ok=True)
        found = [endpoint(8081, health_status="DRAINING"), endpoint(8082, load_balancing_weight=7)]
        assignment = {"cluster_name": "llm", "endpoints": [{"lb_endpoints": found}]}
        (tmp_path / "eds/llm.json").write_text(json.dumps({"resources": [assignment]}))
        clusters = json.loads(recorded("envoy_clusters.json"))
        clusters["cluster_statuses"].append({"name": "chat", "host_statuses": [host(8082, health)]})
        source = {"path_config_source": {"path": named}}
        dump = {"configs": [{"static_clusters": [{"cluster": cluster("chat", source)}]}]}
        answers = {CLUSTERS: (200, json.dumps(clusters)), STATS: (200, CHECKED)}
        transport = fake_transport({**answers, "GET /config_dump": (200, json.dumps(dump))})
        place = str(tmp_path / "eds/llm.json"), "llm", "http://envoy:9901", 0.1, str(tmp_path)
        return Envoy(*place, transport, **options)

    return envoy


def cluster(name: str, source: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "eds_cluster_config": {"eds_config": source}}


def other_file(path: Path, status: str = "HEALTHY") -> Path:
    lb = [endpoint(8082, health_status=status), endpoint(8081)]
    assignment = {"cluster_name": "chat", "endpoints": [{"lb_endpoints": lb}]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"resources": [assignment]}))
    return path


@pytest.mark.parametrize("named", ["elsewhere.json", "elsewhere.yaml", "eds/below/chat.json", "eds/../elsewhere.json"])
def test_a_file_that_only_the_balancer_names_is_not_changed(with_other, tmp_path: Path, named: str) -> None:
    file = other_file(tmp_path / named) if ".." not in named else other_file(tmp_path / "elsewhere.json")
    before, own = file.read_bytes(), tmp_path / "eds/llm.json"
    envoy = with_other(str(tmp_path / named))
    with pytest.raises(BalancerError, match=r"elsewhere|below/chat") as refused:
        envoy.drain("127.0.0.1:8082")
    assert (refused.value.kind, "in more_files" in refused.value.reason) == ("refused", True)
    assert file.read_bytes() == before
    assert own.read_text().count("DRAINING") == 1
    # One that is drained there is not said to be back; one that is not drained there has nothing to be brought back.
    with pytest.raises(BalancerError, match="in more_files"):
        with_other(str(tmp_path / named), health="DRAINING").ready("127.0.0.1:8082")
    with_other(str(tmp_path / named)).ready("127.0.0.1:8082")
    assert file.read_bytes() == before


def test_a_link_among_declared_files_leads_to_no_other(with_other, tmp_path: Path) -> None:
    file = other_file(tmp_path / "elsewhere.json")
    with_other("")
    (tmp_path / "eds/chat.json").symlink_to(file)
    with pytest.raises(BalancerError, match="in more_files"):
        with_other(str(tmp_path / "eds/chat.json")).drain("127.0.0.1:8082")
    assert "DRAINING" not in file.read_text()


@pytest.mark.parametrize("named", ["relative.json", "/no\0where", "/\ud800.json", "/proc/self/environ"])
def test_what_no_declared_file_can_be_called_is_refused(with_other, named: str) -> None:
    with pytest.raises(BalancerError, match="in more_files"):
        with_other(named).drain("127.0.0.1:8082")


@pytest.mark.parametrize(
    ("named", "more"),
    [("eds/chat.json", ()), ("other/chat.json", ("other",)), ("other/chat.json", ("other/chat.json",))],
)
def test_a_declared_file_of_another_cluster_is_changed_too(
    with_other, tmp_path: Path, named: str, more: tuple[str, ...]
) -> None:
    file = other_file(tmp_path / named)
    envoy = with_other(str(file), more_files=[str(tmp_path / each) for each in more])
    with pytest.raises(BalancerError, match="Envoy does not"):  # the recorded answer never changes
        envoy.drain("127.0.0.1:8082")
    assert file.read_text().count("DRAINING") == 1
    with_other(str(file), more_files=[str(tmp_path / each) for each in more]).ready("127.0.0.1:8082")
    assert "DRAINING" not in file.read_text()


def test_only_what_more_files_lists_is_changed_where_it_is_given(with_other, tmp_path: Path) -> None:
    file = other_file(tmp_path / "eds/chat.json")
    with pytest.raises(BalancerError, match="in more_files"):
        with_other(str(file), more_files=[str(tmp_path / "other")]).drain("127.0.0.1:8082")
    assert "DRAINING" not in file.read_text()


def test_more_files_are_absolute() -> None:
    options = {"kind": "envoy", "file": "/e/llm.json", "backend": "llm", "admin_url": "http://envoy:9901"}
    with pytest.raises(ValueError, match="absolute paths, which 'eds' is not"):
        open_balancer({**options, "timeout": 1.0, "lock_dir": "/nowhere", "more_files": ["/e", "eds"]})


def host(port: int, health: str) -> dict[str, Any]:
    return {**endpoint(port)["endpoint"], "health_status": {"eds_health_status": health}, "stats": []}


def test_what_keeps_the_endpoints_from_being_changed(make, with_other, tmp_path: Path) -> None:
    assert make().obstacles() == []
    with pytest.raises(BalancerError, match="in more_files"):
        with_other(str(other_file(tmp_path / "elsewhere.json"))).obstacles()
    beside = other_file(tmp_path / "eds/chat.json")
    assert with_other(str(beside)).obstacles() == []
    beside.write_text("{")
    with pytest.raises(BalancerError, match=r"chat\.json is not JSON"):
        with_other(str(beside)).obstacles()
