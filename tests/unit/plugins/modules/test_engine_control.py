# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module engine_control, against a server that keeps its state as vLLM does."""

from __future__ import annotations

import socket

import pytest
from ansible_collections.autoglm.recovery.plugins.modules import engine_control


class PausingServer:
    """As much of a vLLM in dev mode as the orders need. ``obeys`` False: it answers 200 and does nothing."""

    def __init__(self, obeys: bool = True, dev_mode: bool = True) -> None:
        self.paused = False
        self.orders: list[str] = []
        self._obeys = obeys
        self._dev_mode = dev_mode

    def __call__(self, connection: socket.socket) -> None:
        method, path = connection.recv(65536).decode().split(" ")[:2]
        body = self._answer(method, path)
        status = "200 OK" if body else "404 Not Found"
        connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())

    def _answer(self, method: str, path: str) -> str:
        if path == "/metrics":
            return "vllm:num_requests_running 0\nvllm:num_requests_waiting 0\n"
        if not self._dev_mode:
            return ""
        if method == "POST":
            self.orders.append(path)
            if self._obeys:
                self.paused = path.startswith("/pause")
            return "{}"
        told = {"/is_paused": self.paused, "/is_sleeping": False}
        return f'{{"{path[1:]}": {str(told[path]).lower()}}}' if path in told else ""


def test_a_pause_is_made_once_and_told_in_a_diff(run_module, fake_server) -> None:
    server = PausingServer()
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
    server = PausingServer()
    result = run_module(engine_control, True, engine="vllm", url=fake_server(server), state="paused")
    assert (result["changed"], result["after"], server.orders) == (True, None, [])
    assert "accepting: False" in result["diff"]["after"]


def test_nothing_in_flight_is_nothing_to_abort(run_module, fake_server) -> None:
    server = PausingServer()
    assert not run_module(engine_control, engine="vllm", url=fake_server(server), state="aborted")["changed"]
    assert server.orders == []


def test_a_server_that_only_says_that_it_is_done_fails_the_task(run_module, fake_server) -> None:
    result = run_module(engine_control, engine="vllm", url=fake_server(PausingServer(obeys=False)), state="paused")
    assert result["failed"]
    assert "still takes new requests" in result["msg"]
    assert result["not_supported"] is False


@pytest.mark.parametrize("check", [True, False])
def test_what_an_engine_never_has_fails_in_check_mode_too(run_module, fake_server, check: bool) -> None:
    url = fake_server(PausingServer())
    result = run_module(engine_control, check, engine="tgi", url=url, state="paused")
    assert (result["failed"], result["not_supported"]) == (True, True)
    assert "load balancer" in result["msg"]


def test_a_server_started_without_what_it_takes_says_so(run_module, fake_server) -> None:
    url = fake_server(PausingServer(dev_mode=False))
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
