# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real exporter, a real Alertmanager and a real Prometheus, each in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
import yaml
from prometheus_client.parser import text_string_to_metric_families

from autoglm_recovery.policy import parse_policy
from autoglm_recovery.rules.configuration import render_alertmanager, render_prometheus
from autoglm_recovery.rules.render import render_rules
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import until
from tests.support.tooling.prometheus_tools import tool

T = TypeVar("T")

DEADLINE_S = 300
HOST = "node-a"
# A bus address that no machine has: other kernels' readers may see what a test writes to /dev/kmsg.
NO_SUCH_GPU = "dead:be:1f"


class Page:
    """What one scrape said."""

    def __init__(self, text: str) -> None:
        self.samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def values(self, name: str, **labels: str) -> list[float]:
        return [
            sample.value for sample in self.samples if sample.name == name and labels.items() <= sample.labels.items()
        ]

    def value(self, name: str, **labels: str) -> float | None:
        found = self.values(name, **labels)
        assert len(found) < 2, f"{name} {labels} is there {len(found)} times"
        return found[0] if found else None

    def verdict(self, gpu: str) -> str | None:
        return next(
            (
                sample.labels["verdict"]
                for sample in self.samples
                if sample.name == "autoglm_gpu_verdict" and sample.labels["gpu"] == gpu and sample.value == 1
            ),
            None,
        )


@dataclass
class Running:
    """A program that is ended with the test."""

    command: list[str]
    directory: Path
    port: int
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.directory, env={**os.environ, **self.environment}, stdout=log, stderr=log
            )

    def stop(self, sign: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(sign)
        status = self.process.wait(DEADLINE_S)
        self.process = None
        return status

    def get(self, path: str) -> httpx.Response | None:
        assert self.process is not None
        assert self.process.poll() is None, (self.directory / "log").read_text()
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=10, trust_env=False)
        except httpx.TransportError:
            return None

    def log(self) -> str:
        return (self.directory / "log").read_text("utf-8", "replace")


class Exporter(Running):
    """``autoglm exporter``."""

    def __init__(self, directory: Path, *options: str) -> None:
        port = free_port()
        program = str(Path(sys.executable).with_name("autoglm"))
        state = ("--state-file", str(directory / "state" / "exporter.json"))
        command = [program, "exporter", "--listen", f"127.0.0.1:{port}", "--host", HOST, *state, "--interval", "200ms"]
        super().__init__([*command, *options], directory, port)

    def page(self) -> Page | None:
        answer = self.get("/metrics")
        return Page(answer.text) if answer is not None and answer.is_success else None

    def until(self, what: str, holds: Callable[[Page], object]) -> Page:
        """Wait until a scrape fulfils a condition; return it."""
        return until(what, lambda: page if (page := self.page()) is not None and holds(page) else None)


# Debian's Alertmanager opens its templates below this path, which is there once its package is installed.
_ASSETS = b"/usr/share/prometheus/alertmanager"
_HERE = b"/proc/self/cwd".ljust(len(_ASSETS), b"/")


def alertmanager_in(directory: Path) -> str:
    """Alertmanager that does without its package: a copy that looks for templates where it runs."""
    program = Path(tool("prometheus-alertmanager"))
    if Path(_ASSETS.decode(), "default.tmpl").exists():
        return str(program)
    copy = directory / "alertmanager"
    copy.write_bytes(program.read_bytes().replace(_ASSETS, _HERE))
    copy.chmod(0o755)
    for template in ("default.tmpl", "email.tmpl"):
        (directory / template).touch()
    return str(copy)


class Alertmanager(Running):
    """A real one, whose notifications go nowhere unless ``webhook_url`` says where."""

    def __init__(self, directory: Path, *, policy: str = "{}", webhook_url: str = "http://127.0.0.1:1/") -> None:
        directory.mkdir()
        port = free_port()
        config = render_alertmanager(parse_policy(policy), webhook_url=webhook_url, token_file=None)
        (directory / "alertmanager.yml").write_text(config)
        command = [
            alertmanager_in(directory),
            "--config.file=alertmanager.yml",
            "--storage.path=data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ]
        super().__init__(command, directory, port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def alerts(self) -> list[dict[str, Any]]:
        answer = self.get("/api/v2/alerts")
        return answer.json() if answer is not None and answer.is_success else []

    def until_ready(self) -> None:
        until("Alertmanager", lambda: (answer := self.get("/-/ready")) is not None and answer.is_success)


class Prometheus(Running):
    """A real one with the rendered rules, which scrapes the exporter."""

    def __init__(self, directory: Path, exporter: Exporter, alertmanager: Alertmanager) -> None:
        directory.mkdir()
        port = free_port()
        policy = parse_policy("monitoring: {interval: 500ms}")
        (directory / "autoglm.rules.yml").write_text(render_rules(policy))
        config = render_prometheus(
            policy,
            alertmanager=f"127.0.0.1:{alertmanager.port}",
            targets_dir=str(directory),
            rules_files=["autoglm.rules.yml"],
        )
        (directory / "prometheus.yml").write_text(config)
        targets = [{"targets": [f"127.0.0.1:{exporter.port}"], "labels": {"host": HOST}}]
        (directory / "autoglm.yml").write_text(yaml.safe_dump(targets))
        command = [
            tool("prometheus"),
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        super().__init__(command, directory, port)


class KernelFile:
    """A file of kernel records, as /dev/kmsg gives them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sequence = 100
        path.touch()

    def say(self, text: str, skip: int = 0) -> None:
        """Append a record of now; ``skip`` records before it were overwritten."""
        self.sequence += 1 + skip
        with self.path.open("a") as file:
            file.write(f"4,{self.sequence},{int(time.monotonic() * 1e6)},-;{text}\n")

    def xid(self, code: int, gpu: str, skip: int = 0) -> None:
        self.say(f"NVRM: Xid (PCI:{gpu}): {code}, pid='<unknown>', name=<unknown>, said by a test", skip)


def instant(text: str) -> datetime:
    """A time of Alertmanager's API."""
    return datetime.fromisoformat(text).astimezone(UTC)
