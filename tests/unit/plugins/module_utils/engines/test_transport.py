# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP edge against real sockets that refuse, hang, drip, lie and break off."""

from __future__ import annotations

import socket
import threading

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.transport import (
    EngineRequest,
    HttpTransport,
    TransportError,
    check_url,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FOREVER = threading.Event()  # is never set: who waits for it hangs


def ask(url: str, timeout: float = 5.0, **more):
    return HttpTransport()(EngineRequest("GET", f"{url}/health", timeout, **more))


def kind_of(url: str, timeout: float = 5.0, **more) -> str:
    with pytest.raises(TransportError) as caught:
        ask(url, timeout, **more)
    return caught.value.kind


def says(answer: bytes):
    def handle(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    return handle


def test_an_answer(fake_server) -> None:
    answer = ask(fake_server(says(OK)))
    assert (answer.status, answer.body) == (200, b"ok")


def test_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert kind_of(f"http://127.0.0.1:{port}") == "refused"


def test_a_stopped_server_accepts_and_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # the kernel accepts, nobody reads
        assert kind_of(f"http://127.0.0.1:{listener.getsockname()[1]}", 0.2) == "timeout"


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n"])
def test_a_server_that_drips_is_cut_at_the_deadline(fake_server, beginning: bytes) -> None:
    def handle(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(beginning)
        while not FOREVER.wait(0.02):
            connection.sendall(b"x")

    assert kind_of(fake_server(handle), 0.3) == "timeout"


def test_a_body_that_ends_too_early(fake_server) -> None:
    assert kind_of(fake_server(says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok"))) == "reset"


def test_a_server_that_hangs_up(fake_server) -> None:
    assert kind_of(fake_server(lambda connection: connection.recv(65536))) == "reset"


@pytest.mark.parametrize("rubbish", [b"\0" * 50 + b"\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/9 yes\r\n\r\n"])
def test_what_is_no_http(fake_server, rubbish: bytes) -> None:
    assert kind_of(fake_server(says(rubbish))) in ("invalid", "reset")


def test_an_answer_larger_than_the_cap(fake_server) -> None:
    big = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000
    assert kind_of(fake_server(says(big)), max_bytes=4999) == "too_large"
    assert len(ask(fake_server(says(big)), max_bytes=5000).body) == 5000


def test_a_redirect_is_an_answer_and_is_not_followed(fake_server) -> None:
    asked = []
    elsewhere = fake_server(asked.append)
    answer = ask(
        fake_server(says(f"HTTP/1.1 302 Found\r\nLocation: {elsewhere}/\r\nContent-Length: 0\r\n\r\n".encode()))
    )
    assert answer.status == 302
    assert asked == []


def test_proxies_of_the_environment_are_ignored(fake_server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert ask(fake_server(says(OK))).status == 200


def test_plain_http_behind_an_https_address(fake_server) -> None:
    assert kind_of(fake_server(says(OK)).replace("http:", "https:")) == "tls"


def test_a_missing_ca_file(fake_server) -> None:
    url = fake_server(says(OK)).replace("http:", "https:")
    with pytest.raises(TransportError, match="CA file"):
        HttpTransport(ca_path="/does/not/exist")(EngineRequest("GET", url, 1.0))


def test_a_header_that_cannot_be_sent_is_not_told(fake_server) -> None:
    with pytest.raises(TransportError) as caught:
        ask(fake_server(says(OK)), headers={"Authorization": "Bearer s3cret\nX: y"})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:8080", "ftp://a", "http://", "http://u:p@a", "http://a?x=1", "http://a#x", "http://a:x",
     "http://a b", "http://a\n", "http://a:99999", "file:///etc/passwd"],
)  # fmt: skip
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        check_url(url)


@pytest.mark.parametrize("url", ["http://a", "https://[fd00::1]:8000/", "http://a/base/"])
def test_urls_that_are_taken(url: str) -> None:
    assert check_url(url) == url.rstrip("/")
