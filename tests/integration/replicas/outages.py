# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A network between a receiver and its database that a test can cut: it swallows everything and closes nothing."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator


class Link:
    """Forwards TCP connections to a port, until it is cut."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._peer: dict[socket.socket, socket.socket] = {}
        self._cut = False
        self._ended = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """From now on nothing comes through, on old connections and on new ones."""
        self._cut = True

    def mend(self) -> None:
        """Let through what comes from now on; what waited in old connections goes on as well."""
        self._cut = False

    def end(self) -> None:
        """Stop forwarding."""
        self._ended = True
        self._thread.join()
        for end in (self._listener, *self._peer):
            end.close()
        self._selector.close()

    def _run(self) -> None:
        while not self._ended:
            ready = self._selector.select(0.05)
            if self._cut:
                threading.Event().wait(0.05)
                continue
            for key, _ in ready:
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj in self._peer:
                    self._forward(key.fileobj)

    def _accept(self) -> None:
        inside, _ = self._listener.accept()
        outside = socket.create_connection(("127.0.0.1", self._target))
        for one, other in ((inside, outside), (outside, inside)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._peer[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _forward(self, source: socket.socket) -> None:
        target = self._peer[source]
        try:
            chunk = source.recv(1 << 16)
            if chunk:
                target.sendall(chunk)
                return
        except OSError:
            pass
        for end in (source, target):
            self._selector.unregister(end)
            del self._peer[end]
            end.close()


@contextlib.contextmanager
def link_to(port: int) -> Iterator[Link]:
    """Forward to a port until the end of the block."""
    link = Link(port)
    try:
        yield link
    finally:
        link.end()
