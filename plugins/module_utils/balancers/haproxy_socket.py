# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy's stats socket: one command, one answer, and why there was none."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass

from ..host import paths
from .protocol import BalancerError

_MAX_ANSWER = 16 * 1024 * 1024


@dataclass(frozen=True)
class RuntimeSocket:
    """The stats socket: a path, or HOST:PORT. C(timeout) is seconds for one command and its answer."""

    address: str
    timeout: float = 5.0

    def ask(self, command: str) -> str:
        """Send one command; all that comes back until HAProxy ends the connection."""
        deadline = time.monotonic() + self.timeout
        try:
            with self._connect() as connection:
                connection.sendall(command.encode("ascii") + b"\n")
                return self._read_answer(connection, deadline)
        except OSError as error:
            raise self._error_for(error) from error

    def _connect(self) -> socket.socket:
        if self.address.startswith("/"):
            return self._connect_to_path()
        host, _colon, port = self.address.rpartition(":")
        if not host or not port.isdigit():
            raise BalancerError("refused", f"socket must be an absolute path or HOST:PORT, not {self.address!r}")
        return socket.create_connection((host.strip("[]"), int(port)), self.timeout)

    def _connect_to_path(self) -> socket.socket:
        place = paths.open_socket(self.address)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(self.timeout)
            # Through a descriptor: the balancer's user may own the directory and could replace the socket.
            connection.connect(f"/proc/self/fd/{place}")
        except OSError:
            connection.close()
            raise
        finally:
            os.close(place)
        return connection

    def _read_answer(self, connection: socket.socket, deadline: float) -> str:
        parts: list[bytes] = []
        size = 0
        while True:
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
            part = connection.recv(65536)
            if not part:
                return b"".join(parts).decode("utf-8", "replace")
            parts.append(part)
            size += len(part)
            if size > _MAX_ANSWER:
                raise BalancerError("unreadable", f"the answer of {self.address} is larger than {_MAX_ANSWER} bytes")

    def _error_for(self, error: OSError) -> BalancerError:
        if isinstance(error, FileNotFoundError):
            return BalancerError(
                "unreachable", f"there is no socket {self.address}: does HAProxy run, with this stats socket?"
            )
        if isinstance(error, PermissionError):
            return BalancerError("denied", f"no permission for {self.address}: become its user, or root")
        if isinstance(error, ConnectionRefusedError):
            return BalancerError("unreachable", f"nobody listens at {self.address}: HAProxy does not run")
        if isinstance(error, (socket.timeout, TimeoutError)):
            return BalancerError("unreachable", f"HAProxy at {self.address} did not answer within {self.timeout:g} s")
        return BalancerError("unreachable", f"HAProxy at {self.address}: {error.strerror or error}")
