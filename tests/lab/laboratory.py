# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab as a whole: put it up, know its addresses, take it down."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from autoglm_recovery.receiver.runs import ansible_settings

from . import (
    hosts,
    image,
    installed,
    inventory,
    keys,
    lock,
    memory_limit,
    model,
    namespace,
    prerequisites,
    processes,
    trees,
)
from .errors import LabError
from .hosts import Host
from .keys import Keys
from .places import CACHE, LOGIN, PROGRAMS, STATE
from .progress import say, step

TOKEN_ON_OPS = "/etc/prometheus/autoglm/secrets/receiver-token"  # Alertmanager reads it each time
POLICY = Path(__file__).parent / "auto-recovery.yaml"


@dataclass(frozen=True)
class Lab:
    """A lab that is up."""

    gateway: str  # this machine, as the hosts see it
    nodes: list[Host]
    ops: Host
    keys: Keys
    inventory: Path  # of the receiver, whose login is root nowhere
    by_person: Path  # the same hosts for a person, who is root
    fleet: Path  # what Prometheus tells of them

    @property
    def node_a(self) -> Host:
        """The node that faults are injected on."""
        return self.nodes[0]

    @property
    def node_b(self) -> Host:
        """The node that must stay untouched."""
        return self.nodes[1]

    @property
    def balancer(self) -> str:
        """Where users send their requests."""
        return f"http://{self.ops.address}:8000"

    @property
    def balancers(self) -> dict[str, str]:
        """All three of them, each in front of the same nodes."""
        return {
            name: f"http://{self.ops.address}:{port}"
            for name, port in (("haproxy", 8000), ("nginx", 8001), ("envoy", 8002))
        }

    @property
    def balancer_metrics(self) -> str:
        """HAProxy's own counters."""
        return f"http://{self.ops.address}:8404/metrics"

    @property
    def prometheus(self) -> str:
        """Prometheus, and its page for people."""
        return f"http://{self.ops.address}:9090"

    @property
    def alertmanager(self) -> str:
        """Alertmanager, and its page for people."""
        return f"http://{self.ops.address}:9093"

    @property
    def token(self) -> str:
        """What opens the receiver's door."""
        return self.keys.token.read_text(encoding="utf-8")


def up() -> Lab:
    """Boot the lab on this machine; of an earlier one nothing stays."""
    prerequisites.ensure()
    _hold_the_lock()
    processes.mark()
    if STATE.exists():
        say("  An earlier lab is still here (KEEP=1, or it was killed): removing it first.")
        down()
    STATE.mkdir(parents=True, mode=0o711)  # the receiver is a user of its own
    namespace.ensure()
    return _boot(image.ensure())


def _hold_the_lock() -> None:
    # For the life of the process, so that it cannot be let go of before the lab is down.
    global _lock  # noqa: PLW0603
    _lock = _lock or lock.take()


_lock: IO[str] | None = None


def is_ours() -> bool:
    """Say whether this process holds the machine's lab, and so may take it down."""
    return _lock is not None


def _boot(name: str) -> Lab:
    network = hosts.make_network()
    gateway, *addresses = (str(network[number]) for number in (1, 11, 12, 13))
    nodes = [Host("node-a", addresses[0]), Host("node-b", addresses[1])]
    ops = Host("ops", addresses[2])
    made = keys.make([*nodes, ops])
    inventories = [inventory.write(nodes, ops, made, login) for login in (LOGIN, "root")]
    _autoglm("root", "--inventory", str(inventories[0]), "--out", str(trees.PREPARED), "--user", LOGIN)
    tiny = model.ensure(CACHE)
    names = {host.name: host.address for host in (*nodes, ops)} | {"receiver": gateway}
    run = {host.name: [trees.of_a_run(host, made)] for host in (*nodes, ops)}
    run[ops.name].append(trees.upstreams(ops, nodes))
    before = {node.name: [trees.before_a_node(node, tiny), *run[node.name]] for node in nodes}
    before[ops.name] = [trees.before_ops(ops), *run[ops.name]]
    images = installed.ensure(
        installed.Site([nodes, [ops]], name, before, names, inventories[1], POLICY, environment())
    )
    with step("Booting node-a, node-b and ops"):
        hosts.boot([*nodes, ops], images, run, names)
        for host in (*nodes, ops):
            hosts.add_login(host, LOGIN, trees.LOGIN_KEY)
        ops.write(TOKEN_ON_OPS, made.token.read_text(encoding="utf-8"))
    fleet = inventory.write_fleet(f"http://{ops.address}:9090")
    return Lab(gateway, nodes, ops, made, inventories[0], inventories[1], fleet)


def _autoglm(*words: str) -> None:
    command = [str(PROGRAMS / "autoglm"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    if done.returncode:
        raise LabError(f"`autoglm {words[0]}` failed: {(done.stderr or done.stdout).strip()}")


def down() -> bool:
    """Remove all that ever belonged to a lab on this machine. Return whether there was anything."""
    _hold_the_lock()
    processes.mark()
    existed = STATE.exists()
    if existed and shutil.which("podman"):
        namespace.ensure()
        hosts.remove_all()
    ended = processes.end_all()
    image.discard_unfinished()
    memory_limit.remove_groups()
    namespace.remove()
    shutil.rmtree(STATE, ignore_errors=True)
    return existed or ended > 0


def launchers_words(variables: Mapping[str, object]) -> list[str]:
    """Words before ansible-playbook that give it what every launcher does, if these are a receiver's variables."""
    settings = ansible_settings.ENVIRONMENT if "autoglm_incident" in variables else {}
    return ["env", *(f"{name}={value}" for name, value in settings.items())]


def environment() -> dict[str, str]:
    """Environment for the programs of this checkout: plain output, and the tools of our own interpreter first."""
    path = f"{PROGRAMS}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, "PATH": path, "NO_COLOR": "1", "ANSIBLE_NOCOLOR": "1"}
