# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""drain_inference with a real Envoy as people have it: localities, priorities, weighted clusters, EDS beside static."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.envoy import Envoy as Adapter

from tests.integration.balancers.running import Envoy, started
from tests.support.servers.llama import Llama
from tests.support.servers.waiting import until

Layout = dict[str, list[tuple[int, str]]]


class AsItIs(Envoy):
    """An Envoy whose clusters a test lays out: name -> (priority, server), each endpoint in a locality of its own."""

    def __init__(self, engines: dict[str, Llama], layout: Layout, fixed: str = "") -> None:
        """Write its files. ``fixed``: a server of a cluster that is static."""
        super().__init__(engines)
        path = self.folder / "envoy.yaml"
        config = yaml.safe_load(path.read_text())
        (llm,) = config["static_resources"]["clusters"]
        clusters = [self._cluster(llm, name) for name in layout]
        if fixed:
            lb = [{"endpoint": {"address": self._address(fixed)}}]
            assignment = {"cluster_name": "fixed", "endpoints": [{"lb_endpoints": lb}]}
            plain = {key: value for key, value in llm.items() if key != "eds_cluster_config"}
            clusters.append({**plain, "name": "fixed", "type": "STATIC", "load_assignment": assignment})
        config["static_resources"]["clusters"] = clusters
        manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        route = manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]
        del route["cluster"]
        shares = [{"name": cluster["name"], "weight": 10} for cluster in clusters]
        route["weighted_clusters"] = {"clusters": shares}
        path.write_text(yaml.safe_dump(config))
        for name, endpoints in layout.items():
            document = {"resources": [self._assignment(name, endpoints)]}
            self.file(name).write_text(json.dumps(document, indent=2))

    def file(self, cluster: str) -> Path:
        """Where a cluster's endpoints are: Envoy takes one cluster from a file."""
        return self.folder / ("eds.json" if cluster == "llm" else f"eds-{cluster}.json")

    def _cluster(self, llm: dict[str, Any], name: str) -> dict[str, Any]:
        source = {"path": str(self.file(name)), "watched_directory": {"path": str(self.folder)}}
        eds = {"eds_config": {"resource_api_version": "V3", "path_config_source": source}}
        return {**llm, "name": name, "eds_cluster_config": eds}

    def _assignment(self, name: str, endpoints: list[tuple[int, str]]) -> dict[str, Any]:
        localities = [
            {
                "locality": {"zone": f"zone-{number}"},
                "priority": priority,
                "lb_endpoints": [{"endpoint": {"address": self._address(server)}}],
            }
            for number, (priority, server) in enumerate(endpoints)
        ]
        kind = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
        return {"@type": kind, "cluster_name": name, "endpoints": localities}

    def _address(self, server: str) -> dict[str, Any]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": self.engines[server].port}}

    def states(self, cluster: str = "llm") -> dict[str, tuple[str, str, bool]]:
        """Server of the test -> what it was told, its health, whether it is a reserve."""
        names = {self.name_of(name): name for name in self.engines}
        options = {"file": str(self.file(cluster)), "backend": cluster}
        pool = open_with(self, options).members()
        return {names[member.name]: (member.admin, member.health, member.backup) for member in pool}


def open_with(part: Envoy, options: dict[str, Any]) -> Any:
    """Our own eyes on one cluster."""
    return Adapter(options["file"], options["backend"], part.pool()["admin_url"], 5.0, str(part.folder))


@pytest.fixture
def configured(engines: dict[str, Llama]) -> Iterator[Callable[..., AsItIs]]:
    with contextlib.ExitStack() as stack:
        yield lambda layout, fixed="": stack.enter_context(started(AsItIs(engines, layout, fixed)))


def up(envoy: AsItIs, cluster: str = "llm") -> None:
    until("all are up", lambda: {state[1] for state in envoy.states(cluster).values()} == {"up"})


def test_a_lower_priority_is_a_reserve_that_does_not_serve(run, configured, engines) -> None:
    envoy = configured({"llm": [(0, "p1"), (1, "p2")]})
    up(envoy)
    assert envoy.states() == {"p1": ("active", "up", False), "p2": ("active", "up", True)}
    assert run(envoy, engines["p1"], "drained", "p1")["outcome"] == "refused"
    assert run(envoy, engines["p2"], "drained", "p2")["outcome"] == "drained"


def test_one_server_in_several_localities_is_drained_in_all(run, configured, engines) -> None:
    envoy = configured({"llm": [(0, "p1"), (1, "p1"), (0, "p2")]})
    up(envoy)
    result = run(envoy, engines["p1"], "drained", "p1")
    assert result["outcome"] == "drained", result
    assert (envoy.folder / "eds.json").read_text().count("DRAINING") == 2
    assert run(envoy, engines["p1"], "active", "p1")["outcome"] == "active"
    assert envoy.states()["p1"] == ("active", "up", False)


def test_weighted_clusters_are_drained_together(run, configured, engines) -> None:
    envoy = configured({"llm": [(0, "p1"), (0, "p2")], "chat": [(0, "p1"), (0, "p2")]})
    up(envoy)
    up(envoy, "chat")
    assert run(envoy, engines["p1"], "drained", "p1")["outcome"] == "drained"
    assert envoy.states("chat")["p1"][0] == "drained"
    again = run(
        envoy, engines["p1"], "drained", "p1", balancer=envoy.pool(backend="chat", file=str(envoy.file("chat")))
    )
    assert again["changed"] is False
    assert run(envoy, engines["p1"], "active", "p1")["outcome"] == "active"
    assert envoy.states("chat")["p1"][0] == "active"


def test_the_only_endpoint_of_another_cluster_is_refused_before_anything(run, configured, engines) -> None:
    envoy = configured({"llm": [(0, "p1"), (0, "p2")], "alone": [(0, "p1")]})
    up(envoy)
    result = run(envoy, engines["p1"], "drained", "p1")
    assert result["outcome"] == "refused", result
    assert "cluster alone" in result["msg"]
    assert "DRAINING" not in (envoy.folder / "eds.json").read_text()


def test_a_static_cluster_that_sends_to_it_too_is_named(run, configured, engines) -> None:
    envoy = configured({"llm": [(0, "p1"), (0, "p2")]}, fixed="p1")
    up(envoy)
    result = run(envoy, engines["p1"], "drained", "p1")
    assert result["outcome"] == "refused", result
    assert "by cluster fixed" in result["msg"]
    assert "DRAINING" not in (envoy.folder / "eds.json").read_text()
    assert run(envoy, engines["p2"], "drained", "p2")["outcome"] == "drained"


def test_a_static_cluster_cannot_be_drained_and_says_so(run, configured, engines) -> None:
    envoy = configured({"llm": [(0, "p1"), (0, "p2")]}, fixed="p1")
    result = run(envoy, engines["p1"], "drained", "p1", balancer=envoy.pool(backend="fixed"))
    assert result["failed"]
    assert "not static ones" in result["msg"]
