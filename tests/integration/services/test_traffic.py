# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A replica that a failed run left out of traffic is brought back by the repair that follows, behind a real HAProxy."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.services import acting
from ansible_collections.autoglm.recovery.plugins.module_utils.services.registry import open_service

from tests.integration.balancers.running import Haproxy, started
from tests.lab.laboratory import environment, launchers_words
from tests.lab.places import CHECKOUT, PROGRAMS
from tests.support.servers import llama
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import until

SECONDS = 180
INCIDENT = {"id": 7, "attempt": 1, "failure_class": "crash", "action": "restart_process"}


def healthy(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=1, trust_env=False).is_success
    except httpx.HTTPError:
        return False


@dataclass
class Pool:
    """Replica p1 is a service of ours with a PID file; p2 keeps the pool alive."""

    directory: Path
    haproxy: Haproxy
    service: dict[str, object]
    port: int

    def play(self, playbook: str, *, broken: bool = False, **variables: object) -> subprocess.CompletedProcess[str]:
        """Run a playbook of ours on this host; a broken service has another start command."""
        described = {**self.service, **({"start_command": ["/bin/sleep", "1"], "ready_timeout": 5} if broken else {})}
        host = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "ansible_become": False,
            "autoglm_services": [described],
            "autoglm_pools": {
                "chat": {"balancer": {**self.haproxy.pool(), "metrics_url": "http://127.0.0.1:1"}, "drain_timeout": 30}
            },
            "autoglm_evidence_dir": str(self.directory / "evidence"),
            "autoglm_taken_out_dir": str(self.directory / "taken-out"),
        }
        inventory = self.directory / "inventory.json"
        inventory.write_text(json.dumps({"all": {"hosts": {"p1": host}}}))
        command = [
            *launchers_words(variables),
            str(PROGRAMS / "ansible-playbook"),
            f"autoglm.recovery.{playbook}",
            "-i",
            str(inventory),
        ]
        return subprocess.run(
            [*command, "-e", json.dumps(variables)],
            capture_output=True, text=True, check=False, cwd=CHECKOUT, env=environment(), timeout=SECONDS,
        )  # fmt: skip

    def repair(self) -> subprocess.CompletedProcess[str]:
        """What the receiver runs."""
        return self.play(
            "restart_process", autoglm_target={"host": "p1", "service": "llama"}, autoglm_incident=INCIDENT
        )

    def drained(self) -> bool:
        return self.haproxy.open().state("p1").admin == "drained"


@pytest.fixture
def pool(tmp_path: Path, pid_path: str) -> Iterator[Pool]:
    port = free_port()
    chroot, *rest = llama.command(port)
    service: dict[str, object] = {
        "name": "llama",
        "engine": "llama_cpp",
        "pool": "chat",
        "url": f"http://127.0.0.1:{port}",
        "pid_file": pid_path,
        "start_command": [shutil.which(chroot), *rest],
        "ready_timeout": 60,
    }
    named = {key: service[key] for key in ("pid_file", "start_command")}
    acting.start(open_service(named, 5.0), 10)
    until("it to serve", lambda: healthy(port))
    with llama.running(tmp_path) as other:
        engines = {"p1": SimpleNamespace(port=port, url=f"http://127.0.0.1:{port}"), "p2": other}
        with started(Haproxy(engines)) as haproxy:
            yield Pool(tmp_path, haproxy, service, port)


def test_what_a_failed_run_left_drained_is_brought_back_by_the_repair(pool: Pool) -> None:
    failed = pool.play("rolling_restart", broken=True, pool="chat")
    assert failed.returncode != 0
    assert "It is left out of traffic" in failed.stdout
    assert pool.drained()

    done = pool.repair()

    assert done.returncode == 0, done.stdout + done.stderr
    assert healthy(pool.port)
    assert not pool.drained()
    # And once is enough: what a person drains after that stays out.
    assert list((pool.directory / "taken-out").iterdir()) == []


def test_one_that_serves_again_by_itself_is_brought_back_without_a_restart(pool: Pool) -> None:
    assert pool.play("rolling_restart", broken=True, pool="chat").returncode != 0
    named = {key: pool.service[key] for key in ("pid_file", "start_command")}
    pid = acting.start(open_service(named, 5.0), 10).main_pid
    until("it to serve", lambda: healthy(pool.port))
    done = pool.repair()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Already healthy" in done.stdout
    assert int(Path(str(pool.service["pid_file"])).read_text()) == pid
    assert not pool.drained()


def test_what_somebody_else_drained_stays_out_and_is_told(pool: Pool) -> None:
    pool.haproxy.open().drain("p1")
    done = pool.repair()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "serves, but gets no requests" in done.stdout
    assert pool.drained()
