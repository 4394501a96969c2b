# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever is asked by HTTP may answer without end, slowly, packed, or in one line: every edge comes back, and says no.

On real sockets.  Each edge is given a deadline of a fraction of a second; what hostile servers do has no end at all, so
that an edge that waits for one is found by not coming back.
"""

from __future__ import annotations

import functools
import gzip
import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer

from autoglm_recovery import bounded_http
from autoglm_recovery.cli import asking
from autoglm_recovery.cli.exit_codes import ExitCode
from autoglm_recovery.exporter.alertmanager import AlertSender, FastAlert
from autoglm_recovery.knowledge.balancers.envoy import Envoy
from autoglm_recovery.knowledge.balancers.kubernetes import Kubernetes, ServicePlace
from autoglm_recovery.knowledge.balancers.protocol import BalancerError
from autoglm_recovery.knowledge.engines.protocol import EngineError
from autoglm_recovery.knowledge.engines.server import EngineServer
from autoglm_recovery.knowledge.engines.transport import HttpTransport
from autoglm_recovery.policy.alertmanager import Alertmanager
from autoglm_recovery.policy.guardrails import Silences
from autoglm_recovery.policy.proof import Prometheus
from autoglm_recovery.receiver.doctor import servers
from autoglm_recovery.receiver.fleet import fleet_http
from autoglm_recovery.receiver.observe import presence_watch
from autoglm_recovery.receiver.observe.alertmanager import AlertmanagerClient, Unanswered
from autoglm_recovery.receiver.rehearse.backtest import prometheus as backtest
from autoglm_recovery.receiver.runs.awx.client import AwxClient, AwxUnavailable, Deadline
from autoglm_recovery.receiver.runs.awx.settings import AwxSettings, Template
from autoglm_recovery.receiver.verify import proof_watch
from tests.support.servers.listening import Handle, answering

SHORT_S = 0.15
# For what never comes back.
NEVER_S = 60.0
UNPACKED = 64 << 20

HEAD = b"HTTP/1.1 200 OK\r\nDate: Sat, 28 Nov 2026 20:00:00 GMT\r\nContent-Type: application/json\r\n"
OVER = threading.Event()  # is never set: who waits for it waits


def endless(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")


def endless_of_its_length(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Content-Length: 99999999999\r\n\r\n")
    while True:
        connection.sendall(b" " * 0x10000)


def endless_error(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 500 No\r\n\r\n")
    while True:
        connection.sendall(b"[" * 0x10000)


def dripping_head(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(1 << 30):
        connection.sendall(b"X-%d: y\r\n" % number)
        OVER.wait(0.02)


def dripping_body(connection: socket.socket) -> None:
    connection.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")
    while not OVER.wait(0.02):
        connection.sendall(b" ")


def dripping_error(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 404 No\r\nContent-Length: 100000\r\n\r\n")
    while not OVER.wait(0.02):
        connection.sendall(b" ")


def only_continue(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        OVER.wait(0.005)


@functools.cache
def _packed() -> bytes:
    return gzip.compress(b" " * UNPACKED)


def packed(connection: socket.socket) -> None:
    body = _packed()
    connection.sendall(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def one_line(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Line: ")
    while True:
        connection.sendall(b"x" * 0x10000)


HOSTILE = (
    *(endless, endless_of_its_length, endless_error, dripping_head, dripping_body, dripping_error, only_continue),
    *(packed, one_line),
)  # fmt: skip


@pytest.fixture
def hostile() -> Iterator[Callable[[Handle], str]]:
    """Start a server that answers each request with a function of the test; gives its address."""
    with answering() as start:

        def answer_each(answer: Handle) -> str:
            def handle(connection: socket.socket) -> None:
                connection.recv(65536)
                answer(connection)

            return start(handle)

        yield answer_each


def engine(url: str, _folder: Path) -> None:
    with pytest.raises(EngineError):
        EngineServer(url, HttpTransport(), SHORT_S).get_json("/metrics")


def envoy(url: str, folder: Path) -> None:
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 1}}}}
    file = folder / "eds.json"
    file.write_text(json.dumps({"resources": [{"cluster_name": "llm", "endpoints": [{"lb_endpoints": [endpoint]}]}]}))
    with pytest.raises(BalancerError) as refused:
        Envoy(str(file), "llm", url, SHORT_S).members()
    assert refused.value.kind in ("unreachable", "unreadable")


def kubernetes(url: str, folder: Path) -> None:
    pytest.importorskip("kubernetes", reason="the official client is not installed")
    file = folder / "kubeconfig.json"
    of = {"clusters": [{"name": "a", "cluster": {"server": url}}], "users": [{"name": "a", "user": {}}]}
    context = {"contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}], "current-context": "a"}
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **of, **context}))
    with pytest.raises(BalancerError) as refused:
        Kubernetes(ServicePlace("llm", kubeconfig=str(file)), SHORT_S).members()
    assert refused.value.kind in ("unreachable", "unreadable")


def awx(url: str, folder: Path) -> None:
    (folder / "token").write_text("t")
    client = AwxClient(AwxSettings(url, folder / "token", Template, call_timeout_s=SHORT_S))
    with pytest.raises(AwxUnavailable):
        client.get("ping", Deadline(2 * SHORT_S))
    client.close()


def alertmanager(url: str, _folder: Path) -> None:
    with AlertmanagerClient(url, Alertmanager(url=url, timeout=_a(SHORT_S / 4))) as client, pytest.raises(Unanswered):
        client.had()


def _a(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def _refused(ask: Callable[[], Any]) -> None:
    with pytest.raises((httpx.HTTPError, ValueError)):
        ask()


def silence(url: str, _folder: Path) -> None:
    with (
        AlertmanagerClient(url, Silences(alertmanager=url, timeout=_a(SHORT_S / 4))) as client,
        pytest.raises(Unanswered),
    ):
        client.silences()


def presence(url: str, _folder: Path) -> None:
    _refused(lambda: presence_watch._ask(Prometheus(url=url, timeout=_a(SHORT_S / 4))))


def proof(url: str, _folder: Path) -> None:
    setting = Prometheus(url=url, timeout=_a(SHORT_S))
    with fleet_http.client(url, setting) as client:
        _refused(lambda: proof_watch.look_back(client, SHORT_S))


def doctor(url: str, _folder: Path) -> None:
    _refused(lambda: servers._get(url, "/api/v1/targets", servers._HttpAccess(None, None, _a(SHORT_S))))


def record(url: str, _folder: Path) -> None:
    with httpx.Client(transport=bounded_http.Transport(), timeout=SHORT_S) as client:
        reader = backtest.PrometheusRecord(client, url)
        with pytest.raises((backtest.RecordError, backtest._TooMuch, ValueError)):
            reader._ask("up", 0.0, 15.0, 15.0)


def exporter(url: str, _folder: Path) -> None:
    now = time.time()
    sender = AlertSender(url, timeout=SHORT_S)
    sender.start()
    sender.put(FastAlert({"alertname": "X"}, {}, now, now + 3600))
    end = time.monotonic() + NEVER_S
    while not sender.counts.failed:
        assert time.monotonic() < end
        assert not sender.counts.sent
        OVER.wait(0.01)
    sender.stop()


def command(url: str, _folder: Path) -> None:
    with pytest.raises(typer.Exit) as ended:
        asking.AskedReceiver(url).ask("GET", "/api/v1/incidents", wanted="incidents")
    assert ended.value.exit_code == ExitCode.unasked


EDGES = (
    *(engine, envoy, kubernetes, awx, alertmanager, silence, presence, proof, doctor, record, exporter, command),
)  # fmt: skip


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backtest, "LONGEST_ANSWER_S", SHORT_S)
    monkeypatch.setattr(asking, "_TIMEOUT_S", SHORT_S)
    monkeypatch.setattr(asking, "_LONGEST_ANSWER_S", SHORT_S)


@pytest.mark.parametrize("answer", HOSTILE, ids=[each.__name__ for each in HOSTILE])
@pytest.mark.parametrize("edge", EDGES, ids=[each.__name__ for each in EDGES])
def test_an_answer_without_end_is_refused_in_time_and_in_bounds(
    edge: Callable[[str, Path], None], answer: Callable[[socket.socket], None], hostile, tmp_path: Path
) -> None:
    url, failed = hostile(answer), list[BaseException]()

    def ask() -> None:
        try:
            edge(url, tmp_path)
        except BaseException as error:  # noqa: BLE001 - also what pytest raises, for the thread of the test
            failed.append(error)

    asked = threading.Thread(target=ask, daemon=True)
    asked.start()
    asked.join(NEVER_S)
    assert not asked.is_alive(), "it is still waited for"
    if failed:
        raise failed[0]


@pytest.mark.parametrize("edge", EDGES, ids=[each.__name__ for each in EDGES])
def test_what_is_packed_is_not_unpacked(edge: Callable[[str, Path], None], hostile, tmp_path: Path) -> None:
    _packed()
    url = hostile(packed)
    tracemalloc.start()
    try:
        edge(url, tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < UNPACKED / 2
