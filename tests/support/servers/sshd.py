# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real sshd with keys of the test's own, and a real ssh-agent."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.servers import root
from tests.support.servers.ports import free_port

READY_SECONDS = 180.0


@contextmanager
def serving(directory: Path, **also: object) -> Iterator[int]:
    """Run an sshd out of the lab's image on the loopback interface, which lets in the key ``directory/key``."""
    directory.mkdir(exist_ok=True)
    inside = Path(tempfile.mkdtemp(prefix="sshd-", dir=root.ensure() / "var"))
    for name in ("key", "host_key"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)]
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    shutil.copy(directory / "key.pub", inside / "authorized_keys")
    shutil.copy(directory / "host_key", inside / "host_key")
    (root.ensure() / "run/sshd").mkdir(parents=True, exist_ok=True)
    port = free_port()
    place = f"/var/{inside.name}"
    options = {"ListenAddress": "127.0.0.1", "Port": port, "HostKey": f"{place}/host_key", "PidFile": "none",
               "AuthorizedKeysFile": f"{place}/authorized_keys", "StrictModes": "no", "UsePAM": "no",
               "PermitRootLogin": "prohibit-password", "Subsystem": "sftp internal-sftp", **also}  # fmt: skip
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    with (directory / "sshd.log").open("wb") as log:
        process = subprocess.Popen(
            root.command("/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", *words), stdout=log, stderr=log
        )
    try:
        wait_until_ready(port)
        yield port
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(inside)


@contextmanager
def agent(socket_path: Path, key: Path) -> Iterator[None]:
    """Run an ssh-agent that has one key."""
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket_path)], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + READY_SECONDS
        while not socket_path.is_socket() and time.monotonic() < deadline:
            time.sleep(0.02)
        environment = {**os.environ, "SSH_AUTH_SOCK": str(socket_path)}
        subprocess.run(["ssh-add", "-q", str(key)], check=True, env=environment, stdin=subprocess.DEVNULL)
        yield
    finally:
        process.terminate()
        process.wait()


def wait_until_ready(port: int) -> None:
    """Wait until a server of this machine listens."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"nothing listens at port {port}")
