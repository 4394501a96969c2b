# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles of the collection, played by ansible-playbook on this machine into a folder of the test, and real servers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.exporter.running import Running, alertmanager_in
from tests.lab.laboratory import environment
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import until
from tests.support.tooling.prometheus_tools import tool

PROGRAMS = Path(sys.executable).parent
RECAP = re.compile(r"^localhost\s*: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Played:
    """How a play of one role ended, and what Ansible wrote."""

    said: str
    failed: bool
    changed: int

    def refused(self, *words: str) -> None:
        """Require that it has failed, for a reason that has these words."""
        assert self.failed, self.said
        said = " ".join(self.said.split())
        assert all(word in said for word in words), self.said

    def went_well(self, changed: bool) -> None:
        """Require that it has not failed, and has changed something or not."""
        assert not self.failed, self.said
        assert (self.changed > 0) is changed, self.said


def play(directory: Path, role: str, variables: dict[str, Any], *options: str) -> Played:
    """Play a role, and return how it ended."""
    playbook = directory / "play.yml"
    plays = [{"hosts": "localhost", "gather_facts": False, "roles": [f"autoglm.recovery.{role}"]}]
    playbook.write_text(json.dumps(plays))
    known = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    done = subprocess.run(
        [
            *(str(PROGRAMS / "ansible-playbook"), str(playbook), "-i", "localhost,"),
            *("-e", json.dumps(known | variables), *options),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=directory,
        env={**environment(), "ANSIBLE_PIPELINING": "true", "ANSIBLE_LOCALHOST_WARNING": "false"},
    )
    said = done.stdout + done.stderr
    recap = RECAP.search(said)
    assert recap, said
    return Played(said, done.returncode != 0, int(recap[2]))


class Server(Running):
    """Prometheus or Alertmanager, with a configuration that the test writes."""

    def __init__(self, name: str, program: str, directory: Path, configuration: str, *options: str) -> None:
        port = free_port()
        self.configuration = directory / f"{name}.yml"
        self.configuration.write_text(configuration)
        command = [
            *(program, f"--config.file={self.configuration}", f"--web.listen-address=127.0.0.1:{port}"),
            *options,
        ]
        super().__init__(command, directory, port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Server:
        self.start()
        until(self.command[0], lambda: (answer := self.get("/-/ready")) is not None and answer.is_success)
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


def prometheus(directory: Path, configuration: str) -> Server:
    """A real Prometheus, which may be told by HTTP to read its configuration again."""
    return Server(
        "prometheus",
        tool("prometheus"),
        directory,
        configuration,
        f"--storage.tsdb.path={directory / 'data'}",
        "--web.enable-lifecycle",
    )


def alertmanager(directory: Path, configuration: str) -> Server:
    """A real Alertmanager, alone."""
    return Server(
        "alertmanager",
        alertmanager_in(directory),
        directory,
        configuration,
        f"--storage.path={directory / 'data'}",
        "--cluster.listen-address=",
    )
