# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Prometheus that has thirty days behind it from the start: its history is written as blocks by promtool."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.servers.ports import free_port
from tests.support.tooling.prometheus_tools import tool

STEP = 30
DAY = 86_400
DEADLINE_S = 180


def write_history(directory: Path, scraped: Iterable[range], alerts: Iterable[tuple[dict[str, str], range]]) -> None:
    """Write what was scraped and what fired, both as moments on a grid of STEP seconds, into blocks.

    A block may span it all, or promtool would write hundreds, two hours each.
    """
    lines = ["# TYPE up gauge", *(f'up{{job="node"}} 1 {at}' for moments in scraped for at in moments)]
    lines.append("# TYPE ALERTS gauge")
    for labels, moments in alerts:
        written = ",".join(f'{name}="{value}"' for name, value in {**labels, "alertstate": "firing"}.items())
        lines += [f"ALERTS{{{written}}} 1 {at}" for at in moments]
    (directory / "history").write_text("\n".join([*lines, "# EOF", ""]))
    subprocess.run(
        [
            *(tool("promtool"), "tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=768h", "--quiet"),
            *("history", "data"),
        ],
        cwd=directory,
        check=True,
        capture_output=True,
        timeout=DEADLINE_S,
    )


@contextmanager
def prometheus(directory: Path, *options: str) -> Iterator[str]:
    """Run it on this history and return its address."""
    (directory / "prometheus.yml").write_text("global: {scrape_interval: 1h}\n")
    address = f"127.0.0.1:{free_port()}"
    command = [tool("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=data", *options]
    # Imported samples end without a mark that they are stale: a series is there for as long as a sample counts.
    command += ["--query.lookback-delta=15s", "--storage.tsdb.retention.time=90d", f"--web.listen-address={address}"]
    with open(directory / "log", "ab") as log:
        process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)
    try:
        _until_ready(process, f"http://{address}", directory / "log")
        yield f"http://{address}"
    finally:
        process.kill()
        process.wait(DEADLINE_S)


def _until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(f"{url}/-/ready", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"Prometheus is not ready after {DEADLINE_S} s: {log.read_text()}")


def autoglm(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    command = [str(Path(sys.executable).with_name("autoglm")), *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=120)
