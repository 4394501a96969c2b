# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Prometheus that wants a certificate and a password, what it scrapes, and ansible-inventory."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import yaml

from autoglm_recovery.policy import parse_policy
from autoglm_recovery.rules.configuration import render_prometheus
from autoglm_recovery.rules.render import render_rules
from tests.integration.exporter.running import Running
from tests.support.servers.authority import Authority
from tests.support.servers.ports import free_port
from tests.support.tooling.prometheus_tools import tool

USER, PASSWORD = "inventory", "scrape-me"
# Of PASSWORD, by bcrypt, which is all that Prometheus takes.
DIGEST = "$2b$04$evTZzXjbsLrDvw6KudiWGuRdfNXMxb/ubY8yqxmMHEQNHy45wVQ4K"


class GuardedPrometheus(Running):
    """A real one with the rendered jobs, that answers nobody without a client certificate and a password."""

    def __init__(self, directory: Path) -> None:
        port = free_port()
        self.authority = Authority(directory, "authority")
        own, self.client = self.authority.sign("prometheus"), self.authority.sign("inventory")
        guard = {
            "tls_server_config": {
                "cert_file": str(own.certificate),
                "key_file": str(own.key),
                "client_ca_file": str(self.authority.certificate),
                "client_auth_type": "RequireAndVerifyClientCert",
            },
            "basic_auth_users": {USER: DIGEST},
        }
        (directory / "web.yml").write_text(yaml.safe_dump(guard))
        (directory / "password").write_text(f"{PASSWORD}\n")
        policy = parse_policy("monitoring: {interval: 1s}")
        (directory / "autoglm.rules.yml").write_text(render_rules(policy))
        config = render_prometheus(
            policy, alertmanager="127.0.0.1:1", targets_dir=str(directory), rules_files=["autoglm.rules.yml"]
        )
        (directory / "prometheus.yml").write_text(config)
        self.url = f"https://127.0.0.1:{port}"
        address = f"--web.listen-address=127.0.0.1:{port}"
        files = ["--config.file=prometheus.yml", "--web.config.file=web.yml", "--storage.tsdb.path=data"]
        super().__init__([tool("prometheus"), *files, address], directory, port)

    @property
    def server(self) -> dict[str, Any]:
        """How the plugin is told to reach it."""
        return {
            "urls": [self.url],
            "username": USER,
            "password_file": str(self.directory / "password"),
            "ca_path": str(self.authority.certificate),
            "client_cert": str(self.client.certificate),
            "client_key": str(self.client.key),
        }

    def scrape(self, job: str, *targets: Mapping[str, Any]) -> None:
        """Write whom to scrape, before it is started: labels, and the address under ``at``."""
        found = [
            {"targets": [target["at"]], "labels": {name: text for name, text in target.items() if name != "at"}}
            for target in targets
        ]
        (self.directory / f"{job}.yml").write_text(yaml.safe_dump(found))

    def ask(self, query: str) -> list[dict[str, Any]]:
        """Return what a query finds; nothing while it starts."""
        context = ssl.create_default_context(cafile=self.authority.certificate)
        context.load_cert_chain(self.client.certificate, self.client.key)
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        url = f"{self.url}/api/v1/query?{urlencode({'query': query})}"
        try:
            answer = httpx.get(url, verify=context, auth=(USER, PASSWORD), timeout=10, trust_env=False)
        except httpx.TransportError:
            return []
        return answer.json()["data"]["result"] if answer.is_success else []


def write(path: Path, *servers: Mapping[str, Any], **options: Any) -> Path:
    """Write a source of the plugin."""
    path.write_text(yaml.safe_dump({"plugin": "autoglm.recovery.fleet", "servers": list(servers), **options}))
    return path


def inventory(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run ansible-inventory."""
    return run("ansible-inventory", *words)


def listed(*words: str | Path) -> dict[str, Any]:
    """Return what ``ansible-inventory --list`` prints, each text as one."""
    done = inventory("--list", *words)
    assert done.returncode == 0, done.stderr
    return unmarked(done.stdout)


def unmarked(printed: str) -> dict[str, Any]:
    """Read what it prints: texts that are no templates are marked there."""
    read = json.loads(printed, object_hook=lambda each: each.get("__ansible_unsafe", each))
    assert isinstance(read, dict)
    return read


def run(program: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run one of Ansible's programs; as with the receiver, a source that cannot be read is an error."""
    environment = {**os.environ, "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true", "COLUMNS": "1000"}
    command = [str(Path(sys.executable).with_name(program)), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)
