# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services, their processes, and the server."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from autoglm_recovery.exporter import connections
from autoglm_recovery.exporter.http import ExporterListenError, ExporterServer
from autoglm_recovery.exporter.processes import Processes
from autoglm_recovery.exporter.services import NodeService, Services, ServicesError, load_services

LLM = NodeService("llm", "pool-a", "llm.service")
TICK, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("- {name: llm, pool: pool-a, unit: llm.service}", (LLM,)),
        ("- {name: llm, pool: pool-a, unit: llm}", (LLM,)),
        (json.dumps([{"name": "llm", "unit": "a@1.service"}]), (NodeService("llm", "", "a@1.service"),)),
    ],
)
def test_a_services_file(tmp_path: Path, text: str, expected: tuple[NodeService, ...]) -> None:
    path = tmp_path / "services.yml"
    path.write_text(text)
    assert load_services(path).all == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- [", "neither YAML nor JSON"),
        ("a: b", "must be a list"),
        ("- {name: a}", "service 1 must have name and unit"),
        ("- {name: a, unit: b, port: 1}", "nothing else"),
        ("- {name: 1, unit: b}", "name must be a text"),
        ("- {name: a, unit: ../b}", "unit must be a text without slashes"),
        ("- {name: a, unit: b}\n- {name: c, unit: b.service}", "unit b.service is there more than once"),
    ],
)
def test_a_services_file_that_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "services.yml"
    path.write_text(text)
    with pytest.raises(ServicesError, match=words):
        load_services(path)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0::/system.slice/llm.service\n", True),
        ("0::/system.slice/llm.service/engine.scope\n", True),
        ("4:memory:/\n1:name=systemd:/system.slice/llm.service\n0::/\n", True),
        ("0::/system.slice/not-llm.service\n", False),
        ("0::/system.slice/llm.service.d\n", False),
        ("rubbish", False),
    ],
)
def test_a_control_group_of_either_version_names_the_service(text: str, found: bool) -> None:
    assert (Services([LLM]).of_membership(text) == LLM) is found


@pytest.mark.parametrize(
    ("path", "on_a_host", "in_a_container"),
    [
        ("/system.slice/llm.service", True, True),
        ("/gpu.slice/gpu-a.slice/llm.service/x/y", True, True),
        ("/llm.service", True, True),
        ("/machine/abc/system.slice/llm.service", False, True),
        ("/machine.slice/libpod-0a.scope/container/system.slice/llm.service", False, True),
        # What users name themselves, below what is theirs.
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/llm.service", False, False),
        ("/user.slice/user-1000.slice/session-3.scope/llm.service", False, False),
        ("/user.slice/user-1000.slice/llm.service", False, False),
        ("/system.slice/other.service/llm.service", False, False),
        ("/system.slice/llm.service,task=x", False, False),
        ("/system.slice/not-llm.service/system.slice/llm.service", False, False),
        ("system.slice/llm.service", False, False),
        ("llm.service", False, False),
        ("", False, False),
    ],
)
def test_no_group_that_a_user_names_is_taken_for_a_service(path: str, on_a_host: bool, in_a_container: bool) -> None:
    assert (Services([LLM]).of_group(path) == LLM) is on_a_host
    assert (Services([LLM], contained=True).of_group(path) == LLM) is in_a_container


class FakeProc:
    """A /proc of a test's own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "stat").write_text("cpu 1 2 3\nbtime 1000\n")

    def process(self, pid: int, *, group: str = "llm.service", cpu: int = 0, started: int = 10, files: int = 2) -> None:
        folder = self.root / str(pid)
        (folder / "fd").mkdir(parents=True, exist_ok=True)
        for number in range(files):
            (folder / "fd" / str(number)).touch()
        (folder / "cgroup").write_text(f"0::/system.slice/{group}\n")
        fields = ["S", *["0"] * 10, str(cpu * TICK), "0", "0", "0", "0", "0", "3", "0", str(started * TICK), "0", "7"]
        (folder / "stat").write_text(f"{pid} (a) b) {' '.join(fields)}\n")

    def end(self, pid: int) -> None:
        for path in sorted((self.root / str(pid)).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (self.root / str(pid)).rmdir()


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path)


def test_the_processes_of_a_service_are_summed_up(proc: FakeProc, tmp_path: Path) -> None:
    proc.process(1, cpu=5, started=20)
    proc.process(2, cpu=7, started=10, files=3)
    proc.process(3, group="cron.service", cpu=100)
    (used,) = Processes(Services([LLM]), tmp_path).look().values()
    assert (used.processes, used.threads, used.open_files) == (2, 6, 5)
    assert (used.cpu_seconds, used.resident_bytes, used.started) == (12, 14 * PAGE, 1010)


def test_cpu_time_does_not_fall_when_a_process_ends(proc: FakeProc, tmp_path: Path) -> None:
    processes = Processes(Services([LLM]), tmp_path)
    proc.process(1, cpu=5)
    proc.process(2, cpu=7)
    processes.look()
    proc.end(1)
    (used,) = processes.look().values()
    assert (used.processes, used.cpu_seconds) == (1, 12)
    assert processes.service_of(1) == LLM, "who has just died is still known"
    assert processes.service_of(4711) is None


def test_a_young_process_that_is_moved_into_its_group_is_found(proc: FakeProc, tmp_path: Path) -> None:
    processes = Processes(Services([LLM]), tmp_path)
    proc.process(1, group="init.scope")
    assert processes.look() == {}
    proc.process(1)
    assert processes.look()[LLM].processes == 1


def test_a_number_that_is_used_again_is_another_process(proc: FakeProc, tmp_path: Path) -> None:
    processes = Processes(Services([LLM]), tmp_path)
    proc.process(1, cpu=5, started=10)
    processes.look()
    proc.process(1, group="cron.service", cpu=90, started=50)
    processes.look()
    assert LLM not in processes.look()


def test_without_services_no_process_is_looked_at(tmp_path: Path) -> None:
    processes = Processes(Services(), tmp_path / "missing")
    assert processes.look() == {}
    assert processes.service_of(1) is None


@pytest.mark.parametrize("listen", ["9471", "localhost", "::1:9471", "a:b", "a:99999", ""])
def test_what_is_no_address(listen: str) -> None:
    with pytest.raises(ExporterListenError, match="HOST:PORT"):
        ExporterServer(listen, bytes)


def test_the_server_answers_what_it_should() -> None:
    server = ExporterServer("127.0.0.1:0", lambda: b"up 1\n")
    server.start()
    ask: Callable[..., httpx.Response] = httpx.Client(
        base_url=f"http://127.0.0.1:{server.port}", trust_env=False
    ).request
    answers = {
        (m, p): ask(m, p) for m, p in (("GET", "/metrics"), ("GET", "/healthz"), ("GET", "/x"), ("POST", "/metrics"))
    }
    assert [answer.status_code for answer in answers.values()] == [200, 200, 404, 405]
    assert answers[("GET", "/metrics")].text == "up 1\n"
    assert answers[("GET", "/metrics")].headers["content-type"].startswith("text/plain; version=")
    with pytest.raises(ExporterListenError, match="cannot listen"):
        ExporterServer(f"127.0.0.1:{server.port}", bytes)
    server.stop()


def open_all(port: int, count: int, first: bytes = b"") -> list[socket.socket]:
    opened = []
    for _ in range(count):
        opened.append(socket.create_connection(("127.0.0.1", port)))
        opened[-1].sendall(first)
        opened[-1].settimeout(60)
    return opened


def ended(connection: socket.socket) -> bool:
    """Wait for the other side's end."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_no_address_holds_more_than_its_share_of_threads() -> None:
    server = ExporterServer("127.0.0.1:0", lambda: b"up 1\n")
    server.start()
    before = threading.active_count()
    held = open_all(server.port, connections.MOST_FROM_ONE_ADDRESS, b"GET /met")
    beyond = open_all(server.port, 40)
    try:
        assert all(ended(each) for each in beyond)
        assert threading.active_count() <= before + connections.MOST_FROM_ONE_ADDRESS
        # Another address is served meanwhile: on Linux all of 127.0.0.0/8 is this machine.
        with socket.create_connection(("127.0.0.1", server.port), 60, ("127.0.0.9", 0)) as other:
            other.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert b"200 OK" in other.recv(4096)
    finally:
        for each in held + beyond:
            each.close()
        server.stop()


def test_a_request_that_drips_is_ended_at_its_deadline_however_often_a_byte_comes(monkeypatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_WITHIN_S", 0.3)
    server = ExporterServer("127.0.0.1:0", lambda: b"up 1\n")
    server.start()
    (dripping,) = open_all(server.port, 1, b"GET /metrics HTTP/1.0\r\n")
    try:
        dripping.settimeout(0.02)
        over, give_up = False, time.monotonic() + 60
        while not over and time.monotonic() < give_up:
            try:
                dripping.sendall(b"x")
                over = dripping.recv(1) == b""
            except TimeoutError:
                continue
            except OSError:
                over = True
        assert over
    finally:
        dripping.close()
        server.stop()


def test_an_address_is_counted_until_it_has_left_and_a_whole_64_is_one() -> None:
    admission = connections.ConnectionLimiter(most=3, most_from_one=2)
    assert admission.enter("2001:db8::1")
    assert admission.enter("2001:db8::ffff:2%eth0")
    assert not admission.enter("2001:db8::3")
    assert admission.enter("::ffff:192.0.2.1")
    assert not admission.enter("192.0.2.7")
    admission.leave("2001:db8::1")
    assert admission.enter("192.0.2.1")
    assert not admission.enter("192.0.2.1")
