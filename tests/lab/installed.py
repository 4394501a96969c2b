# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts as `autoglm.recovery.site` installs them: played over SSH once, then kept as images.

An image of a host is known by all that has made it: the roles and what they are played with, what they install, and
what the lab tells them. Whatever differs from run to run (addresses, keys, the token) is put on top at each start.
"""

from __future__ import annotations

import hashlib
import json
import runpy
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from . import hosts, memory_limit, processes, wheels
from .errors import LabError
from .hosts import Host
from .places import CHECKOUT, PROGRAMS, STATE
from .podman import podman, succeeds
from .progress import step

REPOSITORY = "localhost/autoglm-lab-host"
FLEET = Path(__file__).parent / "fleet.yml"
SECONDS = 1800
# Few words for each task, and a busy machine is no unreachable host.
PATIENT = {"ANSIBLE_PIPELINING": "True", "ANSIBLE_TIMEOUT": "60", "ANSIBLE_SSH_RETRIES": "3"}
KEPT = 2  # of each host: that of this checkout, and one of another

# What decides what is on a host in the end: what is played and works out what it writes, and what renders rules.
# Modules are not among it: they put it there, and a changed one need not do so again.
PLAYED = (
    *("playbooks/site.yml", "roles", "plugins/filter", "plugins/lookup", "plugins/plugin_utils"),
    *("plugins/module_utils/engines", "src/autoglm_recovery/rules", "src/autoglm_recovery/policy"),
)
WHEEL = CHECKOUT / "roles/gpu_exporter/files/build_wheel.py"
LEFT_OUT = (".pyc", ".md")
# What the lab has before, and what it tells the roles.
TOLD = (
    *("fleet.yml", "auto-recovery.yaml", "files", "inventory.py", "installed.py"),
    *("memory_limit.py", "model.py", "trees.py", "wheels.py"),
)
# What a host has recorded while it was installed is of no other run.
RECORDED = (
    *("/var/lib/autoglm-exporter", "/var/lib/autoglm-haproxy", "/var/lib/prometheus/metrics2"),
    *("/var/lib/prometheus/alertmanager", "/root/.ssh", "/root/.ansible"),
)
FORGET = """
systemctl stop autoglm-exporter.service autoglm-haproxy.service prometheus.service prometheus-alertmanager.service
for each; do [ ! -d "$each" ] || find "$each" -mindepth 1 -delete || exit 1; done
"""


@dataclass(frozen=True)
class Site:
    """Hosts as somebody has them before our roles come, and what they are played with."""

    kinds: list[list[Host]]  # those of one kind are played together, all kinds at once
    image: str
    trees: Mapping[str, list[Path]]
    names: Mapping[str, str]
    inventory: Path
    policy: Path
    environment: Mapping[str, str]


def ensure(site: Site) -> dict[str, str]:
    """Return the image of each host, after installing those of which this machine has none."""
    key = _key(site.image)
    images = {host.name: f"{REPOSITORY}-{host.name}:{key}" for kind in site.kinds for host in kind}
    kinds = [[host for host in kind if not succeeds("image", "exists", images[host.name])] for kind in site.kinds]
    if missing := [kind for kind in kinds if kind]:
        _install(site, missing)
        with step("Keeping them as images"):
            _keep([host for kind in missing for host in kind], images)
    return images


def _key(base: str) -> str:
    """Name all that has made an image."""
    exporter, _ = runpy.run_path(str(WHEEL))["wheel"]()
    digest = hashlib.sha256("\0".join((base, exporter, memory_limit.for_host("").said)).encode())
    for path in (*_files(CHECKOUT, PLAYED), *_files(Path(__file__).parent, TOLD)):
        digest.update(f"\0{path.relative_to(CHECKOUT)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _files(root: Path, names: tuple[str, ...]) -> Iterator[Path]:
    for path in (root / name for name in names):
        yield from sorted(each for each in (path, *path.rglob("*")) if each.is_file() and each.suffix not in LEFT_OUT)


def _install(site: Site, missing: list[list[Host]]) -> None:
    """Boot hosts that have nothing of ours, and play site.yml on all of them at once."""
    made = [host for kind in missing for host in kind]
    logs = [STATE / f"site-{kind[0].name}.log" for kind in missing]
    said = f"Installing {', '.join(host.name for host in made)} by autoglm.recovery.site, once on this machine"
    with step(said, lambda: " | ".join(map(_last_task, logs))):
        hosts.boot(made, dict.fromkeys(site.trees, site.image), site.trees, site.names)
        given = {"gpu_exporter_wheels": str(wheels.ensure(made[0])), "monitoring_policy": str(site.policy)}
        with ThreadPoolExecutor(len(missing)) as pool:
            plays = [pool.submit(_play, site, kind, given, log) for kind, log in zip(missing, logs, strict=True)]
            try:
                for play in as_completed(plays):
                    play.result()
            except BaseException:
                processes.end_all()  # nobody waits for the others to end by themselves
                raise


def _play(site: Site, kind: list[Host], given: Mapping[str, str], log: Path) -> None:
    command = [
        *(str(PROGRAMS / "ansible-playbook"), "autoglm.recovery.site", "-i", str(site.inventory), "-i", str(FLEET)),
        *("--limit", ",".join(host.name for host in kind), "-e", json.dumps(given)),
    ]
    environment = {**site.environment, **PATIENT}
    with (
        log.open("wb") as out,
        subprocess.Popen(
            command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=CHECKOUT, env=environment
        ) as play,
    ):
        try:
            code: object = play.wait(SECONDS)
        except subprocess.TimeoutExpired:
            play.kill()
            code = f"nothing after {SECONDS} s"
    if code:
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-30:])
        raise LabError(f"`{' '.join(command)}` ended with {code}:\n{tail}")


def _last_task(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return next((line.strip(" *") for line in reversed(lines) if line.startswith("TASK")), "")


def _keep(made: list[Host], images: Mapping[str, str]) -> None:
    """Stop the hosts in good order, keep what is on their disks, and remove them."""
    with ThreadPoolExecutor(len(made)) as pool:
        list(pool.map(lambda host: _keep_one(host, images[host.name]), made))
    for host in made:
        _forget_old(images[host.name].partition(":")[0])


def _keep_one(host: Host, image: str) -> None:
    host.run("sh", "-c", FORGET, "sh", *RECORDED)
    podman("stop", "--time", "60", host.container, seconds=SECONDS)
    podman("commit", "--quiet", host.container, image, seconds=SECONDS)
    podman("rm", "--force", host.container)


def _forget_old(repository: str) -> None:
    """Remove what earlier versions have left of a host, the newest of them excepted."""
    listed = podman(
        "images", "--sort", "created", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={repository}"
    )
    for old in listed.split()[KEPT:]:
        succeeds("rmi", old)  # somebody may be using it
