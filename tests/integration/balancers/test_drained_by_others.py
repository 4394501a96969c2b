# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody drains in a real HAProxy reaches a real Prometheus under the host and service of the inventory.

HAProxy has its own exporter, Prometheus the rendered configuration and targets, and nothing is written by hand between.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

from autoglm_recovery.policy import Policy
from autoglm_recovery.rules.configuration import render_prometheus
from autoglm_recovery.rules.targets import targets_of
from tests.integration.balancers.running import Haproxy, started
from tests.integration.exporter.running import Running
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import until
from tests.support.tooling.prometheus_tools import tool

PAGE = """
frontend metrics
  bind 127.0.0.1:@FIRST@
  bind 127.0.0.1:@SECOND@
  http-request use-service prometheus-exporter if { path /metrics }
  http-request return status 200 if { path /health }
"""


class Measured(Haproxy):
    """A HAProxy that tells of itself, and is its own servers: one that is down is no longer called drained."""

    def __init__(self) -> None:
        first, second = free_port(), free_port()
        super().__init__({"s1": SimpleNamespace(port=first), "s2": SimpleNamespace(port=second)})  # type: ignore[dict-item]
        self.port = first
        page = PAGE.replace("@FIRST@", str(first)).replace("@SECOND@", str(second))
        with (self.folder / "haproxy.cfg").open("a") as file:
            file.write(page)


def rendered(directory: Path, haproxy: Haproxy) -> None:
    """Two services of one host, which have names of their own in the balancer."""
    services = [
        {"name": f"llm-{number}", "server": f"s{number}", "pool": "chat", "engine": "vllm", "url": "http://127.0.0.1:1"}
        for number in (1, 2)
    ]
    balancer = {**haproxy.pool(), "metrics_url": f"{haproxy.url}/metrics"}
    node = {
        "ansible_host": "127.0.0.1",
        "autoglm_services": services,
        "autoglm_pools": {"chat": {"balancer": balancer}},
    }
    (directory / "targets").mkdir()
    for name, text in targets_of({"node-a": node}, "http://127.0.0.1:1").files().items():
        (directory / "targets" / name).write_text(text)
    config = yaml.safe_load(
        render_prometheus(Policy(), alertmanager="127.0.0.1:1", targets_dir="targets", rules_files=())
    )
    (job,) = [each for each in config["scrape_configs"] if each["job_name"] == "autoglm_haproxy"]
    # As rendered but for the time, for which no test waits.
    config["scrape_configs"] = [{**job, "scrape_interval": "1s", "scrape_timeout": "1s"}]
    (directory / "prometheus.yml").write_text(json.dumps(config))


def test_who_is_drained_is_known_by_host_and_service(tmp_path: Path) -> None:
    with started(Measured()) as haproxy:
        rendered(tmp_path, haproxy)
        port = free_port()
        words = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address=127.0.0.1:{port}"]
        prometheus = Running([tool("prometheus"), *words], tmp_path, port)
        prometheus.start()

        def drained() -> list[dict[str, Any]]:
            query = 'haproxy_server_status{state=~"DRAIN|MAINT"}==1'
            answer = prometheus.get(f"/api/v1/query?query={query}")
            return answer.json()["data"]["result"] if answer is not None and answer.is_success else []

        def seen() -> list[dict[str, Any]]:
            answer = prometheus.get('/api/v1/query?query=count(haproxy_server_status{state="DRAIN"})by(host,service)')
            return answer.json()["data"]["result"] if answer is not None and answer.is_success else []

        try:
            both = until("both servers", lambda: seen() if len(seen()) == 2 else None)
            assert {(each["metric"]["host"], each["metric"]["service"], each["value"][1]) for each in both} == {
                ("node-a", "llm-1", "1"),
                ("node-a", "llm-2", "1"),
            }
            assert drained() == []
            haproxy.open().drain("s1")
            (out,) = until("the drain", drained)
            labels = {name: out["metric"].get(name) for name in ("host", "service", "proxy", "server")}
            assert labels == {"host": "node-a", "service": "llm-1", "proxy": "llm", "server": "s1"}
            assert not any(name.startswith("replica_") for name in out["metric"])
        finally:
            prometheus.stop()
