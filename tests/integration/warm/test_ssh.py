# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Warm runs reach hosts over SSH: a real sshd, with keys of the test's own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autoglm_recovery.receiver import launch
from autoglm_recovery.receiver.warm.warmer import Warmer
from tests.integration.warm.running import Place, ready, until
from tests.parts import root

UNREACHABLE = 4  # as ansible-playbook says it

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the part needs root, as the lab does")


@contextmanager
def sshd(directory: Path) -> Iterator[int]:
    """Run an sshd out of the lab's image on the loopback interface, which lets in the key C(directory/key)."""
    inside = Path(tempfile.mkdtemp(prefix="sshd-", dir=root.ensure() / "var"))
    for name in ("key", "host_key"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)]
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    shutil.copy(directory / "key.pub", inside / "authorized_keys")
    shutil.copy(directory / "host_key", inside / "host_key")
    (root.ensure() / "run/sshd").mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    place = f"/var/{inside.name}"
    options = {"ListenAddress": "127.0.0.1", "Port": port, "HostKey": f"{place}/host_key", "PidFile": "none",
               "AuthorizedKeysFile": f"{place}/authorized_keys", "StrictModes": "no", "UsePAM": "no",
               "PermitRootLogin": "prohibit-password", "Subsystem": "sftp internal-sftp"}  # fmt: skip
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    with (directory / "sshd.log").open("wb") as log:
        process = subprocess.Popen(
            root.command("/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", *words), stdout=log, stderr=log
        )
    try:
        until("sshd to listen", lambda: _listens(port))
        yield port
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(inside)


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def reachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Place, Path, str]]:
    """Give a place whose host is reached over SSH, the file of the host keys that are known, and the host's line."""
    with sshd(tmp_path) as port:
        known = tmp_path / "known"
        host = {
            "ansible_host": "127.0.0.1",
            "ansible_port": port,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(tmp_path / "key"),
            # No shared connection that would outlive the test; and a root that is only a folder has no terminals.
            "ansible_ssh_args": f"-oControlMaster=no -oUserKnownHostsFile={known} -oGlobalKnownHostsFile=/dev/null",
            "ansible_ssh_use_tty": False,
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        place = Place(tmp_path / "place", host)
        place.build()
        monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", str(place.root / "collections"))
        yield place, known, f"[127.0.0.1]:{port} {(tmp_path / 'host_key.pub').read_text()}"


def test_a_warm_run_works_over_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with reachable(tmp_path, monkeypatch) as (place, known, line):
        known.write_text(line)
        warmer = Warmer(launch.spawn, tmp_path / "warm.log")
        try:
            ready(warmer)
            run = place.start(warmer.spawn, "ssh")
            assert run.result()["rc"] == 0, run.said()
            assert run.cold is None
            assert run.out.read_text().split()[3] == line.split()[0].rpartition(":")[2]
        finally:
            warmer.stop()


def test_a_host_with_another_key_gets_no_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ansible-runner by itself would connect to whoever answers at the address."""
    with reachable(tmp_path, monkeypatch) as (place, known, line):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")]
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
        known.write_text(f"{line.split()[0]} {(tmp_path / 'other.pub').read_text()}")
        run = place.start(launch.spawn, "ssh")
        assert run.result()["rc"] == UNREACHABLE, run.said()
        assert "Host key verification failed" in run.said()

        # Whoever wants that says so, where Ansible is told such things.
        configuration = tmp_path / "ansible.cfg"
        configuration.write_text("[defaults]\nhost_key_checking = False\n")
        monkeypatch.setenv("ANSIBLE_CONFIG", str(configuration))
        unchecked = place.start(launch.spawn, "ssh")
        assert unchecked.result()["rc"] == 0, unchecked.said()
