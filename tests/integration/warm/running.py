# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A collection of playbooks that tell what they see, a warm process, and runs started in both ways."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import yaml

from autoglm_recovery.receiver import heartbeat, launch
from autoglm_recovery.receiver.launch import Order
from autoglm_recovery.receiver.warm.playbook import COLD
from autoglm_recovery.receiver.warm.warmer import Spawned, Warmer

T = TypeVar("T")
DEADLINE_S = 60.0

PLAYBOOKS: dict[str, str] = {
    # What a run can see of itself and of others.
    "observe": """
- hosts: node-a
  gather_facts: false
  tasks:
    - name: Look around
      ansible.builtin.set_fact:
        seen:
          given: "{{ autoglm_incident }}"
          others: "{{ vars | select('match', 'left_by_') | list }}"
          host_keys_checked: "{{ lookup('config', 'HOST_KEY_CHECKING') }}"
          process: "{{ lookup('pipe', ansible_playbook_python ~ ' ' ~ playbook_dir ~ '/observe.py') | from_json }}"
          random: "{{ 1000000000 | random }}"
          python: "{{ ansible_playbook_python }}"
    - name: Leave something behind
      ansible.builtin.set_fact: {"left_by_{{ autoglm_incident.id }}": true}
    - name: Write it down
      ansible.builtin.copy: {content: "{{ seen | to_json }}", dest: "{{ autoglm_target.out }}", mode: "0600"}
""",
    "fail": """
- hosts: node-a
  gather_facts: false
  tasks: [{name: Fail, ansible.builtin.fail: {msg: as it should}}]
""",
    "broken": "- hosts: node-a\n  tasks: [{name: No such thing, no.such.module: {}}]\n",
    # Ansible calls it a success to have found nobody.
    "nobody": "- hosts: node-z\n  gather_facts: false\n  tasks: [{name: Never, ansible.builtin.ping: {}}]\n",
    "unreachable": """
- hosts: node-a
  gather_facts: false
  tasks: [{name: Ping, ansible.builtin.ping: {}, vars: {ansible_connection: ssh, ansible_host: 127.0.0.1,
           ansible_port: 1}}]
""",
    "hold": """
- hosts: node-a
  gather_facts: false
  tasks:
    - name: Say that it began
      ansible.builtin.file: {path: "{{ autoglm_target.out }}", state: touch, mode: "0600"}
    - name: Hold
      ansible.builtin.command: sleep 1000
""",
    "wait": """
- hosts: node-a
  gather_facts: false
  tasks:
    - name: Say that it began
      ansible.builtin.file: {path: "{{ autoglm_target.out }}", state: touch, mode: "0600"}
    - name: Wait to be let go
      ansible.builtin.wait_for: {path: "{{ autoglm_target.out }}.go", sleep: 1}
    - name: Say that it ended
      ansible.builtin.file: {path: "{{ autoglm_target.out }}.end", state: touch, mode: "0600"}
""",
    "vault": """
- hosts: node-a
  gather_facts: false
  vars_files: [secret.yml]
  tasks:
    - name: Write it down
      ansible.builtin.copy: {content: "{{ secret }}", dest: "{{ autoglm_target.out }}", mode: "0600"}
""",
    "ssh": """
- hosts: node-a
  gather_facts: false
  tasks:
    - name: Over there
      ansible.builtin.command: sh -c "echo $SSH_CONNECTION"
      register: there
    - name: Write it down
      ansible.builtin.copy: {content: "{{ there.stdout }}", dest: "{{ autoglm_target.out }}", mode: "0600"}
      delegate_to: localhost
      vars: {ansible_connection: local, ansible_python_interpreter: "{{ ansible_playbook_python }}"}
""",
}

# Tells, as JSON, what the process is in which the lookup that runs this was evaluated: ansible-playbook's worker.
OBSERVE = """
import json, os, re
pid = os.getppid()
def words(name, pid): return open(f"/proc/{pid}/{name}", errors="surrogateescape").read().split(chr(0))[:-1]
while not any("ansible-playbook" in word for word in words("cmdline", pid)):
    pid = int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
status = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status").read().splitlines())
stat = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
links = {}
for name in os.listdir(f"/proc/{pid}/fd"):
    try: links[name] = os.readlink(f"/proc/{pid}/fd/{name}")
    except OSError: pass
main = stat[1]
temporary = [name for name in os.listdir(os.environ["ANSIBLE_LOCAL_TEMP"]) if name.startswith(f"ansible-local-{main}")]
shown = sorted(word.partition("=")[0] for word in words("environ", pid) if word)
print(json.dumps({
    "command": [word for word in words("cmdline", pid) if word], "temporary": temporary, "shown": shown,
    "environment": dict(os.environ), "folder": os.readlink(f"/proc/{pid}/cwd"), "terminal": stat[4] != "0",
    "descriptors": sorted(re.sub("[:#].*", "", target) for target in links.values()),
    **{name: status[name].strip() for name in ("Umask", "SigBlk", "SigIgn", "SigCgt", "Threads", "Groups", "Uid")},
}))
"""


def until(what: str, ask: Callable[[], T | None]) -> T:
    """Wait for a condition to give something true."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError(f"waited {DEADLINE_S:.0f} s for {what}")


@dataclass
class Run:
    """A run that was started."""

    directory: Path
    process: Spawned

    def result(self) -> dict[str, Any]:
        """Wait for its end."""
        until(f"the end of {self.directory.name}: {self.said()}", lambda: self.process.poll() is not None)
        return launch.result(self.directory)

    def said(self) -> str:
        """Return its output so far."""
        output = self.directory / "artifacts/ansible/stdout"
        return output.read_text() if output.exists() else (self.directory / "supervisor.log").read_text()

    @property
    def out(self) -> Path:
        """Return where its playbook writes."""
        return self.directory.with_suffix(".out")

    def seen(self) -> dict[str, Any]:
        """Return what it has seen."""
        seen: dict[str, Any] = json.loads(self.out.read_text())
        return seen

    @property
    def cold(self) -> str | None:
        """Return why its playbook had a cold start, if it had."""
        noted = self.directory / COLD
        return noted.read_text() if noted.exists() else None

    def descendants(self) -> list[psutil.Process]:
        """Return its processes: the supervisor and all below."""
        top = psutil.Process(self.process.pid)
        return [top, *top.children(recursive=True)]


@dataclass
class Place:
    """A folder with a collection and an inventory."""

    root: Path
    host: Mapping[str, Any] = field(
        default_factory=lambda: {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    )
    number: int = 0

    def build(self) -> None:
        """Write the collection and the inventory."""
        collection = self.root / "collections/ansible_collections/autoglm/recovery"
        (collection / "playbooks").mkdir(parents=True)
        (collection / "meta").mkdir()
        (collection / "galaxy.yml").write_text("namespace: autoglm\nname: recovery\nversion: 9.9.9\n")
        (collection / "meta/runtime.yml").write_text("requires_ansible: '>=2.16'\n")
        for name, text in PLAYBOOKS.items():
            (collection / f"playbooks/{name}.yml").write_text(text)
        (collection / "playbooks/observe.py").write_text(OBSERVE)
        self.inventory.write_text(yaml.safe_dump({"all": {"hosts": {"node-a": dict(self.host)}}}))

    @property
    def playbooks(self) -> Path:
        """Return where the playbooks are."""
        return self.root / "collections/ansible_collections/autoglm/recovery/playbooks"

    @property
    def inventory(self) -> Path:
        """Return the inventory."""
        return self.root / "inventory.yml"

    def start(self, spawn: Callable[[Path], Spawned], playbook: str, timeout_s: float = DEADLINE_S) -> Run:
        """Start a run of a playbook."""
        self.number += 1
        directory = self.root / f"run-{self.number}"
        variables = {
            "autoglm_incident": {"id": self.number, "secret": f"only-of-{self.number}"},
            "autoglm_target": {"host": "node-a", "out": str(directory.with_suffix(".out"))},
        }
        launch.prepare(directory, Order(playbook, "node-a", self.inventory, timeout_s, variables))
        heartbeat.begin(directory, heartbeat.now() + 600.0)
        return Run(directory, spawn(directory))


def ready(warmer: Warmer) -> None:
    """Wait until the warm process answers."""
    warmer.tend()
    until("a warm process", lambda: warmer.socket is not None and warmer.socket.exists())
