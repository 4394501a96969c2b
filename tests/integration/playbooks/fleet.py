# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet on this machine: hosts over the connection local, each with a llama-server that a PID file names."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from ansible_collections.autoglm.recovery.plugins.module_utils.services import acting
from ansible_collections.autoglm.recovery.plugins.module_utils.services.ownership import MARK
from ansible_collections.autoglm.recovery.plugins.module_utils.services.registry import open_service

from tests.lab.laboratory import environment, launchers_words
from tests.lab.places import CHECKOUT, PROGRAMS
from tests.support.servers import llama
from tests.support.servers.leftovers import carrying, end_processes_of
from tests.support.servers.own_run import own_run
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import until

SECONDS = 600

# Runs here what is to be run on a host, and the server with which sftp speaks.
SSH = """#!/bin/sh
for last; do :; done
case "$last" in sftp) exec /usr/lib/openssh/sftp-server;; esac
exec /bin/sh -c "$last"
"""


@dataclass
class Fleet:
    """Hosts, and what their inventory says."""

    directory: Path
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)
    group_vars: dict[str, Any] = field(default_factory=dict)
    # What the receiver launches has fact injection off.
    launched_as_it_should_be: bool = True

    def add(self, name: str, called: str = "llama", **more: Any) -> dict[str, Any]:
        """Add a host with a service that does not run yet; return the service."""
        port = free_port()
        chroot, *words = llama.command(port)
        service = {
            "name": called,
            "pool": "chat",
            "engine": "llama_cpp",
            "url": f"http://127.0.0.1:{port}",
            "pid_file": str(self.directory / f"{name}.pid"),
            "start_command": [shutil.which(chroot), *words],
            "log_file": str(self.directory / f"{name}.log"),
            "ready_timeout": 60,
            **more,
        }
        self.hosts[name] = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "ansible_become": False,
            "autoglm_services": [service],
        }
        return service

    def over_ssh(self, host: str) -> None:
        """Reach a host by Ansible's ssh, which transfers files with the real sftp; a program stands for ssh(1)."""
        program = self.directory / "ssh"
        program.write_text(SSH)
        program.chmod(0o755)
        self.hosts[host].update(
            ansible_connection="ssh",
            ansible_ssh_executable=str(program),
            ansible_ssh_args="",
            ansible_sftp_extra_args=f"-S {program}",
            ansible_ssh_transfer_method="smart",
        )

    def service(self, host: str) -> dict[str, Any]:
        """What the inventory says of a host's service."""
        return dict(self.hosts[host]["autoglm_services"][0])

    def start(self, host: str) -> int:
        """Start the service of a host and wait until it serves; return its process."""
        service = self.service(host)
        pid = acting.start(open_service(service, 5.0), 10).main_pid
        until("it to serve", lambda: healthy(service["url"]))
        assert pid is not None
        return pid

    def pid(self, host: str) -> int | None:
        """The process that the PID file names."""
        with contextlib.suppress(FileNotFoundError):
            return int(Path(self.service(host)["pid_file"]).read_text())
        return None

    def inventory(self) -> Path:
        """Write the inventory and return its path."""
        path = self.directory / "inventory.json"
        ours = {"autoglm_evidence_dir": "evidence", "autoglm_taken_out_dir": "taken-out", "autoglm_shed_dir": "shed"}
        common = {name: str(self.directory / folder) for name, folder in ours.items()} | self.group_vars
        path.write_text(json.dumps({"all": {"vars": common, "hosts": self.hosts}}))
        return path

    def command(self, playbook: str | Path, extra: Mapping[str, Any], *words: str) -> list[str]:
        """What a person or a launcher types, for a playbook of the collection or a file."""
        program = str(PROGRAMS / "ansible-playbook")
        return [
            *own_run(self.directory),
            *(launchers_words(extra) if self.launched_as_it_should_be else []),
            program,
            str(playbook) if isinstance(playbook, Path) else f"autoglm.recovery.{playbook}",
            "-i",
            str(self.inventory()),
            "-e",
            json.dumps(extra),
            *words,
        ]

    def run(
        self, playbook: str | Path, extra: Mapping[str, Any], *words: str, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a playbook to its end; ``variables`` go into its environment."""
        return subprocess.run(
            self.command(playbook, extra, *words),
            capture_output=True, text=True, check=False, cwd=CHECKOUT, env=self.environment(**variables),
            timeout=SECONDS, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def run_file(self, playbook: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run somebody else's playbook."""
        return subprocess.run(
            [*own_run(self.directory), str(PROGRAMS / "ansible-playbook"), str(playbook), "-i", str(self.inventory())],
            capture_output=True, text=True, check=False, cwd=CHECKOUT, env=self.environment(**variables),
            timeout=SECONDS, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def environment(self, **variables: str) -> dict[str, str]:
        """The environment of a playbook: facts are variables, as where nobody has the ansible.cfg of this checkout."""
        defaults = {"ANSIBLE_INJECT_FACT_VARS": "True", "ANSIBLE_LOCALHOST_WARNING": "false"}
        return {**environment(), **defaults, **variables}

    def end(self) -> None:
        """End what is left of runs, and the services, which bear the mark of their PID files."""
        end_processes_of(self.directory)
        known = [host for host, described in self.hosts.items() if described["autoglm_services"]]
        ours = tuple(f"{self.service(host)['pid_file']}:" for host in known)
        for process, mark in carrying(MARK):
            if mark.startswith(ours):
                process.kill()


def healthy(url: str) -> bool:
    """Tell whether a server answers."""
    try:
        return httpx.get(f"{url}/health", timeout=1, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def told(done: subprocess.CompletedProcess[str]) -> str:
    """What a playbook wrote, without its line breaks."""
    return " ".join((done.stdout + done.stderr).split())
