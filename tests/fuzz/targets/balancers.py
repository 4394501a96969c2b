# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What HAProxy and Envoy answer, and files of nginx and of Envoy's endpoints."""

from __future__ import annotations

import functools
import json
import tempfile
from pathlib import Path
from typing import Any

from autoglm_recovery.knowledge.balancers import (
    command,
    envoy_endpoints,
    file_sd,
    haproxy,
    haproxy_rows,
    kubernetes,
    nginx_conf,
    nginx_workers,
)
from autoglm_recovery.knowledge.balancers import files as balancer_files
from autoglm_recovery.knowledge.balancers.command import CommandBalancer
from autoglm_recovery.knowledge.balancers.envoy import Envoy
from autoglm_recovery.knowledge.balancers.protocol import BalancerError
from autoglm_recovery.knowledge.engines.transport import Response
from autoglm_recovery.knowledge.host.command import CommandResult
from tests.fuzz.target import CHECKOUT, RECORDED, Target, files, text

_CONFIGURATIONS = CHECKOUT / "tests/integration/balancers"


class Recorded(haproxy.Haproxy):
    """A HAProxy whose runtime socket answers from what it was given."""

    def __init__(self, answers: dict[str, str]) -> None:
        super().__init__("/nowhere", "llm")
        self._answers = answers

    def _send(self, asked: str) -> str:
        return next(answer for known, answer in self._answers.items() if asked.startswith(known))


@functools.cache
def _of_haproxy() -> dict[str, str]:
    return {
        "show servers state": (RECORDED / "haproxy_3.2_servers_state.txt").read_text(),
        "show stat": (RECORDED / "haproxy_3.2_stat.csv").read_text(),
    }


def _states(data: bytes) -> list[object]:
    return list(Recorded({**_of_haproxy(), "show servers state": text(data)}).members())


def _figures(data: bytes) -> list[object]:
    of = Recorded({**_of_haproxy(), "show stat": text(data)})
    return [*of.members(), of.in_flight("p1")]


def _places(data: bytes) -> list[object]:
    rows = haproxy_rows.parse(text(data))
    found: list[object] = []
    addresses = haproxy_rows.Addresses(rows)
    for row in rows[:40]:
        place = haproxy_rows.place_of(rows, row["be_name"], row["srv_name"])
        found += [place, addresses.others_serve(place), addresses.active(place.backend, place.name)[0]]
        found += addresses.same(row["be_name"], row["srv_name"])[:5]
    return found


def _nginx(data: bytes) -> dict[str, list[tuple[str, bool, bool, int]]]:
    found = nginx_conf.upstreams(text(data))
    return {name: [(s.address, s.down, s.backup, s.weight) for s in listed] for name, listed in found.items()}


def _nginx_holds(data: bytes, found: object) -> None:
    """A mark is set and taken away again, and nothing else of the file has changed."""
    assert isinstance(found, dict)
    before = text(data)
    listed = [server for each in nginx_conf.upstreams(before).values() for server in each][:3]
    for server in listed:
        marked = nginx_conf.set_all_down(before, server.address, True)
        assert nginx_conf.set_all_down(marked, server.address, True) == marked
        after = nginx_conf.upstreams(marked)
        assert {name: [s.address for s in each] for name, each in after.items()} == {
            name: [s[0] for s in each] for name, each in found.items()
        }
        same = nginx_conf.canonical(server.address)
        for each in after.values():
            assert all(s.down for s in each if nginx_conf.canonical(s.address) == same)
        plain = nginx_conf.set_all_down(before, server.address, False)
        assert nginx_conf.set_all_down(marked, server.address, False) == plain


def _dumped(data: bytes) -> dict[str, str]:
    return nginx_conf.dumped(text(data))


def _endpoints_file() -> bytes:
    def endpoint(port: int, **more: object) -> dict[str, object]:
        return {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}, **more}

    found = [endpoint(8081, health_status="DRAINING"), endpoint(8082, load_balancing_weight=7)]
    return json.dumps({"resources": [{"cluster_name": "llm", "endpoints": [{"lb_endpoints": found}]}]}).encode()


_STATS = b'{"stats":[{"name":"cluster.llm.health_check.attempt","value":14}]}'
_DUMP = (
    b'{"configs":[{"@type":"type.googleapis.com/envoy.admin.v3.ClustersConfigDump","static_clusters":[{"cluster":'
    b'{"name":"llm","eds_cluster_config":{"eds_config":{"path_config_source":{"path":"/etc/envoy/eds.json"}}}}}],'
    b'"dynamic_active_clusters":[{"cluster":{"name":"b","eds_cluster_config":{"eds_config":{"path":"/e.json"}}}}]}]}'
)


class _Admin(Envoy):
    """An Envoy whose admin API and whose file of endpoints say what they are given."""

    def __init__(self, clusters: bytes, stats: bytes, document: bytes) -> None:
        super().__init__("/nowhere.json", "llm", "http://envoy:9901", transport=self._answer)
        self._said, self._stats, self._document = clusters, stats, document

    def _answer(self, request: object) -> Response:
        path = str(getattr(request, "url", "")).partition("9901")[2]
        return Response(200, self._stats if path.startswith("/stats") else self._said, 0.01)

    def _read_endpoints(self, file: str) -> list[envoy_endpoints.Endpoint]:
        return envoy_endpoints.in_file(balancer_files.parse(file, self._document))

    def everything(self) -> list[object]:
        return [*self.members(), self.in_flight("127.0.0.1:8082"), self.weight("127.0.0.1:8082")]


def _clusters() -> bytes:
    return (RECORDED / "envoy_clusters.json").read_bytes()


def _envoy_file(data: bytes) -> object:
    document = balancer_files.parse("eds.json", data)
    found = envoy_endpoints.in_file(document)
    alone = [envoy_endpoints.left_alone(found, each.address, "llm") for each in found[:5]]
    return [*_Admin(_clusters(), _STATS, data).everything(), alone]


def _envoy_places(data: bytes) -> object:
    return envoy_endpoints.files_of(balancer_files.parse("dump.json", data))


def _command(data: bytes) -> object:
    of = CommandBalancer(
        {"state": ["/state"], "drain": ["/d"], "ready": ["/r"]}, "llm", runner=lambda *_: CommandResult(0, data, b"")
    )
    return [*of.members(), of.in_flight("a")]


def _file_sd(name: str) -> Any:
    """A file of targets, with a label for the drained and with a memory of them."""

    def read(data: bytes) -> object:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, name).write_bytes(data)
            found = []
            for label in (None, "drained"):
                balancer = file_sd.FileSd(str(Path(folder, name)), label)
                try:
                    members = balancer.members()
                    groups = balancer._parse_groups(data)
                except BalancerError as error:
                    raise BalancerError(error.kind, error.reason.replace(folder, "")) from error
                for member in members[:2]:
                    moved = file_sd._set_label([dict(group) for group in groups], member.name, "drained", True)
                    back = file_sd._set_label(moved, member.name, "drained", False)
                    assert {t for g in back for t in g["targets"]} == {t for g in groups for t in g["targets"]}
                found.append(members)
            return found

    return read


def _remembered(data: bytes) -> object:
    """What was taken out of a file of targets."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "t.json").write_text('[{"targets": ["a:1"]}]')
        Path(folder, ".t.json.drained").write_bytes(data)
        try:
            return file_sd.FileSd(str(Path(folder, "t.json"))).members()
        except BalancerError as error:
            raise BalancerError(error.kind, error.reason.replace(folder, "")) from error


class _Api:
    """A Kubernetes API whose answers are parts of one document."""

    def __init__(self, document: Any) -> None:
        self._document = document if isinstance(document, dict) else {}

    def get_service(self, _name: str) -> Any:
        return self._document.get("service")

    def list_pods(self, _labels: str) -> Any:
        return self._document.get("pods")

    def list_slices(self, _labels: str) -> Any:
        return self._document.get("slices")


def _kubernetes(data: bytes) -> object:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    return list(kubernetes.Kubernetes(kubernetes.ServicePlace("llm"), api=_Api(document)).members())


def _kubernetes_holds(data: bytes, found: object) -> None:
    assert isinstance(found, list)
    told = json.loads(data)
    assert len(found) <= len(told["pods"]["items"])
    assert all(isinstance(member.name, str) for member in found)


_CONDITIONS = [{"type": name, "status": "True"} for name in ("ContainersReady", kubernetes.CONDITION)]
_POD = {
    "metadata": {"name": "llm-0", "labels": {"app": "llm"}, "deletionTimestamp": None},
    "spec": {"readinessGates": [{"conditionType": kubernetes.CONDITION}]},
    "status": {"phase": "Running", "conditions": _CONDITIONS},
}
_CLUSTER = {
    "service": {"kind": "Service", "metadata": {"name": "llm"}, "spec": {"selector": {"app": "llm"}}},
    "pods": {"kind": "PodList", "items": [_POD, {**_POD, "metadata": {"name": "llm-1"}}]},
    "slices": {
        "kind": "EndpointSliceList",
        "items": [
            {
                "metadata": {"name": "llm-x"},
                "endpoints": [
                    {"conditions": {"ready": True}, "targetRef": {"kind": "Pod", "name": "llm-0"}},
                    {"conditions": {}, "targetRef": {"kind": "Pod", "name": "llm-1"}},
                ],
            }
        ],
    },
}
_STAT = (
    b"1234 (nginx) worker) S 77 1234 1234 0 -1 4194560 123 456 7 8 900 100 0 0 20 0 33 0 123456 99999 1234 "
    b"18446744073709551615 1 1 0 0\n"
)
_TARGETS_FILE = (
    b'[{"targets": ["a:1", "b:2"], "labels": {"pool": "llm"}}, {"targets": ["c:3"], "labels": {"drained": "true"}}]'
)
_TARGETS_YAML = b"- targets: ['a:1', 'b:2']\n  labels: {pool: llm}\n- targets: ['c:3']\n"

_NGINX = (
    b"upstream other { server 10.0.0.1:80; server 10.0.0.7:80; }\nupstream llm {\n    least_conn;  # by load\n"
    b"    server 10.0.0.1:80 weight=10 max_fails=3;   # the old one\n    server '10.0.0.2:80' down weight=5;\n"
    b"    server unix:/run/c.sock\n        backup;\n}\n",
    b"events {}\nhttp {\n"
    b'    init_by_lua_block {\n        -- server 10.0.0.1:80; } "\n        local t = { a = "}" }\n    }\n'
    b"    upstream llm {\n        zone llm 64k;\n"
    b"        server localhost:8000;\n        server ${x}:1 down down;\n    }\n}\n",
)
_NGINX_T = (
    b"# configuration file /etc/nginx/nginx.conf:\nevents {}\nhttp { include conf.d/*.conf; }\n\n"
    b"# configuration file /etc/nginx/conf.d/a.conf:\nupstream llm { server a:1; }\n"
)
_ENTRIES = (
    b'[{"name": "a", "admin": "active", "health": "up", "weight": 3, "in_flight": 2, "backup": false, "says": "x"}]'
)

TARGETS = (
    Target("haproxy-states", _states, lambda: files(RECORDED, "haproxy_*_servers_state.txt"), (BalancerError,)),
    Target("haproxy-figures", _figures, lambda: files(RECORDED, "haproxy_*_stat.csv"), (BalancerError,)),
    Target(
        "haproxy-places", _places, lambda: files(RECORDED, "haproxy_*_servers_state.txt"), (BalancerError,), growth=200
    ),
    Target(
        "nginx-configuration",
        _nginx,
        lambda: [*files(_CONFIGURATIONS, "nginx.conf"), *files(_CONFIGURATIONS, "upstream.conf"), *_NGINX],
        (nginx_conf.SyntaxProblem,),
        _nginx_holds,
        words=(
            b"upstream ",
            b"server ",
            b" down",
            b" weight=",
            b"content_by_lua_block {",
            b"--[[",
            b"${x}",
            b"'",
            b'"',
        ),
    ),
    Target("nginx-dump", _dumped, lambda: [_NGINX_T], growth=8),
    Target(
        "envoy-clusters",
        lambda d: _Admin(d, _STATS, _endpoints_file()).everything(),
        lambda: [_clusters()],
        (BalancerError,),
    ),
    Target(
        "envoy-stats",
        lambda d: _Admin(_clusters(), d, _endpoints_file()).everything(),
        lambda: [_STATS],
        (BalancerError,),
    ),
    Target("envoy-endpoints", _envoy_file, lambda: [_endpoints_file()], (BalancerError,)),
    Target("envoy-places", _envoy_places, lambda: [_DUMP], (BalancerError,)),
    Target("file-sd", _file_sd("t.json"), lambda: [_TARGETS_FILE], (BalancerError,)),
    Target("file-sd-yaml", _file_sd("t.yml"), lambda: [_TARGETS_YAML], (BalancerError,), costly=True),
    Target("file-sd-memory", _remembered, lambda: [b'{"c:3": {"pool": "llm"}, "d:4": {}}'], (BalancerError,)),
    Target(
        "kubernetes",
        _kubernetes,
        lambda: [json.dumps(_CLUSTER).encode()],
        (BalancerError,),
        _kubernetes_holds,
        growth=64,
    ),
    Target("nginx-worker", lambda data: nginx_workers.ticks_of_child(text(data), 77), lambda: [_STAT], (ValueError,)),
    Target("balancer-command", _command, lambda: [_ENTRIES], (BalancerError,)),
    Target("balancer-count", lambda data: command._parse_count(text(data).strip(), "it"), lambda: [b"17\n"]),
)
