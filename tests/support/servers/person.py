# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A person's account that may become root by sudo with a password, reached over SSH: a real sudo, and dropbear.

Both run on this machine in a mount namespace with an /etc, a /home and a /run of their own, which goes with its last
process: the machine's accounts and who may what on it are left as they are.  dropbear, because Debian's package of it
starts nothing.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab import prerequisites
from tests.support.servers import sshd
from tests.support.servers.ports import free_port

PACKAGES = {"dropbear-bin": ("dropbear", "/usr/sbin/dropbear"), "sudo": ("sudo",)}
NAME = "deploy"
_ACCOUNT = f"{NAME}:x:4711:4711::/home/{NAME}:/bin/sh"
_SUDOERS = f"Defaults env_reset\nDefaults lecture=never\nroot ALL=(ALL:ALL) ALL\n{NAME} ALL=(ALL:ALL) ALL\n"
# $0 is the /etc, then the public key, then the server.
_ENTER = f"""
mount --bind "$0" /etc
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /home
install -d -m 700 -o 4711 -g 4711 /home/{NAME} /home/{NAME}/.ssh
install -m 600 -o 4711 -g 4711 "$1" /home/{NAME}/.ssh/authorized_keys
shift
exec "$@"
"""


@dataclass(frozen=True)
class Reach:
    """Where the account is reached, and with which key."""

    port: int
    key: Path
    log: Path


@contextmanager
def serving(directory: Path, password: str) -> Iterator[Reach]:
    """Let ``deploy`` in at a port of the loopback interface, who becomes root by this password."""
    prerequisites.ensure(PACKAGES)
    etc, key, host_key = directory / "etc", directory / "key", directory / "host_key"
    _write_etc(etc, password)
    _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    _run("dropbearkey", "-t", "ed25519", "-f", str(host_key))
    port = free_port()
    server = ["/usr/sbin/dropbear", "-F", "-E", "-s", "-r", str(host_key), "-p", f"127.0.0.1:{port}", "-P", "/run/pid"]
    enter = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", _ENTER, str(etc), f"{key}.pub"]
    log = directory / "dropbear.log"
    with log.open("wb") as out:
        process = subprocess.Popen([*enter, *server], stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd="/")
    try:
        sshd.wait_until_ready(port)
        yield Reach(port, key, log)
    finally:
        process.kill()
        process.wait()


def _write_etc(etc: Path, password: str) -> None:
    _run("cp", "-a", "/etc", str(etc))
    # Debian's perl is there before anything else; Python has no crypt any more.
    hashed = _run("perl", "-e", "print crypt($ARGV[0], q($6$autoglmtest))", password)
    for name, line in (("passwd", _ACCOUNT), ("group", f"{NAME}:x:4711:"), ("shadow", f"{NAME}:{hashed}:20000::::::")):
        with (etc / name).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
    (etc / "sudoers").write_text(_SUDOERS, encoding="utf-8")
    (etc / "sudoers").chmod(0o440)


def _run(*words: str) -> str:
    done = subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    return done.stdout
