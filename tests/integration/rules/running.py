# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Prometheus with the whole rendered configuration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

from autoglm_recovery.policy import parse_policy
from autoglm_recovery.rules.configuration import render_prometheus
from autoglm_recovery.rules.render import render_rules
from tests.integration.exporter.running import Running
from tests.support.servers.ports import free_port
from tests.support.tooling.prometheus_tools import tool

POLICY = parse_policy("monitoring: {interval: 2s}")


class Prometheus(Running):
    """A real one with the whole rendered configuration."""

    def __init__(self, directory: Path) -> None:
        port = free_port()
        (directory / "autoglm.rules.yml").write_text(render_rules(POLICY))
        config = render_prometheus(
            POLICY, alertmanager="127.0.0.1:1", targets_dir=str(directory), rules_files=["autoglm.rules.yml"]
        )
        (directory / "prometheus.yml").write_text(config)
        address = f"--web.listen-address=127.0.0.1:{port}"
        command = [tool("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=data", address]
        super().__init__(command, directory, port)

    def targets(self, job: str, addresses: dict[str, str]) -> None:
        """Write whom to scrape; a whole file at once, as Prometheus reads it when it changes."""
        service = {"service": "llama", "pool": "chat"} if job == "inference" else {}
        found = [{"targets": [address], "labels": {"host": host, **service}} for host, address in addresses.items()]
        unfinished = self.directory / f"{job}.part"
        unfinished.write_text(yaml.safe_dump(found))
        os.replace(unfinished, self.directory / f"{job}.yml")

    def ask(self, query: str) -> list[dict[str, Any]]:
        """Return what a query finds; nothing while Prometheus starts."""
        answer = self.get(f"/api/v1/query?{urlencode({'query': query})}")
        return answer.json()["data"]["result"] if answer is not None and answer.is_success else []

    def firing(self) -> set[tuple[str, str]]:
        """Return what fires, as alert and host."""
        found = self.ask('ALERTS{alertstate="firing"}')
        return {(one["metric"]["alertname"], one["metric"]["host"]) for one in found}
