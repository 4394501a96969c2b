# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of the lab: containers that boot systemd, on a network of their own."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError
from .places import LABEL, NAME
from .podman import podman, succeeds, unpack
from .waiting import wait_for

BOOT_SECONDS = 180
# Inside a container systemd raises limits that the host may not let it raise; give it what it asks for.
LIMITS = ("--pids-limit=0", "--ulimit=nofile=1024:4096", "--ulimit=nproc=4096:4096")


@dataclass(frozen=True)
class Host:
    """One host: its name for people and its address on the lab's network."""

    name: str
    address: str

    @property
    def container(self) -> str:
        """Name of its container; other people's containers may be called ``ops`` too."""
        return f"{NAME}-{self.name}"

    def run(self, *command: str) -> str:
        """Run a command on the host, past SSH: for the lab's own eyes and hands."""
        return podman("exec", self.container, *command)

    def write(self, path: str, text: str) -> None:
        """Give a file that is there another content, and leave its owner and mode as they are."""
        podman("exec", "--interactive", self.container, "sh", "-c", 'cat > "$1"', "sh", path, stdin=text.encode())

    def unit(self, unit: str, *properties: str) -> dict[str, str]:
        """Read properties of a systemd unit."""
        shown = self.run("systemctl", "show", unit, *(f"--property={name}" for name in properties))
        return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)


def make_network() -> ipaddress.IPv4Network:
    """Make the network and let podman choose a subnet that is free on this machine."""
    if not succeeds("network", "exists", NAME):
        # Names are in the hosts' /etc/hosts: no DNS server that could be in somebody's way.
        podman("network", "create", "--disable-dns", "--label", f"{LABEL}=1", NAME)
    (network,) = json.loads(podman("network", "inspect", NAME))
    return ipaddress.IPv4Network(network["subnets"][0]["subnet"])


def boot(
    hosts: list[Host],
    images: Mapping[str, str],
    trees: Mapping[str, list[Path]],
    names: Mapping[str, str] | None = None,
) -> None:
    """Boot all hosts at once, each with its trees of files on top of its image; they know each other and ``names``."""
    known = {host.name: host.address for host in hosts} | dict(names or {})
    options = [f"--add-host={name}:{address}" for name, address in known.items()]
    with ThreadPoolExecutor(len(hosts)) as pool:
        for future in [pool.submit(_boot_one, host, images[host.name], trees[host.name], options) for host in hosts]:
            future.result()


def _boot_one(host: Host, image: str, trees: list[Path], options: list[str]) -> None:
    podman(
        *("create", "--name", host.container, "--hostname", host.name, "--label", f"{LABEL}=1"),
        *("--network", NAME, "--ip", host.address, *options),
        *("--privileged", "--systemd=always", "--stop-signal=SIGRTMIN+3", *LIMITS, image, "/sbin/init"),
    )
    for tree in trees:
        unpack(host.container, tree)
    podman("start", host.container)
    state = wait_for(f"{host.name} to boot", lambda: _settled(host), BOOT_SECONDS)
    if state != "running":
        failed = host.run("systemctl", "--failed", "--plain", "--no-legend")
        raise LabError(f"{host.name} booted {state}; failed units: {failed.strip()}")


def add_login(host: Host, name: str, key: str) -> None:
    """Add a login that is not root, with the public key in this file of the host."""
    host.run("useradd", "--create-home", "--shell", "/bin/sh", "--password", "*", name)
    host.run("install", "-d", "-m", "0700", "-o", name, "-g", name, f"/home/{name}/.ssh")
    host.run("install", "-m", "0600", "-o", name, "-g", name, key, f"/home/{name}/.ssh/authorized_keys")


def _settled(host: Host) -> str | None:
    """State that systemd has reached, None while it still starts (and in the first moment has no bus)."""
    done = podman("exec", host.container, "sh", "-c", "systemctl is-system-running --wait 2>&1 || true").strip()
    return done if done in {"running", "degraded"} else None


def remove_all() -> int:
    """Remove every container and network of the lab, whoever started it. Return how many containers there were."""
    containers = podman("ps", "--all", "--quiet", "--filter", f"label={LABEL}").split()
    if containers:
        podman("rm", "--force", "--time", "0", *containers)
    for network in podman("network", "ls", "--quiet", "--filter", f"label={LABEL}").split():
        podman("network", "rm", "--force", network)
    return len(containers)
