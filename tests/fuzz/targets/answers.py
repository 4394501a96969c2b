# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole answers over HTTP, as Alertmanager, Prometheus and Kubernetes give them to those who ask."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import httpx

from autoglm_recovery import bounded_http
from autoglm_recovery.exporter.alertmanager import skew_of
from autoglm_recovery.knowledge.balancers import kubernetes_api
from autoglm_recovery.knowledge.balancers.protocol import BalancerError
from autoglm_recovery.knowledge.engines.transport import EngineRequest, Response
from autoglm_recovery.knowledge.host.names import is_one_host
from autoglm_recovery.knowledge.prometheus import asking
from autoglm_recovery.knowledge.prometheus.groups import KINDS, Grouped, grouped
from autoglm_recovery.knowledge.prometheus.hosts import Told, hosts_told
from autoglm_recovery.receiver.doctor import looked_at, servers, targets, trying
from autoglm_recovery.receiver.fleet.fleet import Fleet, Host, InferenceService
from autoglm_recovery.receiver.observe import alertmanager
from autoglm_recovery.receiver.rehearse.backtest.prometheus import PrometheusRecord, RecordError
from autoglm_recovery.receiver.verify import proof_watch
from autoglm_recovery.rules.targets import targets_of
from tests.fuzz.target import Target, text

_DATE = "Sat, 28 Nov 2026 21:00:00 GMT"
_FLEET = Fleet({"node-a": Host("node-a", "192.0.2.11", (InferenceService("llama", "chat"),))})


def _client(answer: Callable[[httpx.Request], httpx.Response]) -> httpx.Client:
    return httpx.Client(base_url="http://a", transport=httpx.MockTransport(answer))


def _alertmanager(answer: Callable[[httpx.Request], httpx.Response]) -> alertmanager.AlertmanagerClient:
    client = object.__new__(alertmanager.AlertmanagerClient)
    client._http, client._within_s = _client(answer), 60.0
    return client


def _had(data: bytes) -> object:
    """Its alerts and its status, of one document with both."""

    def answer(request: httpx.Request) -> httpx.Response:
        document = _document(data)
        part = document.get(request.url.path.rpartition("/")[2]) if isinstance(document, dict) else document
        return httpx.Response(200, headers={"date": _DATE}, json=part)

    found = _alertmanager(answer).had()
    return [found, found.doubt(60.0)]


def _exchanged(data: bytes) -> object:
    """Its silences: one answer, with what is no JSON as well, and a refusal."""
    known = _alertmanager(lambda _request: httpx.Response(200, headers={"date": _DATE}, content=data)).silences()
    try:
        _alertmanager(lambda _request: httpx.Response(400, content=data)).silences()
    except alertmanager.Unanswered as error:
        assert len(str(error)) < 1000
    return known


def _dated(data: bytes) -> object:
    def answer(request: httpx.Request) -> httpx.Response:
        part = _STATUS if request.url.path.endswith("status") else [_ALERT]
        return httpx.Response(200, headers={"date": data}, json=part)

    return _alertmanager(answer).had().at


def _moment(data: bytes) -> datetime:
    return bounded_http.moment_of(text(data))


def _moment_holds(_data: bytes, found: object) -> None:
    assert isinstance(found, datetime)
    assert found.tzinfo is not None
    found.timestamp()


def _skew(data: bytes) -> float | None:
    return skew_of(text(data), 1_796_155_200.0)


def _skew_holds(_data: bytes, found: object) -> None:
    """An alert that lasts for some days more can be written."""
    if found is not None:
        assert isinstance(found, float)
        datetime.fromtimestamp(1_796_155_200.0 + found + 1e6, UTC)


def _document(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _look_back(data: bytes) -> float:
    """A server that does not know the parameter is asked for its flags."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=data if request.url.path.endswith("flags") else b"{}")

    return proof_watch.look_back(_client(answer), 60.0)


def _look_back_holds(_data: bytes, found: object) -> None:
    assert isinstance(found, float)
    datetime.fromtimestamp(1_796_155_200 + found, UTC)


def _asked(data: bytes) -> object:
    row: Any = SimpleNamespace(run_ended_at=1.0, _asdict=lambda: {"host": "node-a", "service": "llama"})
    return [
        proof_watch._ask_prometheus(
            _client(lambda _r, status=status: httpx.Response(status, content=data)), "up", row, 60.0
        )  # type: ignore[misc]
        for status in (200, 400)
    ]


def _asked_holds(data: bytes, found: object) -> None:
    assert isinstance(found, list)
    if found[0].holds:
        assert json.loads(data)["status"] == "success", "a repair is proven by an answer that is no success"
    assert not found[1].holds, "a repair is proven by a refusal"


def _scraped(data: bytes) -> object:
    active = servers._active(data)
    services = [{"name": "llama", "url": "http://127.0.0.1:8080"}]
    expected = targets_of({"node-a": {"autoglm_services": services}}, "http://receiver:9099")
    return None if active is None else targets.check_targets(_FLEET, expected, active)


def _told(data: bytes) -> object:
    """A fleet as the inventory plugin is told of it: all answers of one Prometheus in one document."""

    def answer(request: EngineRequest) -> Response:
        parts = _document(data)
        part = parts.get("targets" if "targets" in request.url else "vector") if isinstance(parts, dict) else parts
        return Response(200, json.dumps(part).encode(), 0.0)

    telling = asking.ask(asking.PrometheusServer(("http://a",), answer), asking.Jobs())
    found = hosts_told([Told(asking.Telling.of_plain(telling.as_plain()))], asking.Jobs(), ("host", "instance"))
    return grouped(found.hosts, KINDS)


def _told_holds(_data: bytes, found: object) -> None:
    assert isinstance(found, Grouped)
    assert all(is_one_host(name) for name in found.hosts)
    assert all(re.fullmatch("[A-Za-z0-9_]+", group) for group in found.groups)
    assert not found.hosts.keys() & found.groups.keys()


def _looked(data: bytes) -> object:
    """The events of the doctor's run, as ansible-runner writes them."""
    events = _document(data)
    known = [event for event in events if isinstance(event, dict)] if isinstance(events, list) else []
    planned = {"node-a": {"units": ["llama.service"], "balancers": [_ASKED]}}
    return [looked_at.read_run(planned, 0, "", known), trying.read_trial(0, "", known, frozenset(("node-a",)))]


def _recorded(data: bytes) -> object:
    """A range of Prometheus' record, and why it has none."""
    found = []
    for status in (200, 400):
        record = PrometheusRecord(_client(lambda _r, status=status: httpx.Response(status, content=data)), "http://a")  # type: ignore[misc]
        try:
            found.append(record.read(15.0, 3000.0, 15.0))
        except RecordError as error:
            assert len(str(error)) < 3000
            found.append(type(error))
    return found


class _Kubernetes(kubernetes_api.KubernetesClient):
    """The client without a cluster: it answers what it is given."""

    def __init__(self, told: bytes) -> None:
        self._timeout, self._namespace, self._told = 60.0, "default", told

    def _send(self, *_asked: Any) -> tuple[int, str, bytes]:
        return 200, "OK", self._told


_ALERT = {
    "fingerprint": "0a1b2c3d4e5f6071",
    "labels": {"alertname": "Watchdog", "host": "node-a"},
    "startsAt": "2026-11-28T20:00:00.000Z",
    "updatedAt": "2026-11-28T20:59:30.000+01:00",
}
_STATUS: dict[str, Any] = {"uptime": "2026-11-28T10:00:00.000Z", "versionInfo": {"version": "0.27.0"}}
_FLAGS = {"status": "success", "data": {"query.lookback-delta": "5m", "web.listen-address": "0.0.0.0:9090"}}
_ANSWER = {
    "status": "success",
    "data": {"resultType": "vector", "result": [{"metric": {"host": "node-a"}, "value": [990.0, "1"]}]},
}
_MATRIX = {
    "status": "success",
    "data": {
        "resultType": "matrix",
        "result": [{"metric": {"alertname": "X", "host": "a"}, "values": [[15, "1"], [30, "1"]]}],
    },
}
_ACTIVE = {"status": "success", "data": {"activeTargets": [
    {"labels": {"job": "inference", "host": "node-a", "service": "llama"}, "health": "up", "scrapeUrl": "http://a"},
    {"labels": {"job": "node", "host": "node-b", "instance": "b:9100"}, "health": "down", "lastError": "refused"},
    {"labels": {"job": "receiver"}, "health": "unknown", "scrapeUrl": "http://c"}]}}  # fmt: skip

_UP = {"metric": {"job": "node", "host": "node-b", "instance": "b:9100"}, "value": [990.0, "-985"]}
_GPU = {"__name__": "autoglm_gpu_info", "job": "autoglm", "host": "node-a", "gpu": "0000:3b:00", "name": "H200"}
_VERDICT = {"__name__": "autoglm_host_verdict", "job": "autoglm", "host": "node-a", "verdict": "healthy"}
_TOLD = {"targets": _ACTIVE, "vector": {"status": "success", "data": {"resultType": "vector", "result": [
    _UP, {"metric": _GPU, "value": [990.0, "1"]}, {"metric": _VERDICT, "value": [990.0, "1"]}]}}}  # fmt: skip


def _event(kind: str, task: str, **result: Any) -> dict[str, Any]:
    data = {"host": "node-a", "task": task, "res": result}
    return {"event": kind, "created": "2026-11-28T21:00:00.123456+00:00", "event_data": data}


_ASKED = {"balancer": {"kind": "haproxy", "backend": "llm"}, "servers": ["node-a"]}
_EVENTS = [
    _event("runner_on_unreachable", "Clock", msg="Permission denied (publickey)"),
    _event("runner_on_ok", "Clock", stdout="1796155200.5"),
    _event("runner_item_on_ok", "Unit", rc=0, stdout="not-found\n", item="llama.service"),
    _event("runner_item_on_ok", "Container", rc=1, stderr="none", item={"name": "c", "runtime": "podman"}),
    _event("runner_item_on_ok", "Address", status=-1, msg="refused", item={"url": "http://a"}),
    _event(
        "runner_item_on_ok",
        "Balancer",
        outcome="refused",
        obstacles=[{"what": "a", "do": "b"}],
        pool=[{"name": "x"}],
        item=_ASKED,
    ),
]


def _json(*documents: object) -> Callable[[], list[bytes]]:
    return lambda: [json.dumps(document).encode() for document in documents]


TARGETS = (
    Target(
        "alertmanager-alerts",
        _had,
        _json({"alerts": [_ALERT, {**_ALERT, "fingerprint": "1"}], "status": _STATUS}),
        (alertmanager.Unanswered,),
    ),
    Target("alertmanager-answer", _exchanged, _json([], {"silenceID": "7"}), (alertmanager.Unanswered,)),
    Target("alertmanager-date", _dated, lambda: [_DATE.encode()], (alertmanager.Unanswered,), largest=4000),
    Target("http-date", _moment, lambda: [_DATE.encode(), b"28 Nov 2026 21:00:00 -0000"], (ValueError,), _moment_holds),
    Target("alertmanager-skew", _skew, lambda: [_DATE.encode()], holds=_skew_holds, words=(b"9999", b"0001", b"Dec")),
    Target("prometheus-flags", _look_back, _json(_FLAGS), holds=_look_back_holds),
    Target("prometheus-answer", _asked, _json(_ANSWER, {"status": "error", "error": "no"}), holds=_asked_holds),
    Target("prometheus-range", _recorded, _json(_MATRIX), growth=64),
    Target("server-document", bounded_http.document, _json(_MATRIX), (ValueError,)),
    Target("prometheus-targets", _scraped, _json(_ACTIVE), growth=64),
    Target("fleet-telling", _told, _json(_TOLD), (asking.CannotAsk,), _told_holds, growth=64),
    Target("doctor-events", _looked, _json(_EVENTS), growth=64),
    Target("kubernetes-answer", lambda data: _Kubernetes(data).get_pod("a"), _json({"kind": "Pod"}), (BalancerError,)),
)
