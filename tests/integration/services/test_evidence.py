# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a snapshot holds of real services in real trouble."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from pathlib import Path

import httpx
import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.registry import open_engine
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.server import EngineServer
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.transport import HttpTransport
from ansible_collections.autoglm.recovery.plugins.module_utils.evidence import bundle, snapshot
from ansible_collections.autoglm.recovery.plugins.module_utils.services import acting
from ansible_collections.autoglm.recovery.plugins.module_utils.services.pid_file import PidFileService
from ansible_collections.autoglm.recovery.plugins.module_utils.services.spawn import SpawnCommand

from tests.lab.places import PROGRAMS
from tests.support.servers import llama
from tests.support.servers.freezing import freeze
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import until

HANGS = """
import threading, time
def waiting_for_the_gpu():
    while True:
        time.sleep(0.1)
threading.Thread(target=waiting_for_the_gpu, name="worker").start()
waiting_for_the_gpu()
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends at once in these tests needs no second for it."""
    monkeypatch.setattr(acting, "SETTLE_SECONDS", 0.3)


@pytest.fixture
def program(tmp_path: Path) -> str:
    """A file, so that what is in it is not on the command line."""
    path = tmp_path / "server.py"
    path.write_text(HANGS)
    return str(path)


def taken(tmp_path: Path, scope: snapshot.Scope) -> dict[str, str]:
    """The parts of a bundle, by name."""
    incident, limits = snapshot.Incident("inc", 1, "here"), bundle.BundleLimits(32 * 2**20, 60.0)
    written = bundle.write(
        tmp_path / "bundle", snapshot.head(incident, scope, limits), snapshot.plan(scope, incident, tmp_path), limits
    )
    return {name: (written.path / name).read_text() for name in (*written.parts, "manifest.json")}


@pytest.mark.parametrize("frozen", [False, True])
def test_python_stacks_of_a_server_that_hangs(tmp_path: Path, pid_path: str, program: str, frozen: bool) -> None:
    service = PidFileService(pid_path, SpawnCommand((sys.executable, program, "--api-key", "s3cret-value")), 5.0)
    pid = acting.start(service, 10).main_pid
    if frozen:
        freeze(pid)
        until("it to stand still", lambda: service.status().process_state == "T")
    scope = snapshot.Scope(service=service, py_spy=str(PROGRAMS / "py-spy"), gpus=False)

    parts = taken(tmp_path, scope)

    stacks = parts[f"process-{pid}-python.txt"]
    assert stacks.count("waiting_for_the_gpu") == 2
    assert '"worker"' in stacks
    assert all("s3cret-value" not in text for text in parts.values())
    assert service.status().process_state == ("T" if frozen else "S")  # the look has changed nothing
    threads = parts[f"process-{pid}-threads.txt"]
    assert threads.count("# thread") == 2
    assert threads.count("SigBlk=") == 2


def test_without_py_spy_everything_else_is_there(tmp_path: Path, pid_path: str, program: str) -> None:
    service = PidFileService(pid_path, SpawnCommand((sys.executable, program)), 5.0)
    pid = acting.start(service, 10).main_pid
    parts = taken(tmp_path, snapshot.Scope(service=service, py_spy="/nowhere/py-spy", gpus=False))
    unreadable = {entry["name"]: entry["reason"] for entry in json.loads(parts["manifest.json"])["unreadable"]}
    assert "cannot be run" in unreadable[f"process-{pid}-python.txt"]
    assert f"process-{pid}-threads.txt" in parts


@pytest.mark.parametrize("with_prompts", [False, True])
def test_an_engine_tells_its_metrics_and_open_requests(tmp_path: Path, monkeypatch, with_prompts: bool) -> None:
    monkeypatch.setenv("LLAMA_SERVER_SLOTS_DEBUG", "1")  # without it this llama.cpp tells no texts, unlike older ones
    with llama.running(tmp_path) as server:
        threading.Thread(target=_long_request, args=(server.url,), daemon=True).start()
        until("the request", lambda: "requests_processing 1" in httpx.get(f"{server.url}/metrics").text)
        scope = snapshot.Scope(
            engine=open_engine("llama_cpp", server.url),
            server=EngineServer(server.url, HttpTransport()),
            with_prompts=with_prompts,
            gpus=False,
        )
        parts = taken(tmp_path, scope)
    assert "llamacpp:requests_processing 1" in parts["metrics.txt"]
    slots = json.loads(parts["requests.json"])
    assert [slot["is_processing"] for slot in slots].count(True) == 1
    assert ("my diary" in parts["requests.json"]) is with_prompts


def _long_request(url: str) -> None:
    body = {"prompt": "my diary of today", "n_predict": 7000, "ignore_eos": True}
    try:
        httpx.post(f"{url}/completion", json=body, timeout=60)
    except httpx.HTTPError:
        return  # the server goes before it is done


def test_an_engine_that_hangs_costs_its_deadlines_and_no_part_of_the_rest(tmp_path: Path, pid_path: str) -> None:
    port = free_port()
    chroot, *rest = llama.command(port)
    service = PidFileService(pid_path, SpawnCommand((shutil.which(chroot) or chroot, *rest)), 5.0)
    pid = acting.start(service, 10).main_pid
    until("it to listen", lambda: httpx.get(f"http://127.0.0.1:{port}/health").is_success)
    freeze(pid)
    url = f"http://127.0.0.1:{port}"
    scope = snapshot.Scope(
        service=service,
        engine=open_engine("llama_cpp", url, timeout=0.5),
        server=EngineServer(url, HttpTransport(), 0.5),
        gpus=False,
    )
    parts = taken(tmp_path, scope)
    unreadable = {entry["name"] for entry in json.loads(parts["manifest.json"])["unreadable"]}
    assert {"metrics.txt", "requests.json"} <= unreadable
    assert "timeout" in parts["engine.json"]
    assert {"host.txt", "sockets.txt", "processes.txt", "command-lines.txt", f"process-{pid}.txt"} <= set(parts)
