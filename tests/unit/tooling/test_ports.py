# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A port that was chosen is still free when the server that was told it binds it, also while others choose theirs."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from tests.lab.places import CHECKOUT
from tests.support.servers.ports import BLOCK, free_port

_CHOOSES = """
import sys
from tests.support.servers.ports import free_port
print(*(free_port() for _ in range(200)), flush=True)
sys.stdin.read()
"""


def test_no_two_processes_choose_the_same_port() -> None:
    with _choosing() as first, _choosing() as second:
        chosen = [{free_port() for _ in range(2 * BLOCK)}, _told(first), _told(second)]
    assert all(chosen)
    assert len(set().union(*chosen)) == sum(map(len, chosen))


def _choosing() -> subprocess.Popen[str]:
    """Start a process that chooses ports, and lives until its input ends."""
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", _CHOOSES], cwd=CHECKOUT, stdin=pipe, stdout=pipe, text=True)


def _told(process: subprocess.Popen[str]) -> set[int]:
    assert process.stdout
    return {int(port) for port in process.stdout.readline().split()}


def test_the_kernel_gives_none_of_them_to_who_asks_for_any_port() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert free_port() < lowest


def test_a_port_on_which_somebody_listens_is_passed_over() -> None:
    with socket.socket() as listening:
        taken = free_port()
        listening.bind(("127.0.0.1", taken))
        listening.listen()
        assert taken not in {free_port() for _ in range(2 * BLOCK)}


def test_a_port_comes_again_late() -> None:
    assert len({free_port() for _ in range(BLOCK // 2)}) == BLOCK // 2
