# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of a molecule scenario: molecule/default/create.yml calls this, destroy.yml as well.

python -m tests.lab.scenario_hosts prepare SCENARIO
AUTOGLM_LAB_NAME=autoglm-molecule-... python -m tests.lab.scenario_hosts up|down

``prepare`` installs what is missing on this machine and builds the images. ``up`` reads the scenario's platforms from
standard input, as JSON, and prints for each what molecule's instance_config.yml has; hosts that run stay as they are.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from . import hosts, image, keys, namespace, prerequisites
from .errors import LabError
from .hosts import Host
from .keys import Keys, public_of
from .places import CHECKOUT, LABEL, NAME, STATE
from .podman import podman
from .progress import say

PREFIX = "autoglm-molecule-"
# What every program of this machine trusts, beside which a mirror may be that a private authority vouches for.
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# The first needs a kernel of their own; the others would download or clean when a test does not expect it.
MASKED = (
    "systemd-modules-load.service",
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "systemd-tmpfiles-clean.timer"),
)


@dataclass(frozen=True)
class Platform:
    """An entry of ``platforms`` in molecule.yml."""

    name: str
    suite: str


def parse_platforms(given: object) -> list[Platform]:
    """Return the platforms of molecule.yml. Raises LabError for one that names no image there is."""
    if not isinstance(given, list) or not given:
        raise LabError("molecule.yml: platforms: there must be one host at least")
    return [_platform(entry) for entry in given]


def _platform(entry: Mapping[str, Any]) -> Platform:
    name, suite = entry.get("name"), entry.get("image")
    if suite not in image.OF_SUITE:
        known = ", ".join(image.OF_SUITE)
        raise LabError(f"molecule.yml: platforms: image of {name} is {suite!r}, it must be one of: {known}")
    return Platform(str(name), str(suite))


def platforms_of(scenario: str, only: str | None = None) -> list[Platform]:
    """Return what a scenario's molecule.yml says, or else what is shared by all; of them ``only`` this one."""
    files = (CHECKOUT / "molecule" / scenario / "molecule.yml", CHECKOUT / ".config/molecule/config.yml")
    read = [yaml.safe_load(file.read_text(encoding="utf-8")) or {} for file in files]
    platforms = parse_platforms(next((content["platforms"] for content in read if "platforms" in content), []))
    if only is None:
        return platforms
    chosen = [platform for platform in platforms if platform.name == only]
    if not chosen:
        known = ", ".join(platform.name for platform in platforms)
        raise LabError(f"MOLECULE_PLATFORM_NAME: {scenario} has no host {only}; it has: {known}")
    return chosen


def prepare(platforms: list[Platform]) -> None:
    """Have all that hosts are made of, with its progress shown."""
    prerequisites.ensure()
    for suite in dict.fromkeys(platform.suite for platform in platforms):
        image.ensure_built(image.OF_SUITE[suite])


def up(platforms: list[Platform]) -> list[dict[str, object]]:
    """Boot what does not run yet, and return what molecule wants to know of each host."""
    prerequisites.ensure()
    if not _all_run(platforms):
        down()
        STATE.mkdir(parents=True, mode=0o711)
        namespace.ensure()
        _boot(platforms)
    found: list[dict[str, object]] = json.loads((STATE / "instances.json").read_text(encoding="utf-8"))
    return found


def down() -> None:
    """Remove all that ever was of this scenario on this machine."""
    if STATE.exists() and shutil.which("podman"):
        namespace.ensure()
        hosts.remove_all()
    namespace.remove()
    shutil.rmtree(STATE, ignore_errors=True)


def _all_run(platforms: list[Platform]) -> bool:
    """Say whether these very hosts are up: an earlier run may have been killed while it booted them."""
    kept = STATE / "instances.json"
    if not kept.exists() or not (namespace.host_has_cgroup2() or namespace.OF_LAB.exists()):
        return False
    wanted = [[platform.name, platform.suite] for platform in platforms]
    if [[entry["instance"], entry["suite"]] for entry in json.loads(kept.read_text(encoding="utf-8"))] != wanted:
        return False
    running = set(podman("ps", "--filter", f"label={LABEL}", "--format", "{{.Names}}").split())
    return running >= {f"{NAME}-{platform.name}" for platform in platforms}


def _boot(platforms: list[Platform]) -> None:
    images = {platform.name: image.ensure_built(image.OF_SUITE[platform.suite]) for platform in platforms}
    made = _place(platforms, hosts.make_network())
    opened = keys.make(made)
    hosts.boot(made, images, {host.name: [_tree(host, opened)] for host in made})
    instances = [
        {
            "instance": host.name,
            "suite": platform.suite,
            "address": host.address,
            "user": "root",
            "port": 22,
            "identity_file": str(opened.person),
        }
        for host, platform in zip(made, platforms, strict=True)
    ]
    (STATE / "instances.json").write_text(json.dumps(instances), encoding="utf-8")


def _place(platforms: list[Platform], network: ipaddress.IPv4Network) -> list[Host]:
    return [Host(platform.name, str(network[11 + number])) for number, platform in enumerate(platforms)]


def _tree(host: Host, opened: Keys) -> Path:
    """What a host has beside its image: the person's key, its own, and whom it trusts."""
    root = STATE / "trees" / host.name
    _add(root / "root/.ssh/authorized_keys", public_of(opened.person), 0o600)
    (root / "root/.ssh").chmod(0o700)
    (root / "root").chmod(0o700)
    _add(root / "etc/ssh/ssh_host_ed25519_key", opened.host.read_text(encoding="utf-8"), 0o600)
    _add(root / "etc/ssh/ssh_host_ed25519_key.pub", public_of(opened.host))
    if CERTIFICATES.exists():
        _add(root / str(CERTIFICATES).lstrip("/"), CERTIFICATES.read_text(encoding="utf-8"))
        _add(root / "etc/pip.conf", f"[global]\ncert = {CERTIFICATES}\n")
    units = root / "etc/systemd/system"
    units.mkdir(parents=True)
    for unit in MASKED:
        (units / unit).symlink_to("/dev/null")
    return root


def _add(file: Path, text: str, mode: int = 0o644) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)


def main() -> int:
    """Do what the first argument says."""
    match sys.argv[1:]:
        case ["prepare", scenario]:
            return _said(lambda: prepare(platforms_of(scenario, os.environ.get("MOLECULE_PLATFORM_NAME"))))
        case ["up" | "down"] if not NAME.startswith(PREFIX):
            say(f"error: AUTOGLM_LAB_NAME must begin with {PREFIX}; the hosts of the lab are not touched")
        case ["up"]:
            return _said(_up)
        case ["down"]:
            return _said(down)
        case _:
            say("usage: python -m tests.lab.scenario_hosts up|down, or prepare SCENARIO")
    return 2


def _up() -> None:
    with contextlib.redirect_stdout(sys.stderr):  # what is said on the way is for people, the answer for molecule
        instances = up(parse_platforms(json.load(sys.stdin)))
    print(json.dumps(instances))


def _said(work: Callable[[], None]) -> int:
    """Do it, and say in one sentence why it could not be done."""
    try:
        work()
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
