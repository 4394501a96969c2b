# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module engine_control, against a server that keeps its state as vLLM does."""

from __future__ import annotations

import json
import socket
from http import HTTPStatus
from urllib.parse import SplitResult, parse_qs, urlsplit, urlunsplit

import pytest
from ansible_collections.autoglm.recovery.plugins.modules import engine_control

# Each path that vLLM has in dev mode and the orders ask for, with its one method: rlhf/api_router.py and
# sleep/api_router.py below vllm/entrypoints/serve.
METHODS = {"/metrics": "GET", "/is_paused": "GET", "/is_sleeping": "GET", "/pause": "POST", "/resume": "POST"}
METRICS = """\
vllm:num_requests_running 0
vllm:num_requests_waiting 0
vllm:engine_sleep_state{sleep_state="awake"} 1
vllm:engine_sleep_state{sleep_state="weights_offloaded"} 0
vllm:engine_sleep_state{sleep_state="discard_all"} 0
"""
MODES = ("abort", "wait", "keep")
# As FastAPI words them.
UNKNOWN, WRONG_METHOD = {"detail": "Not Found"}, {"detail": "Method Not Allowed"}


class FakePausingVllm:
    """As much of a vLLM in dev mode as the orders need. ``obeys`` False: it answers 200 and does nothing.

    ``generates`` False: its completions are aborted, as those of an engine core that is shut down.
    """

    def __init__(self, obeys: bool = True, dev_mode: bool = True, generates: bool = True) -> None:
        self.paused = False
        self.generates = generates
        self.orders: list[str] = []
        self._obeys = obeys
        self._dev_mode = dev_mode

    def __call__(self, connection: socket.socket) -> None:
        method, target = connection.recv(65536).decode().split(" ")[:2]
        served = target.startswith("/v1/")
        status, answer = (200, self._served()) if served else self._answer(method, urlsplit(target))
        body = answer if isinstance(answer, str) else json.dumps(answer)
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(f"{head}{body}".encode())

    def _answer(self, method: str, asked: SplitResult) -> tuple[int, str | dict[str, object]]:
        if asked.path not in METHODS or (asked.path != "/metrics" and not self._dev_mode):
            return 404, UNKNOWN
        if method != METHODS[asked.path]:
            return 405, WRONG_METHOD
        if asked.path == "/metrics":
            return 200, METRICS
        if method == "GET":  # a pause is told as sleep as well, see engines/vllm.py
            return 200, {asked.path[1:]: self.paused}
        if asked.path == "/pause" and parse_qs(asked.query).get("mode", ["abort"])[0] not in MODES:
            return 422, {"detail": [{"type": "literal_error", "loc": ["query", "mode"]}]}
        self.orders.append(urlunsplit(asked))
        if self._obeys:
            self.paused = asked.path == "/pause"
        return 200, {"status": "paused" if asked.path == "/pause" else "resumed"}

    def _served(self) -> dict[str, object]:
        """Its models and a completion, in one."""
        choice = {"text": " jumps", "finish_reason": "length" if self.generates else "abort"}
        return {"data": [{"id": "m"}], "choices": [choice], "usage": {"completion_tokens": 8}}


def test_a_pause_is_made_once_and_told_in_a_diff(run_module, fake_server) -> None:
    server = FakePausingVllm()
    url = fake_server(server)
    result = run_module(engine_control, engine="vllm", url=url, state="paused")
    assert (result["changed"], server.paused) == (True, True)
    assert result["before"] == {"accepting": True, "awake": True, "in_flight": 0}
    assert result["after"] == {"accepting": False, "awake": True, "in_flight": None}
    assert "accepting: False" in result["diff"]["after"]
    assert "in_flight" in result["reasons"][0]
    again = run_module(engine_control, engine="vllm", url=url, state="stopped")
    assert (again["changed"], server.orders) == (False, ["/pause?mode=keep"])
    back = run_module(engine_control, engine="vllm", url=url, state="accepting")
    assert (back["changed"], server.paused) == (True, False)


def test_check_mode_gives_no_order_and_says_what_it_would_be(run_module, fake_server) -> None:
    server = FakePausingVllm()
    result = run_module(engine_control, True, engine="vllm", url=fake_server(server), state="paused")
    assert (result["changed"], result["after"], server.orders) == (True, None, [])
    assert "accepting: False" in result["diff"]["after"]


def test_nothing_in_flight_is_nothing_to_abort(run_module, fake_server) -> None:
    server = FakePausingVllm()
    assert not run_module(engine_control, engine="vllm", url=fake_server(server), state="aborted")["changed"]
    assert server.orders == []


def test_a_server_that_only_says_that_it_is_done_fails_the_task(run_module, fake_server) -> None:
    result = run_module(engine_control, engine="vllm", url=fake_server(FakePausingVllm(obeys=False)), state="paused")
    assert result["failed"]
    assert "still takes new requests" in result["msg"]
    assert result["not_supported"] is False


def test_a_server_is_cleared_each_time_and_seen_to_generate(run_module, fake_server) -> None:
    server = FakePausingVllm()
    url = fake_server(server)
    for _ in range(2):
        result = run_module(engine_control, engine="vllm", url=url, state="cleared")
        assert (result["changed"], server.paused) == (True, False)
        assert result["after"] == {"accepting": True, "awake": True, "in_flight": 0}
    assert server.orders == ["/pause?mode=abort", "/resume"] * 2


def test_a_server_that_says_it_is_cleared_and_generates_nothing_fails_the_task(run_module, fake_server) -> None:
    result = run_module(
        engine_control, engine="vllm", url=fake_server(FakePausingVllm(generates=False)), state="cleared"
    )
    assert result["failed"]
    assert "generates nothing" in result["msg"]
    assert result["not_supported"] is False


def test_what_cannot_be_asked_for_a_completion_says_that_nothing_was_proven(run_module, fake_server) -> None:
    url = fake_server(lambda connection: (connection.recv(65536), connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")))
    options = {"abort_path": "/abort"}
    result = run_module(engine_control, engine="generic", url=url, engine_options=options, state="cleared")
    assert result["changed"]
    assert any(reason.startswith("whether it generates: ") for reason in result["reasons"])


@pytest.mark.parametrize("check", [True, False])
def test_what_an_engine_never_has_fails_in_check_mode_too(run_module, fake_server, check: bool) -> None:
    url = fake_server(FakePausingVllm())
    result = run_module(engine_control, check, engine="tgi", url=url, state="paused")
    assert (result["failed"], result["not_supported"]) == (True, True)
    assert "load balancer" in result["msg"]


def test_a_server_started_without_what_it_takes_says_so(run_module, fake_server) -> None:
    url = fake_server(FakePausingVllm(dev_mode=False))
    result = run_module(engine_control, engine="vllm", url=url, state="aborted")
    assert not result.get("failed"), "there is nothing in flight, and the metrics know it"
    result = run_module(engine_control, engine="vllm", url=url, state="paused")
    assert (result["failed"], result["not_supported"]) == (True, True)
    assert "VLLM_SERVER_DEV_MODE=1" in result["msg"]


def test_a_server_that_is_not_there(run_module) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    result = run_module(engine_control, engine="vllm", url=url, state="reset")
    assert result["failed"]
    assert "refused" in result["msg"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"state": "drained"}, "state"),
        ({"engine_options": {"moddel": "x"}}, "moddel"),
        ({"order_timeout": 0}, "timeout"),
        ({"url": "localhost"}, "http"),
    ],
)
def test_options_that_cannot_be(run_module, arguments: dict, message: str) -> None:
    result = run_module(engine_control, **{"engine": "vllm", "url": "http://a", "state": "reset", **arguments})
    assert result["failed"]
    assert message in result["msg"]
