# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small DNS server whose answers a test changes: A records, and SRV records with their targets. RFC 1035 and 2782."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

_A, _SRV = 1, 33


class Dns:
    """``a``: name -> addresses.  ``srv``: name -> (port, target) pairs."""

    def __init__(self) -> None:
        """Listen on a port of its own."""
        self.a: dict[str, list[str]] = {}
        self.srv: dict[str, list[tuple[int, str]]] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])

    @contextlib.contextmanager
    def answering(self) -> Iterator[Dns]:
        """Answer until the end of the block."""
        thread = threading.Thread(target=self._serve, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._socket.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                question, sender = self._socket.recvfrom(8192)
                self._socket.sendto(self._answer(question), sender)

    def _answer(self, question: bytes) -> bytes:
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1 : at + 1 + question[at]].decode())
            at += question[at] + 1
        name, kind = ".".join(labels).lower(), struct.unpack(">H", question[at + 1 : at + 3])[0]
        records = []
        if kind == _A:
            records = [socket.inet_aton(address) for address in self.a.get(name, [])]
        elif kind == _SRV:
            records = [struct.pack(">HHH", 1, 1, port) + _name(target) for port, target in self.srv.get(name, [])]
        body = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 1, len(data)) + data for data in records)
        # 3 is "no such name": an answer without records would say that the name is there.
        code = 0x8580 if records else 0x8583
        return question[:2] + struct.pack(">HHHHH", code, 1, len(records), 0, 0) + question[12 : at + 5] + body


def _name(text: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".")) + b"\0"
