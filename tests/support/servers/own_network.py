# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real network namespace for a service of a test, with a wire to this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.lab import prerequisites

PACKAGES = {
    "nftables": ("nft", "/usr/sbin/nft"),
    "iproute2": ("ip", "/usr/sbin/ip"),
    "util-linux": ("nsenter", "setpriv"),
}
# What a container of Docker or podman has not: with these a service could undo the rules of its namespace.
_WITHOUT = "-net_admin,-sys_admin,-sys_module"


@dataclass(frozen=True)
class OwnNetwork:
    """name: of the namespace.  address: of the service in it, as this machine reaches it."""

    name: str
    address: str

    def command(self, *words: str, without: str = f"{_WITHOUT},-net_raw") -> list[str]:
        """A command that runs in the namespace, without these capabilities."""
        drop = ["/usr/bin/setpriv", f"--bounding-set={without}", "--inh-caps=-all"] if without else []
        return [str(shutil.which("nsenter")), f"--net=/run/netns/{self.name}", "--", *drop, *words]

    def rules(self) -> str:
        """All rules of the namespace."""
        return _run("nsenter", f"--net=/run/netns/{self.name}", "--", "nft", "list", "ruleset")

    def nft(self, rules: str) -> None:
        """Make rules of somebody else's."""
        _run("nsenter", f"--net=/run/netns/{self.name}", "--", "nft", rules)


@contextmanager
def own_network() -> Iterator[OwnNetwork]:
    """A namespace of its own, and a pair of addresses of those for tests of networks (RFC 2544)."""
    number = os.getpid()
    name, here, there = f"autoglm-{number}", f"ag{number}h", f"ag{number}n"
    net = f"198.18.{number // 64 % 256}.{number % 64 * 4}".rpartition(".")
    ours, theirs = (f"{net[0]}.{int(net[2]) + more}" for more in (1, 2))
    prerequisites.ensure(PACKAGES)
    _run("ip", "netns", "add", name)
    try:
        _run("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
        _run("ip", "addr", "add", f"{ours}/30", "dev", here)
        _run("ip", "link", "set", here, "up")
        for words in (
            ("addr", "add", f"{theirs}/30", "dev", there),
            ("link", "set", there, "up"),
            ("link", "set", "lo", "up"),
            ("route", "add", "default", "via", ours),
        ):
            _run("ip", "-n", name, *words)
        yield OwnNetwork(name, theirs)
    finally:
        _run("ip", "netns", "del", name)


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout
