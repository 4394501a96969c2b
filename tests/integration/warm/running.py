# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A collection of playbooks that tell what they see, a warm process, and runs started in both ways."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import yaml

from autoglm_recovery.policy.launchers import ExecutionEnvironment
from autoglm_recovery.receiver.runs import heartbeat
from autoglm_recovery.receiver.runs.local import container, run_directory
from autoglm_recovery.receiver.runs.protocol import RunSpec
from autoglm_recovery.receiver.runs.warm.playbook import COLD
from autoglm_recovery.receiver.runs.warm.warmer import Spawned, Warmer
from tests.integration.warm.playbooks import OBSERVE, PLAYBOOKS
from tests.support.servers.waiting import until

T = TypeVar("T")
DEADLINE_S = 180.0


def seen(out: Path) -> dict[str, Any]:
    """Return what a playbook wrote of what it saw, in one file or two."""
    told: dict[str, Any] = json.loads(out.read_text())
    checked = out.with_name(f"{out.name}.checked")
    return {**told, **json.loads(checked.read_text())} if checked.exists() else told


@dataclass
class Run:
    """A run that was started."""

    directory: Path
    process: Spawned
    out: Path  # where its playbook writes

    def result(self) -> dict[str, Any]:
        """Wait for its end."""
        until(f"the end of {self.directory.name}: {self.said()}", lambda: self.process.poll() is not None)
        return run_directory.result(self.directory)

    def said(self) -> str:
        """Return its output so far."""
        (output, *_) = [*self.directory.glob("artifacts/*/stdout"), self.directory / "supervisor.log"]
        return output.read_text()

    def seen(self) -> dict[str, Any]:
        """Return what it has seen."""
        return seen(self.out)

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
    inventory_name: str = "inventory.yml"
    # Where its playbooks run, if not on this machine.
    environment: ExecutionEnvironment | None = None

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
        return self.root / self.inventory_name

    def start(
        self, spawn: Callable[[Path], Spawned], playbook: str, timeout_s: float = DEADLINE_S, **target: object
    ) -> Run:
        """Start a run of a playbook."""
        self.number += 1
        directory = self.root / f"run-{self.number}"
        contained = self.environment is not None
        out = directory / "out" if contained else directory.with_suffix(".out")
        variables = {
            "autoglm_incident": {"id": self.number, "secret": f"only-of-{self.number}"},
            "autoglm_target": {"host": "node-a", "out": f"{container.INSIDE}/out" if contained else str(out), **target},
        }
        run_directory.prepare(
            directory, RunSpec(playbook, "node-a", self.inventory, timeout_s, variables), self.environment
        )
        heartbeat.begin(directory, heartbeat.now() + 600.0)
        return Run(directory, spawn(directory), out)


def ready(warmer: Warmer) -> None:
    """Wait until the warm process answers."""
    warmer.tend()
    until("a warm process", lambda: warmer.socket is not None and warmer.socket.exists())
