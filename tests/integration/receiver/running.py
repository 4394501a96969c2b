# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real receiver in a process of its own, with a collection whose playbook leaves marks and waits where told."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
import yaml

from tests.support.servers.leftovers import end_processes_of
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import until

T = TypeVar("T")

CHECKOUT = Path(__file__).parents[3]
DEADLINE_S = 180

# Leaves a line for each execution, then waits while the file "hold" is there.
PLAYBOOK = """\
---
- name: Leave marks
  hosts: "{{ autoglm_target.host }}"
  gather_facts: false
  tasks:
    - name: Mark the beginning
      ansible.builtin.shell: "echo begin $RUN_HOST $RUN_FENCE >> marks"
      args:
        chdir: "{{ scratch }}"
      environment:
        RUN_HOST: "{{ inventory_hostname }}"
        RUN_FENCE: "{{ autoglm_incident.fence }}"
    - name: Wait while told to hold
      ansible.builtin.wait_for:
        path: "{{ scratch }}/hold"
        state: absent
        sleep: 1
        timeout: 7200
    - name: Write down what was given
      ansible.builtin.copy:
        content: "{{ {'incident': autoglm_incident, 'target': autoglm_target} | to_json }}"
        dest: "{{ scratch }}/given.json"
        mode: "0600"
    - name: Fail where told to
      ansible.builtin.command: test ! -e fail
      args:
        chdir: "{{ scratch }}"
    - name: Mark the end
      ansible.builtin.shell: "echo end $RUN_HOST $RUN_FENCE >> marks"
      args:
        chdir: "{{ scratch }}"
      environment:
        RUN_HOST: "{{ inventory_hostname }}"
        RUN_FENCE: "{{ autoglm_incident.fence }}"
"""


# A service is sick where the file of that name is, and mute where that one is; what reads it has the name and the
# answers of the real module.
READER = """\
import os
from ansible.module_utils.basic import AnsibleModule

module = AnsibleModule({"scratch": {"type": "path"}}, supports_check_mode=True)
sick, mute = (os.path.exists(os.path.join(module.params["scratch"], name)) for name in ("sick", "mute"))
verdict = "unknown" if mute else "unhealthy" if sick else "healthy"
reasons = ["it does not answer"] if mute else ["it is sick"] if sick else []
module.exit_json(verdict=verdict, reasons=reasons, failure_class=None)
"""
CHECK = """\
---
- name: Ask the service
  hosts: "{{ autoglm_target.host }}"
  gather_facts: false
  tasks:
    - name: Read it
      autoglm.recovery.inference_health:
        scratch: "{{ scratch }}"
      register: reading
    - name: Fail where it is sick
      ansible.builtin.assert:
        that: reading.verdict == 'healthy'
"""


def alert(host: str | None = "node-a", *, status: str = "firing", start: str = "2026-11-22T20:00:00Z", **labels: Any):
    """Return an alert as the wire carries it."""
    named = {
        "alertname": "Oom",
        "failure_class": "oom",
        "nature": "state",
        **({} if host is None else {"host": host}),
        **labels,
    }
    return {"status": status, "labels": named, "annotations": {}, "startsAt": start, "endsAt": "0001-01-01T00:00:00Z"}


def payload(*alerts: Any, **changes: Any) -> dict[str, Any]:
    """Return a webhook."""
    return {"version": "4", "groupKey": "{}:{}", "receiver": "r", "status": "firing", "alerts": alerts, **changes}


@dataclass
class Receiver:
    """A receiver, its files, and a client that speaks to it."""

    directory: Path
    # A ladder of one rung: what fails is a person's.  Without ``then`` a restart would be repeated.
    policy: str = "recovery: {strategies: {oom: {delay: 0s, then: []}}}"
    tokens: tuple[str, ...] = ()
    playbook: str = PLAYBOOK
    hosts: tuple[str, ...] = ("node-a", "node-b")
    # Where it is one of several: the database, a lease that fits a test, and where all their playbooks work.
    database: str | None = None
    lease: str | None = None
    common: Path | None = None
    host_vars: dict[str, Any] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    # Words before its command.
    enter: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30, trust_env=False))

    def __post_init__(self) -> None:
        collection = self.playbooks.parent
        self.playbooks.mkdir(parents=True)
        shutil.copy(CHECKOUT / "galaxy.yml", collection)
        (collection / "playbooks" / "restart_process.yml").write_text(self.playbook)
        (collection / "playbooks" / "check_service.yml").write_text(CHECK)
        (collection / "plugins" / "modules").mkdir(parents=True, exist_ok=True)
        (collection / "plugins" / "modules" / "inference_health.py").write_text(READER)
        hosts = {
            name: {
                "ansible_connection": "local",
                "ansible_python_interpreter": sys.executable,
                "scratch": str(self.scratch),
                "autoglm_services": [{"name": "llama", "pool": "chat"}],
                **self.host_vars,
            }
            for name in self.hosts
        }
        hosts[self.hosts[-1]]["ansible_host"] = "fd00::1"
        self.scratch.mkdir(exist_ok=True)
        (self.directory / "inventory.yml").write_text(yaml.safe_dump({"inference": {"hosts": hosts}}))
        self.port = free_port()
        (self.directory / "tokens").write_text("\n".join(self.tokens))
        (self.directory / "tokens").chmod(0o600)

    @property
    def playbooks(self) -> Path:
        """Return where its collection has its playbooks."""
        return self.directory / "collections/ansible_collections/autoglm/recovery/playbooks"

    @property
    def scratch(self) -> Path:
        """Return where the playbook works."""
        return self.common or self.directory / "scratch"

    @property
    def url(self) -> str:
        """Return the receiver's address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def marks(self) -> list[str]:
        """Return what executions left: word, host, and the token's place among the tokens, 1 for the lowest."""
        path = self.scratch / "marks"
        lines = [line.rsplit(" ", 1) for line in (path.read_text().splitlines() if path.exists() else [])]
        tokens = sorted({int(token) for _, token in lines})
        return [f"{what} {tokens.index(int(token)) + 1}" for what, token in lines]

    def run_directory(self, number: int) -> Path:
        """Return where the one run with this number keeps its files, once it is there."""
        (directory,) = until("the run's directory", lambda: list(self.directory.glob(f"state/runs/{number}-*")))
        return directory

    def environment(self) -> dict[str, str]:
        """Return the environment in which the test's collection is the one that Ansible finds."""
        # As a file would be, out of sight of those who list processes: it holds a password.
        database = {"AUTOGLM_DATABASE": self.database} if self.database else {}
        own = {"ANSIBLE_COLLECTIONS_PATH": str(self.directory / "collections")}
        return {**os.environ, **database, **own, **self.variables}

    def command(self) -> list[str]:
        """Return the command that serves."""
        (self.directory / "policy.yaml").write_text(self.policy)
        autoglm = str(Path(sys.executable).with_name("autoglm"))
        command = [*self.enter, autoglm, "serve", "--inventory", "inventory.yml", "--policy", "policy.yaml"]
        command += ["--state-dir", "state", "--listen", f"127.0.0.1:{self.port}", "--log-format", "json"]
        command += self.arguments
        command += ["--lease", self.lease] if self.lease else []
        return [*command, "--token-file", "tokens"] if self.tokens else command

    def start(self) -> None:
        """Start and wait until it is ready."""
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=self.directory, env=self.environment(), stdout=log, stderr=log
            )
        until("the receiver to be ready", self.ready)

    def ready(self) -> bool:
        """Tell whether it says that it is ready."""
        assert self.process is not None
        assert self.process.poll() is None, (self.directory / "log").read_text()
        try:
            return self.client.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def kill(self, how: signal.Signals = signal.SIGKILL) -> int:
        """End it and return its exit code."""
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(DEADLINE_S)

    def post(self, body: Any, **headers: str) -> httpx.Response:
        """Send a webhook."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        token = {"Authorization": f"Bearer {self.tokens[0]}"} if self.tokens else {}
        given = {"Content-Type": "application/json", **token, **headers}
        return self.client.post(f"{self.url}/api/v1/alerts", content=content, headers=given)

    def get(self, path: str) -> dict[str, Any]:
        """Ask the API."""
        answer = self.client.get(self.url + path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def incidents(self, state: str | None = None) -> list[dict[str, Any]]:
        """Return the incidents, newest first."""
        return self.get("/api/v1/incidents" + (f"?state={state}" if state else ""))["incidents"]

    def order(self, number: int, order: str) -> httpx.Response:
        """Give an order about an incident."""
        return self.client.post(f"{self.url}/api/v1/incidents/{number}/{order}")

    def runs(self, number: int) -> list[dict[str, Any]]:
        """Return the runs of an incident."""
        return self.get(f"/api/v1/incidents/{number}")["runs"]

    def hold(self) -> None:
        """Have the playbook wait in its middle."""
        (self.scratch / "hold").touch()

    def let_go(self) -> None:
        """Let the playbook go on."""
        (self.scratch / "hold").unlink(missing_ok=True)


@contextmanager
def serving(directory: Path, **settings: Any) -> Iterator[Receiver]:
    """Run a receiver, and leave none of its processes behind."""
    receiver = Receiver(directory, **settings)
    try:
        receiver.start()
        yield receiver
    finally:
        receiver.let_go()
        if receiver.process is not None and receiver.process.poll() is None:
            receiver.kill()
        receiver.client.close()
        end_runs(receiver)


def give_modules(directory: Path, *others: str) -> None:
    """Let the playbook of a receiver that will be made in a directory use the modules, and others, of this checkout."""
    plugins = directory / "collections/ansible_collections/autoglm/recovery/plugins"
    # One by one: the receiver's own reader of services stands among them.
    (plugins / "modules").mkdir(parents=True)
    for module in (CHECKOUT / "plugins" / "modules").glob("*.py"):
        if module.name != "inference_health.py":
            (plugins / "modules" / module.name).symlink_to(module)
    for name in ("module_utils", "doc_fragments", *others):
        (plugins / name).symlink_to(CHECKOUT / "plugins" / name)


def end_runs(receiver: Receiver) -> None:
    """End supervisors and playbooks that a killed receiver left."""
    end_processes_of(receiver.directory)


def now() -> str:
    """Return the time as the wire carries it."""
    return datetime.now(UTC).isoformat()
