# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""restart_process on services that are no units, as a person would run it on this host."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.services import acting
from ansible_collections.autoglm.recovery.plugins.module_utils.services.registry import open_service

from tests.lab import model
from tests.lab.laboratory import environment, launchers_words
from tests.lab.places import CACHE, CHECKOUT, PROGRAMS
from tests.support.servers import llama
from tests.support.servers.containers import Runtime
from tests.support.servers.freezing import freeze
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import until

SECONDS = 600  # of a machine that other tests keep busy


@pytest.fixture
def restart(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the playbook on this host with a service of the inventory; words come before it (nsenter ...)."""

    def run(
        service: dict[str, object], *words: str, playbook: str = "restart_process", **more: object
    ) -> subprocess.CompletedProcess[str]:
        described = {"name": "llama", "engine": "llama_cpp", "ready_timeout": 30, **service}
        connection = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "ansible_become": False,
        }
        hosts = {"here": {**connection, "autoglm_services": [described]}}
        inventory = tmp_path / "inventory.json"
        inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
        variables = json.dumps({"target": "here", "autoglm_evidence_dir": str(tmp_path / "evidence"), **more})
        command = [
            *words,
            *launchers_words(more),
            str(PROGRAMS / "ansible-playbook"),
            f"autoglm.recovery.{playbook}",
            "-i",
            str(inventory),
        ]
        return subprocess.run(
            [*command, "-e", variables],
            capture_output=True, text=True, check=False, cwd=CHECKOUT, env=environment(), timeout=SECONDS,
        )  # fmt: skip

    return run


def evidence(tmp_path: Path) -> dict[str, str]:
    """The parts of the one bundle."""
    (bundle,) = (tmp_path / "evidence").iterdir()
    return {part.name: part.read_text() for part in bundle.iterdir()}


def healthy(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=1, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def test_a_container_that_crashed_is_healed(podman: Runtime, restart, tmp_path: Path) -> None:
    port, file = free_port(), model.ensure(CACHE)
    options = (f"--volume={CACHE}:/models:ro", "--env=HF_TOKEN=s3cret-value")
    name = podman.run("llama", *llama.words(f"/models/{file.name}", port), options=options)
    until("it to serve", lambda: healthy(port))
    os.kill(podman.inspect(name)["State"]["Pid"], signal.SIGKILL)
    until("it to be down", lambda: not podman.inspect(name)["State"]["Running"])

    done = restart({"url": f"http://127.0.0.1:{port}", "container": name}, *podman.prefix)

    assert done.returncode == 0, done.stdout + done.stderr
    assert podman.inspect(name)["State"]["Running"]
    assert healthy(port)
    parts = evidence(tmp_path)
    assert "llama" in parts["container.log"]
    assert '"ExitCode": 137' in parts["container.json"]
    assert all("s3cret-value" not in text for text in parts.values())


def test_a_process_that_hangs_is_healed(restart, pid_path: str, tmp_path: Path) -> None:
    port = free_port()
    chroot, *rest = llama.command(port)
    service = {
        "url": f"http://127.0.0.1:{port}",
        "pid_file": pid_path,
        "start_command": [shutil.which(chroot), *rest],
        "log_file": str(tmp_path / "llama.log"),
    }
    pid = acting.start(open_service(service, 5.0), 10).main_pid
    until("it to serve", lambda: healthy(port))
    checked = restart(service, playbook="check_service")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    freeze(pid)
    checked = restart(service, playbook="check_service")
    assert checked.returncode != 0
    assert "llama is unhealthy" in checked.stdout, checked.stdout + checked.stderr
    assert Path(f"/proc/{pid}").exists(), "a check changes nothing"

    done = restart(service)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "ended by SIGKILL" in done.stdout
    assert int(Path(pid_path).read_text()) != pid
    assert healthy(port)
    parts = evidence(tmp_path)
    assert "state T" in parts[f"process-{pid}-threads.txt"]
    assert "llama" in parts["service.log"]


def test_a_full_server_is_left_alone_by_an_incident(restart, pid_path: str, tmp_path: Path) -> None:
    port = free_port()
    chroot, *rest = llama.command(port)
    service = {
        "url": f"http://127.0.0.1:{port}",
        "pid_file": pid_path,
        "start_command": [shutil.which(chroot), *rest],
        "log_file": str(tmp_path / "llama.log"),
    }
    pid = acting.start(open_service(service, 5.0), 10).main_pid
    until("it to serve", lambda: healthy(port))
    stop = threading.Event()
    clients = [threading.Thread(target=keep_asking, args=(port, stop)) for _ in range(8)]
    for client in clients:
        client.start()
    try:
        done = restart(service, autoglm_incident={"id": 1, "attempt": 1})
    finally:
        stop.set()
        os.kill(pid, signal.SIGKILL)
        for client in clients:
            client.join()

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Busy, not restarted" in done.stdout
    assert not (tmp_path / "evidence").exists()
    assert int(Path(pid_path).read_text()) == pid


def keep_asking(port: int, stop: threading.Event) -> None:
    """One long request after the other, each of which holds a slot for seconds."""
    body = {"prompt": "the people", "max_tokens": 4000, "ignore_eos": True}
    while not stop.is_set():
        with contextlib.suppress(httpx.HTTPError):
            httpx.post(f"http://127.0.0.1:{port}/v1/completions", json=body, timeout=60, trust_env=False)


def test_a_deadlock_behind_an_api_that_answers_is_healed(restart, pid_path: str, tmp_path: Path) -> None:
    """The server is a fake, whose core is dead until it is started anew."""
    port, sick = free_port(), tmp_path / "sick"
    sick.touch()
    service = {
        "engine": "vllm",
        "url": f"http://127.0.0.1:{port}",
        "pid_file": pid_path,
        "start_command": [sys.executable, "-m", "tests.support.fake_vllm", str(port), str(sick)],
        "working_dir": str(CHECKOUT),
        "stall_seconds": 3,
    }
    pid = acting.start(open_service(service, 5.0), 10).main_pid
    until("it to serve", lambda: healthy(port))

    done = restart(service, autoglm_incident={"id": 1, "attempt": 1})

    assert done.returncode == 0, done.stdout + done.stderr
    assert int(Path(pid_path).read_text()) != pid
    assert "8 tokens" in done.stdout


def test_what_dies_for_good_is_not_waited_for(restart, pid_path: str) -> None:
    """It lives long enough to count as started; the next rung of the ladder must not wait for it."""
    service = {
        "url": f"http://127.0.0.1:{free_port()}",
        "pid_file": pid_path,
        "start_command": ["/bin/sleep", "3"],
    }
    done = restart({**service, "ready_timeout": 60})
    assert done.returncode != 0
    assert "has no process" in done.stdout
    assert done.stdout.count("RETRYING") < 20


@pytest.mark.parametrize("seconds", ["0", "3"])
def test_the_last_words_of_a_server_that_does_not_start_are_told(
    restart, pid_path: str, tmp_path: Path, seconds: str
) -> None:
    """Whether it dies at once, and the start fails, or a little later, and the proof does."""
    said = "error: failed to load model '/var/lib/models/gone.gguf'"
    service = {
        "url": f"http://127.0.0.1:{free_port()}",
        "pid_file": pid_path,
        "log_file": str(tmp_path / "server.log"),
        "start_command": ["/bin/sh", "-c", f'sleep {seconds}; echo "{said}" >&2; exit 1'],
    }
    done = restart({**service, "ready_timeout": 60})
    assert done.returncode != 0
    failed = [line for line in done.stdout.splitlines() if "last_words" in line and "FAILED" in line]
    assert any(said in line for line in failed), done.stdout


@pytest.mark.parametrize(
    "service",
    [
        {},
        {"unit": "a.service", "container": "b"},
        {"pid_file": "/run/a.pid", "start_command": "/usr/bin/llama-server --port 1"},
    ],
)
def test_what_the_inventory_does_not_say_is_refused(restart, tmp_path: Path, service: dict[str, object]) -> None:
    done = restart({"url": "http://127.0.0.1:9", **service})
    assert done.returncode != 0
    assert "exactly one of unit" in " ".join(done.stdout.split())
    assert not (tmp_path / "evidence").exists()
