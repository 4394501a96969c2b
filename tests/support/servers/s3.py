# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real S3 server: rclone, which checks signatures, speaks multipart uploads and keeps its objects in a directory."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.servers.ports import free_port

BUCKET = "checkpoints"
KEY, SECRET = "AKIDFORTESTS", "secret-for-tests"
READY_SECONDS = 120


@dataclass
class S3:
    """One server. It can be killed and started again on the same data and port."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def options(self, endpoint: str | None = None) -> dict[str, Any]:
        """What fsspec needs to speak to it.

        With retries, as any user of S3 has them: the server answers 500 now and then where two objects make one new
        directory.  Through another endpoint, that of a proxy or of nobody, what fails there fails at once.
        """
        return {
            "key": KEY,
            "secret": SECRET,
            "endpoint_url": endpoint or self.endpoint,
            "client_kwargs": {"region_name": "us-east-1"},
            "config_kwargs": {
                "connect_timeout": 30,
                "read_timeout": 60,
                "retries": {"max_attempts": 0 if endpoint else 4},
            },
        }

    def start(self) -> None:
        """Start it and wait until it answers."""
        (self.directory / "data" / BUCKET).mkdir(parents=True, exist_ok=True)
        program = str(Path(sys.executable).with_name("rclone"))
        command = [program, "serve", "s3", "--auth-key", f"{KEY},{SECRET}", "--addr", f"127.0.0.1:{self.port}"]
        with (self.directory / "s3.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--config", "/dev/null", str(self.directory / "data")],
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the S3 server ended: {(self.directory / 's3.log').read_text()[-2000:]}")
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(self.endpoint, timeout=2, trust_env=False).status_code:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"the S3 server was not ready after {READY_SECONDS} s")

    def kill(self) -> None:
        """Kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextlib.contextmanager
def running(directory: Path) -> Iterator[S3]:
    """Run a server until the end of the block."""
    server = S3(directory, free_port())
    server.start()
    try:
        yield server
    finally:
        server.kill()
