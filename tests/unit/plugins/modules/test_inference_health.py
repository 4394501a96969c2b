# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module inference_health, against servers that listen on real sockets."""

from __future__ import annotations

import json
import socket
import threading

import pytest
from ansible_collections.autoglm.recovery.plugins.modules import inference_health

COMPLETION = {
    "choices": [{"text": " jumps", "finish_reason": "length"}],
    "usage": {"completion_tokens": 1},
    "model": "tiny",
}


def llama(connection: socket.socket) -> None:
    """As much of a llama-server as the questions need."""
    path = connection.recv(65536).split(b" ")[1]
    body = {b"/health": b'{"status":"ok"}', b"/v1/completions": json.dumps(COMPLETION).encode()}.get(path)
    status = b"200 OK" if body else b"501 Not Implemented"
    connection.sendall(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body or b""), body or b""))


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("check", [True, False])
def test_healthy_with_the_proof(run_module, fake_server, check: bool) -> None:
    result = run_module(inference_health, check, engine="llama_cpp", url=fake_server(llama), generate=True)
    assert (result["changed"], result["verdict"], result["failure_class"]) == (False, "healthy", None)
    assert result["inference"]["generation"]["text"] == " jumps"
    assert result["inference"]["stats"]["running"] is None
    assert "501" in result["inference"]["stats"]["unread"]["running"]


def test_a_server_without_counters_that_never_generates_is_unresponsive_in_the_end(run_module, fake_server) -> None:
    """Time alone tells it from one that is full, and it is given that time."""
    released = threading.Event()

    def mute(connection: socket.socket) -> None:
        path = connection.recv(65536).split(b" ")[1]
        if path == b"/v1/completions":
            released.wait(60)
            return
        status = b"200 OK" if path == b"/health" else b"501 Not Implemented"
        connection.sendall(b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % status)

    options = {"generate": True, "generate_timeout": 0.2, "stall_seconds": 1.0}
    result = run_module(inference_health, engine="llama_cpp", url=fake_server(mute), **options)
    released.set()
    assert (result["verdict"], result["failure_class"]) == ("unhealthy", "unresponsive")
    assert result["inference"]["generated"]["seconds"] >= 1.0


def test_unhealthy_does_not_fail_by_itself(run_module) -> None:
    result = run_module(inference_health, engine="llama_cpp", url=closed_port())
    assert not result.get("failed")
    assert (result["verdict"], result["failure_class"]) == ("unhealthy", "unresponsive")
    assert result["recommended_action"] == "restart_process"


@pytest.mark.parametrize(("fail_on", "failed"), [("never", False), ("unhealthy", False), ("not_healthy", True)])
def test_unknown_fails_only_where_healthy_is_demanded(run_module, fake_server, fail_on: str, failed: bool) -> None:
    def other(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    result = run_module(inference_health, engine="llama_cpp", url=fake_server(other), fail_on=fail_on)
    assert bool(result.get("failed")) is failed
    assert result["verdict"] == "unknown"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"url": "127.0.0.1:8080"}, "http"),
        ({"unit": "--all"}, "systemd unit"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": "nan"}, "timeout"),
        ({"generate": True, "max_tokens": 0}, "max_tokens"),
        ({"engine": "tig"}, "engine"),
        ({"api_key": "a\nb"}, "API key"),
    ],
)
def test_options_that_cannot_be(run_module, arguments: dict, message: str) -> None:
    result = run_module(inference_health, **{"engine": "llama_cpp", "url": "http://127.0.0.1:1", **arguments})
    assert result["failed"]
    assert message in result["msg"]


def test_the_key_is_not_returned(run_module) -> None:
    result = run_module(inference_health, engine="vllm", url=closed_port(), api_key="s3cret-value")
    assert "s3cret-value" not in json.dumps({key: value for key, value in result.items() if key != "invocation"})
