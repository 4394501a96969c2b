# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m bench.exporter``: what a scrape and a second of watching cost on eight GPUs, beside a bare exporter.

The baseline is prometheus_client's own server with nothing but the process metrics that it brings.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from tests.support.fake_nvml import FakeNvml, HostTree
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import until

GPUS = 8
SCRAPES = 60
WATCHED_SECONDS = 20
BARE = """
import sys, threading, prometheus_client
prometheus_client.start_http_server(int(sys.argv[1]), "127.0.0.1")
threading.Event().wait()
"""


def main() -> None:
    """Measure, and print each figure beside its baseline."""
    with tempfile.TemporaryDirectory() as directory:
        fake = FakeNvml(Path(directory) / "nvml", gpus=GPUS)
        tree = HostTree(Path(directory) / "host", gpus=GPUS)
        ours = _ours(Path(directory), fake, tree)
        bare = [sys.executable, "-c", BARE]
        with running(bare, "python_info") as base, running(ours, 'autoglm_gpu_verdict{gpu="0000:0b:00"') as mine:
            scrapes(base, mine)
            watching(base, mine)
        fake.close()


def _ours(directory: Path, fake: FakeNvml, tree: HostTree) -> list[str]:
    program = str(Path(sys.executable).with_name("autoglm"))
    place = ["--sys", str(tree.sys), "--dev", str(tree.dev), "--state-file", str(directory / "state.json")]
    return [program, "exporter", "--interval", "1s", "--nvml-library", str(fake.library), *place, "--listen"]


class Served:
    """A running exporter."""

    def __init__(self, pid: int, port: int) -> None:
        self.pid = pid
        self._url = f"http://127.0.0.1:{port}/metrics"
        self._client = httpx.Client(trust_env=False, timeout=30)

    def scrape(self) -> httpx.Response:
        return self._client.get(self._url)

    def cpu_seconds(self) -> tuple[float, float]:
        """Of the process, and of the children that it has now."""
        process = psutil.Process(self.pid)
        return _cpu_seconds(process), sum(map(_cpu_seconds, process.children()))


@contextmanager
def running(command: list[str], sign: str) -> Iterator[Served]:
    """Start an exporter and wait until its page has a certain line."""
    port = free_port()
    address = f"127.0.0.1:{port}" if command[-1] == "--listen" else str(port)
    process = subprocess.Popen([*command, address], stderr=subprocess.DEVNULL)
    served = Served(process.pid, port)

    def ready() -> bool:
        try:
            return sign in served.scrape().text
        except httpx.TransportError:
            return False

    try:
        until("the exporter", ready)
        yield served
    finally:
        process.terminate()
        process.wait()


def scrapes(base: Served, mine: Served) -> None:
    """Time scrapes of both in turn."""
    pairs = [(timed(base), timed(mine)) for _scrape in range(SCRAPES)]
    bare, ours = (statistics.median(pair[place] for pair in pairs) * 1000 for place in (0, 1))
    ratio = statistics.median(one_ours / one_bare for one_bare, one_ours in pairs)
    body = mine.scrape().text
    print(f"one scrape, median of {SCRAPES} in turn, {body.count(chr(10))} lines, {len(body) / 1024:.0f} KiB")
    print(f"  prometheus_client with process metrics   {bare:6.2f} ms   baseline")
    print(f"  autoglm exporter, {GPUS} GPUs                {ours:6.2f} ms   x {ratio:.2f}")


def timed(served: Served) -> float:
    """Scrape once."""
    begun = time.perf_counter()
    served.scrape().raise_for_status()
    return time.perf_counter() - begun


def watching(base: Served, mine: Served) -> None:
    """Scrape both every second, and see what CPU time that takes; ours looks at its GPUs every second."""
    before = (base.cpu_seconds(), mine.cpu_seconds())
    begun = time.monotonic()
    for second in range(1, WATCHED_SECONDS + 1):
        base.scrape()
        mine.scrape()
        time.sleep(max(0.0, begun + second - time.monotonic()))
    wall = time.monotonic() - begun
    bare = (base.cpu_seconds()[0] - before[0][0]) / wall
    own, child = ((now - then) / wall for now, then in zip(mine.cpu_seconds(), before[1], strict=True))
    ratio = (own + child) / max(bare, 1e-4)
    print(f"CPU of one core over {wall:.0f} s, a scrape and a look at {GPUS} GPUs every second")
    print(f"  prometheus_client with process metrics   {bare:6.2%}   baseline")
    print(f"  autoglm exporter                         {own + child:6.2%}   x {ratio:.0f}   {child:.2%} of it NVML's")


def _cpu_seconds(process: psutil.Process) -> float:
    used = process.cpu_times()
    return used.user + used.system


if __name__ == "__main__":
    main()
