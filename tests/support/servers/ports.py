# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports on loopback for servers that must be told one.

Between the choice of a port and the server's own bind anybody may take it.  So these ports lie below those that the
kernel gives to whoever asks for any port, and each process that chooses has a block of its own, whose first port it
holds as long as it lives.
"""

from __future__ import annotations

import functools
import itertools
import os
import socket
from collections.abc import Iterator

FIRST, BEHIND = 20_000, 30_000
BLOCK = 100  # a port comes again after so many


def free_port() -> int:
    """Return a port that nobody listens on now, and that nobody else who asks here is given soon."""
    _, ports = _block(os.getpid())
    for port in itertools.islice(ports, BLOCK):
        with socket.socket() as probe:
            if _bound(probe, port):
                return port
    raise RuntimeError(f"each of this process's {BLOCK} ports is taken")


@functools.cache
def _block(process: int) -> tuple[socket.socket, Iterator[int]]:
    """Return what holds a process's block, and the block's other ports, round and round; a fork is another process."""
    for first in range(FIRST, BEHIND, BLOCK):
        held = socket.socket()
        if _bound(held, first):
            return held, itertools.cycle(range(first + 1, first + BLOCK))
        held.close()
    raise RuntimeError(f"process {process} finds each block of ports from {FIRST} to {BEHIND} taken")


def _bound(one: socket.socket, port: int) -> bool:
    try:
        one.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True
