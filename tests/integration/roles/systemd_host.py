# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with a real systemd, on which roles are played over SSH: a container of the lab's image."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.roles.running import PROGRAMS, Played
from tests.lab import image, prerequisites
from tests.lab.hosts import LIMITS
from tests.lab.laboratory import environment
from tests.lab.namespace import ENTER_UNIFIED, Namespace
from tests.support.servers.waiting import until

RECAP = re.compile(r"^\S+\s*: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)
BOOTED = ("running", "degraded")


@dataclass(frozen=True)
class Podman:
    """podman in a mount namespace of the test: the lab's own is somebody else's while a lab is up."""

    namespace: Namespace

    def __call__(self, *arguments: str, stdin: bytes | None = None) -> str:
        done = subprocess.run(
            [*self.namespace.prefix(), "podman", *arguments],
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            check=False,
            cwd="/",
        )
        assert done.returncode == 0, f"podman {arguments}: {done.stderr.decode()}{done.stdout.decode()}"
        return done.stdout.decode()


@dataclass(frozen=True)
class SystemdHost:
    """One host, called node-a in its inventory."""

    container: str
    address: str
    directory: Path  # of the test: the key, inventories and playbooks
    podman: Podman

    def said(self, script: str) -> str:
        """Run a shell script on it as root, past SSH, and return what it wrote."""
        return self.podman("exec", self.container, "sh", "-c", script)

    def show(self, unit: str, name: str) -> str:
        """Return one property of a unit."""
        return self.said(f"systemctl show --value -p {name} {unit}").strip()

    def inventory(self, **variables: Any) -> Path:
        """Write an inventory of this host with these variables of it, and return its path."""
        reached = {
            "ansible_host": self.address,
            "ansible_user": "root",
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_private_key_file": str(self.directory / "key"),
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
        }
        path = self.directory / "inventory.json"
        path.write_text(json.dumps({"all": {"hosts": {"node-a": reached | variables}}}))
        return path

    def play(self, inventory: Path, playbook: str, *options: str) -> Played:
        """Run a playbook, and return how it ended."""
        done = subprocess.run(
            [str(PROGRAMS / "ansible-playbook"), playbook, "-i", str(inventory), *options],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.directory,
            env={**environment(), "ANSIBLE_PIPELINING": "true", "ANSIBLE_INJECT_FACT_VARS": "false"},
        )
        said = done.stdout + done.stderr
        recaps = RECAP.findall(said)
        assert recaps, said
        return Played(said, done.returncode != 0, sum(int(recap[1]) for recap in recaps))

    def role(self, role: str, variables: dict[str, Any], *options: str, inventory: dict[str, Any]) -> Played:
        """Play one role with variables of its own."""
        return self.roles({role: variables}, *options, inventory=inventory)

    def roles(self, roles: dict[str, dict[str, Any]], *options: str, inventory: dict[str, Any]) -> Played:
        """Play roles in this order, each with variables of its own."""
        playbook = self.directory / "roles.yml"
        played = [{"role": f"autoglm.recovery.{role}", **variables} for role, variables in roles.items()]
        # JSON is YAML; a list that is written so needs no quotes of YAML's own.
        playbook.write_text(json.dumps([{"hosts": "node-a", "gather_facts": False, "roles": played}]))
        return self.play(self.inventory(**inventory), str(playbook), *options)


@contextlib.contextmanager
def systemd_host(directory: Path, files: dict[str, Path] | None = None) -> Iterator[SystemdHost]:
    """Boot a host that has these files, by their paths on it, until the end of the block."""
    prerequisites.ensure()
    podman = Podman(Namespace(directory / "namespace", ENTER_UNIFIED))
    podman.namespace.ensure()
    name = f"autoglm-role-{uuid.uuid4().hex[:8]}"
    try:
        podman(
            *("create", "--name", name, "--hostname", "node-a", "--privileged", "--systemd=always", *LIMITS),
            *(image.ensure(), "/sbin/init"),
        )
        tree = ["tar", "--owner=0", "--group=0", "-C", str(_tree(directory, files or {})), "-c", "."]
        podman("cp", "-", f"{name}:/", stdin=subprocess.run(tree, capture_output=True, check=True).stdout)
        podman("start", name)
        until("systemd", lambda: _state(podman, name) in BOOTED)
        address = podman("inspect", "--format", "{{.NetworkSettings.IPAddress}}", name).strip()
        yield SystemdHost(name, address, directory, podman)
    finally:
        podman("rm", "--force", "--ignore", "--time", "0", name)
        podman.namespace.remove()


def _state(podman: Podman, container: str) -> str:
    return podman("exec", container, "sh", "-c", "systemctl is-system-running --wait 2>/dev/null || true").strip()


def _tree(directory: Path, files: dict[str, Path]) -> Path:
    key = directory / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    tree = directory / "tree"
    (tree / "root/.ssh").mkdir(parents=True)
    (tree / "root").chmod(0o700)
    (tree / "root/.ssh").chmod(0o700)
    (tree / "root/.ssh/authorized_keys").write_text(key.with_name("key.pub").read_text())
    (tree / "root/.ssh/authorized_keys").chmod(0o600)
    for path, source in files.items():
        target = tree / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
        target.chmod(0o644)
    return tree
