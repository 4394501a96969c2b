# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real receivers that start in a tenth of a second, so that they can be killed hundreds of times.

Each is ``serve`` in a process of its own, forked from one that has loaded everything, and with an inventory that was
read already.  Its runs have real supervisors; only the playbook under them is a function that leaves its marks, because
Ansible takes a second to start.  (``tests/integration/receiver`` kills receivers with real playbooks.)
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import httpx

from autoglm_recovery.cli.serve import serve as autoglm_serve
from autoglm_recovery.policy import load_policy
from autoglm_recovery.receiver.fleet.fleet import Fleet, Host
from autoglm_recovery.receiver.fleet.site_config import SiteConfig
from autoglm_recovery.receiver.runs.local import run_directory
from autoglm_recovery.receiver.runs.warm.warmer import Warmer
from autoglm_recovery.receiver.serve import serve as serving
from tests.integration.receiver.running import alert, end_runs, payload
from tests.support.servers.ports import free_port

POLICY = """\
recovery:
  persistent_within: 0s
  flapping: false
  strategies: {oom: {delay: 0s, retries: 100, backoff: 1ms, resolve_within: 1d}}
guardrails:
  max_actions_per_host_per_hour: 1000
  max_concurrent_runs: 6
  max_pool_unavailable: 100%
  max_fleet_unavailable: 100%
  circuit_breaker: {failures: 1000}
"""

# Stands in for the playbook alone. The marks have the host and the token that the run was begun with, and the token is
# shown to the target with the code of the module ``fence``.
SUPERVISOR = r"""
import os, re, sys, time
from pathlib import Path
from autoglm_recovery.knowledge.fencing.mark import Fenced, ShownToken, show
from autoglm_recovery.receiver.runs.local import supervisor
def step(word, host, fence):
    # As the playbooks do it before each step that changes something.
    show(Path(sys.argv[2] + ".fence"), ShownToken(host, None, int(fence), sys.argv[1]))
    out = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(out, f"{word} {host} {fence}\n".encode())
    os.close(out)
def work(directory, request):
    fence = re.search("fence: ([0-9]+)", (directory / "vars.yml").read_text())[1]
    try:
        step("begin", request["limit"], fence)
        time.sleep(float(sys.argv[3]))
        step("end", request["limit"], fence)
    except Fenced:
        return 2
    return 0
sys.exit(supervisor.main(Path(sys.argv[1]), work))
"""

# What is left to do waits for no clock of ours, only for something to go on.
LONGEST_STANDSTILL_S = 300

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__, "uvicorn.protocols.http.h11_impl", "alembic.command"])


class _SiteConfig:
    """The config, read already."""

    def __init__(self, config: SiteConfig) -> None:
        self.now = config

    def read_again(self) -> None:
        """Nothing changes."""


def _receive(options: dict[str, Any], hosts: int, marks: Path, work_s: float) -> None:
    """Be a receiver: ``autoglm serve`` with these options."""
    os.setsid()
    with open(options["state_dir"].with_suffix(".log"), "ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)

    def spawn(directory: Path) -> subprocess.Popen[bytes]:
        with open(directory / "supervisor.log", "ab") as log:
            words = [sys.executable, "-c", SUPERVISOR, str(directory), str(marks), str(work_s)]
            return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    run_directory.spawn = spawn
    # A warm process would start the real supervisor.
    Warmer.tend = lambda _self: None
    fleet = Fleet({f"h{n}": Host(f"h{n}") for n in range(hosts)})
    config = SiteConfig(load_policy(options["policy"]), fleet, frozenset({"restart_process"}), options["inventory"])
    serving.serve = functools.partial(serving.serve, config=_SiteConfig(config))
    autoglm_serve(**options)


@dataclass
class Receiver:
    """One replica, in many lives."""

    directory: Path
    name: str
    database: str | None
    lease: str | None
    hosts: int
    work_s: float = 0.05
    policy: str = POLICY
    process: BaseProcess | None = None
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=10, trust_env=False))

    def __post_init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (self.directory / "policy.yaml").write_text(self.policy)

    @property
    def state_dir(self) -> Path:
        """Return where it keeps its files."""
        return self.directory / self.name

    def start(self) -> None:
        """Begin a life."""
        options = {
            "policy": self.directory / "policy.yaml",
            "inventory": self.directory / "inventory.yml",
            "listen": self.url.removeprefix("http://"),
            "state_dir": self.state_dir,
            "database": self.database,
            "lease": self.lease,
            # All of a storm comes from one address here.
            "rate_limit": 1e6,
            "log_format": "json",
        }
        marks = self.directory / "marks"
        self.process = _context.Process(target=_receive, args=(options, self.hosts, marks, self.work_s))
        self.process.start()

    def kill(self) -> None:
        """End its life as a crash does."""
        assert self.process is not None
        self.process.kill()
        self.process.join()

    def send(self, how: signal.Signals) -> None:
        """Freeze it or let it go on."""
        assert self.process is not None
        assert self.process.pid is not None
        os.kill(self.process.pid, how)

    def answers(self) -> bool:
        """Tell whether it listens."""
        assert self.process is not None
        assert self.process.is_alive(), self.state_dir.with_suffix(".log").read_text()[-3000:]
        try:
            return self.client.get(f"{self.url}/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def ready(self) -> bool:
        """Tell whether it says so."""
        return self.answers() and self.client.get(f"{self.url}/readyz").status_code == 200

    def end(self) -> None:
        """End it for good, and what it left."""
        if self.process is not None and self.process.is_alive():
            self.send(signal.SIGCONT)
            self.kill()
        self.client.close()
        end_runs(self)

    def get(self, path: str) -> dict[str, Any]:
        """Ask the API."""
        return self.client.get(self.url + path).raise_for_status().json()


def marks_of(receiver: Receiver) -> list[list[str]]:
    """Return what the executions left: word, host, token."""
    return [line.split() for line in (receiver.directory / "marks").read_text().splitlines()]


def wait_for_incidents(receiver: Receiver, state: str, count: int) -> None:
    """Wait until so many incidents are in a state, as long as there is progress."""
    had, since = -1, time.monotonic()
    while had < count:
        text = receiver.client.get(f"{receiver.url}/metrics").text
        (has,) = re.findall(rf'^autoglm_incidents\{{state="{state}"\}} (\d+)', text, re.MULTILINE)
        if int(has) > had:
            had, since = int(has), time.monotonic()
        assert time.monotonic() - since < LONGEST_STANDSTILL_S, f"only {had} of {count} are {state}"
        time.sleep(0.05)


class Sender:
    """Alertmanager's part: sends each alert again until it is told 200, and now and then once more."""

    def __init__(self, receivers: list[Receiver]) -> None:
        self._receivers = receivers
        self._waiting: list[int] = []
        self.accepted: list[int] = []
        self._changed = threading.Lock()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(2)]
        for thread in self._threads:
            thread.start()

    def offer(self, numbers: range) -> None:
        """Have alerts of these hosts sent."""
        with self._changed:
            self._waiting.extend(numbers)

    def stop(self) -> None:
        """Send no more once everything was accepted."""
        while self._waiting and all(thread.is_alive() for thread in self._threads):
            time.sleep(0.05)
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _run(self, which: int) -> None:
        client = httpx.Client(timeout=2, trust_env=False)
        turn = which
        while not self._stopping.is_set():
            with self._changed:
                number = self._waiting.pop(0) if self._waiting else None
            if number is None:
                self._stopping.wait(0.005)
                continue
            turn += 1
            receiver = self._receivers[turn % len(self._receivers)]
            body = payload(alert(f"h{number}", start="2026-11-22T20:00:00Z"))
            try:
                stored = client.post(f"{receiver.url}/api/v1/alerts", json=body).status_code == 200
            except httpx.TransportError:
                stored = False
                self._stopping.wait(0.01)
            with self._changed:
                if stored:
                    self.accepted.append(number)
                # Known news comes again now and then, as from the other Alertmanager of a pair.
                if not stored or (turn % 7 == 0 and self.accepted.count(number) < 3):
                    self._waiting.append(number)
