# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real llama-server with the lab's tiny model."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.lab import model
from tests.lab.places import CACHE
from tests.support.servers import root
from tests.support.servers.ports import free_port

READY_SECONDS = 60


@dataclass
class Llama:
    """One server. ``process`` is llama-server itself: chroot replaces itself by it."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid

    def kill(self) -> None:
        """Kill -9, as a crash would."""
        self.process.kill()
        self.process.wait()


def command(port: int, *more: str, shape: model.Shape | None = None) -> list[str]:
    """Words that run a server in the foreground, with metrics, slots and an alias."""
    file = model.ensure(CACHE, shape)
    inside = f"/var/lib/llama/{file.name}"
    root.share(file, inside)
    return root.command(*words(inside, port), *more)


def words(file: str, port: int) -> list[str]:
    """What runs in the image, wherever that is: the program and its arguments."""
    return [
        *("/usr/bin/llama-server", "--model", file, "--alias", "tiny", "--host", "127.0.0.1", "--port", str(port)),
        *("--metrics", "--slots", "--no-webui", "--ctx-size", "8192", "--parallel", "2", "--threads", "1"),
        *("--threads-batch", "1", "--cache-ram", "0", "--fit", "off"),
    ]


@contextlib.contextmanager
def running(directory: Path, *more: str, port: int | None = None, shape: model.Shape | None = None) -> Iterator[Llama]:
    """Run a server until the end of the block; its log goes into the directory."""
    port = port or free_port()
    log = directory / f"llama-{port}.log"
    with log.open("ab") as out:
        process = subprocess.Popen(command(port, *more, shape=shape), stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    server = Llama(port, process, log)
    try:
        wait_until_ready(server)
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)  # a test may have stopped it
        process.kill()
        process.wait()


def wait_until_ready(server: Llama) -> None:
    """Wait until /health is 200."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise RuntimeError(f"llama-server ended: {server.log.read_text(errors='replace')[-2000:]}")
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{server.url}/health", timeout=2, trust_env=False).status_code == httpx.codes.OK:
                return
        time.sleep(0.05)
    raise RuntimeError(f"llama-server was not ready after {READY_SECONDS} s; see {server.log}")
