# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers on loopback whose every connection a function of the test handles, and which end with the test."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

Handle = Callable[[socket.socket], None]


@contextlib.contextmanager
def listening(listener: socket.socket, handle: Handle) -> Iterator[None]:
    """Accept connections, each in a thread of its own, until the block ends."""
    accepting = threading.Thread(target=_accept, args=(listener, handle), daemon=True)
    accepting.start()
    try:
        yield
    finally:
        # Whoever waits in accept() is not woken by a close, and goes on accepting.
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()


@contextlib.contextmanager
def answering() -> Iterator[Callable[[Handle], str]]:
    """Give a function that starts a server and returns its URL; all end with the block."""
    with contextlib.ExitStack() as started:

        def start(handle: Handle) -> str:
            listener = socket.create_server(("127.0.0.1", 0))
            started.enter_context(listening(listener, handle))
            return f"http://127.0.0.1:{listener.getsockname()[1]}"

        yield start


def _accept(listener: socket.socket, handle: Handle) -> None:
    while True:
        try:
            connection, _address = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(connection, handle), daemon=True).start()


def _serve(connection: socket.socket, handle: Handle) -> None:
    # The client has gone, which is what some tests are about.
    with connection, contextlib.suppress(OSError):
        handle(connection)
