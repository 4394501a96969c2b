# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Warm runs reach hosts over SSH: a real sshd, with keys of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from autoglm_recovery.receiver.runs.local import run_directory
from autoglm_recovery.receiver.runs.warm.warmer import Warmer
from tests.integration.warm.running import Place, ready
from tests.support.servers import sshd

UNREACHABLE = 4  # as ansible-playbook says it

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the part needs root, as the lab does")


@contextmanager
def reachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Place, Path, str]]:
    """Give a place whose host is reached over SSH, the file of the host keys that are known, and the host's line."""
    with sshd.serving(tmp_path) as port:
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
        warmer = Warmer(run_directory.spawn, tmp_path / "warm.log")
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
        run = place.start(run_directory.spawn, "ssh")
        assert run.result()["rc"] == UNREACHABLE, run.said()
        assert "Host key verification failed" in run.said()

        # Whoever wants that says so, where Ansible is told such things.
        configuration = tmp_path / "ansible.cfg"
        configuration.write_text("[defaults]\nhost_key_checking = False\n")
        monkeypatch.setenv("ANSIBLE_CONFIG", str(configuration))
        unchecked = place.start(run_directory.spawn, "ssh")
        assert unchecked.result()["rc"] == 0, unchecked.said()


def test_a_jump_host_is_gone_through_as_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand, cold and warm: the host's ``ansible_ssh_common_args`` name a second sshd, which lets on to the first."""
    with reachable(tmp_path, monkeypatch) as (place, known, line):
        bastion = tmp_path / "bastion"
        with sshd.serving(bastion, PermitOpen=f"127.0.0.1:{place.host['ansible_port']}") as port:
            known.write_text(f"{line}[127.0.0.1]:{port} {(bastion / 'host_key.pub').read_text()}")
            # ProxyJump hands the file on to the ssh that it starts, and no other option.
            (tmp_path / "ssh_config").write_text(
                f"UserKnownHostsFile {known}\nGlobalKnownHostsFile /dev/null\n"
                f"Host bastion\n  HostName 127.0.0.1\n  Port {port}\n  User root\n  IdentityFile {bastion / 'key'}\n"
            )
            common = f"-F {tmp_path / 'ssh_config'} -o ProxyJump=bastion"
            place.host = {**place.host, "ansible_ssh_common_args": common}
            place.inventory.write_text(yaml.safe_dump({"all": {"hosts": {"node-a": place.host}}}))
            seen = [_by_hand(place), *_by_receiver(place, tmp_path / "warm.log")]
            jumped = (bastion / "sshd.log").read_text().count("Accepted publickey")
        assert seen == [str(place.host["ansible_port"])] * 3
        assert jumped >= 3, "somebody went past the bastion"


def _by_hand(place: Place) -> str:
    """Return the port at which ansible-playbook came to the host."""
    out = place.root / "by-hand.out"
    words = ["-i", str(place.inventory), "-e", json.dumps({"autoglm_target": {"out": str(out)}})]
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    done = subprocess.run(
        [program, "autoglm.recovery.ssh", *words], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out.read_text().split()[3]


def _by_receiver(place: Place, log: Path) -> list[str]:
    """Return the same of a cold and of a warm run."""
    cold = place.start(run_directory.spawn, "ssh")
    assert cold.result()["rc"] == 0, cold.said()
    warmer = Warmer(run_directory.spawn, log)
    try:
        ready(warmer)
        warm = place.start(warmer.spawn, "ssh")
        assert warm.result()["rc"] == 0, warm.said()
        assert warm.cold is None
    finally:
        warmer.stop()
    return [run.out.read_text().split()[3] for run in (cold, warm)]
