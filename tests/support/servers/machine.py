# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host to log in to: the lab's image with real sshd and sudo, on this machine's loopback, in namespaces of its own.

It boots no systemd, starts within a second, and is gone with its first process.
"""

from __future__ import annotations

import contextlib
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.servers import root

LOGIN = "autoglm"
SERVICE_USER = "llama"
READY_SECONDS = 60

BEGIN = """
set -e
mount -t tmpfs tmpfs {house}
mkdir {house}/upper {house}/work {house}/root
mount -t overlay overlay -o lowerdir={image},upperdir={house}/upper,workdir={house}/work {house}/root
cd {house}/root
mount -t proc proc proc
mount --rbind /dev dev
cp -a {tree}/. .
for name in {login} {service}; do
    chroot . useradd --create-home --shell /bin/sh --password '*' $name
done
chroot . install -d -m 0700 -o {login} -g {login} /home/{login}/.ssh
chroot . install -m 0600 -o {login} -g {login} /authorized_keys /home/{login}/.ssh/authorized_keys
mkdir -p run/sshd
exec chroot . /usr/sbin/sshd -D -e -p {port} -o ListenAddress=127.0.0.1 -o UsePAM=no -o PermitRootLogin=no
"""


@dataclass
class Machine:
    """One that runs."""

    port: int
    process: subprocess.Popen[bytes]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command there as root, past SSH: for the test's own eyes and hands."""
        (first,) = psutil.Process(self.process.pid).children()
        enter = ["nsenter", f"--target={first.pid}", "--mount", "--pid", "--root", "--wd=/"]
        return subprocess.run([*enter, *command], capture_output=True, text=True, check=False, timeout=60)


@contextlib.contextmanager
def running(directory: Path, tree: Path, port: int) -> Iterator[Machine]:
    """Run one until the end of the block, with the files of ``tree`` laid over its own.

    Among them must be ``authorized_keys``, and ``etc/ssh/ssh_host_ed25519_key``.
    """
    house = directory / "machine"
    house.mkdir()
    places = {"house": house, "image": root.ensure(), "tree": tree}
    script = BEGIN.format(
        **{name: shlex.quote(str(path)) for name, path in places.items()}, port=port, login=LOGIN, service=SERVICE_USER
    )
    log = directory / "sshd.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script],
            stdout=out, stderr=out, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        _wait(port, process, log)
        yield Machine(port, process)
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(house, ignore_errors=True)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the machine did not begin: {log.read_text(errors='replace')[-2000:]}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as asked:
            if asked.recv(4) == b"SSH-":
                return
        time.sleep(0.05)
    raise RuntimeError(f"sshd did not answer within {READY_SECONDS} s: {log.read_text(errors='replace')[-2000:]}")
