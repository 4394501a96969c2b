# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy, by its runtime API.

Seen on HAProxy 2.6 and 3.2 and documented in its management guide: a command that fails answers with a sentence, and
nothing else tells it from success, which answers with an empty line.  So no answer is believed: every change is read
back.  C(show stat) tells columns by name and has grown with each version; of a drained server that is down it says
C(DOWN) only, so what people asked for is read from C(show servers state), where it is a bit field.
"""

from __future__ import annotations

import csv
import re
import socket
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from . import lock
from .protocol import ACTIVE, DOWN, DRAINED, MAINTENANCE, UNKNOWN, UP, BalancerError, Count, Member, Weight, find

# Bits of srv_admin_state (include/haproxy/server-t.h): forced, inherited, configured, by resolution, by host name.
_MAINTENANCE_BITS = 0x01 | 0x02 | 0x04 | 0x20 | 0x40
_DRAIN_BITS = 0x08 | 0x10
_MAX_ANSWER = 16 * 1024 * 1024
_SETTLE_SECONDS = 2.0

# A sentence that an answer begins with, and what it means.
_COMPLAINTS = (
    ("No such server", "unknown_server"),
    ("No such backend", "unknown_backend"),
    ("Can't find backend", "unknown_backend"),
    ("Permission denied", "denied"),
    ("Unknown command", "refused"),
)


class Haproxy:
    """One backend of one HAProxy."""

    name = "haproxy"

    def __init__(self, address: str, backend: str, timeout: float = 5.0, lock_dir: str = lock.DIRECTORY) -> None:
        for what, value in (("backend", backend),):
            _check_word(what, value)
        self._socket = RuntimeSocket(address, timeout)
        self._backend = backend
        self._lock_dir = lock_dir

    def members(self) -> tuple[Member, ...]:
        states = parse_servers_state(self._ask(f"show servers state {self._backend}"), self._backend)
        figures = parse_stat(self._ask("show stat"), self._backend)
        return tuple(_member(name, state, figures.get(name, {})) for name, state in states.items())

    def state(self, server: str) -> Member:
        return find(server, self.members(), f"backend {self._backend!r} of HAProxy")

    def drain(self, server: str) -> None:
        self._set(server, "state drain", DRAINED)

    def ready(self, server: str) -> None:
        self._set(server, "state ready", ACTIVE)

    def in_flight(self, server: str) -> Count:
        """Sessions with the server, and requests in its own queue: those will still go to it."""
        try:
            row = parse_stat(self._ask("show stat"), self._backend).get(server)
        except BalancerError as error:
            return Count(None, error.reason, "unread" if error.kind != "unreachable" else "silent")
        if row is None:
            return Count(None, f"HAProxy's show stat has no {self._backend}/{server}", "unread")
        current, queued = _number(row.get("scur")), _number(row.get("qcur"))
        if current is None or queued is None:
            return Count(None, "HAProxy's show stat has no number in scur or qcur", "unread")
        return Count(current + queued, f"HAProxy: {current} sessions, {queued} queued")

    def weight(self, server: str) -> Weight:
        states = parse_servers_state(self._ask(f"show servers state {self._backend}"), self._backend)
        row = states.get(server)
        current = _number(row.get("srv_uweight")) if row else None
        if row is None or current is None:
            raise BalancerError("unknown_server", f"HAProxy tells no weight of {self._backend}/{server}")
        return Weight(current, _number(row.get("srv_iweight")))

    def set_weight(self, server: str, value: int) -> None:
        _check_word("server", server)
        self._command(f"set server {self._backend}/{server} weight {int(value)}")
        now = self.weight(server).current
        if now != value:
            raise BalancerError("unproven", f"HAProxy was told weight {value} for {server} and has {now}")

    def incarnation(self) -> str:
        """Its process and when that began. In containers every process has the same number."""
        lines = self._ask("show info").splitlines()
        info = dict(line.split(": ", 1) for line in lines if ": " in line)
        if "Pid" not in info:
            raise BalancerError("unreadable", "HAProxy's show info has no Pid")
        return f"{info['Pid']} {info.get('Start_time_sec', '')}".strip()

    def exclusively(self) -> AbstractContextManager[None]:
        return lock.exclusively(f"haproxy {self._socket.address} {self._backend}", self._lock_dir)

    def _set(self, server: str, words: str, wanted: str) -> None:
        _check_word("server", server)
        self._command(f"set server {self._backend}/{server} {words}")
        deadline = time.monotonic() + _SETTLE_SECONDS
        now = self.state(server)
        while now.admin != wanted and time.monotonic() < deadline:
            time.sleep(0.05)
            now = self.state(server)
        if now.admin != wanted:
            raise BalancerError(
                "unproven", f"HAProxy was told {words!r} for {server}, which is {now.admin} ({now.says})"
            )

    def _command(self, command: str) -> None:
        """Run a command whose success is an empty answer."""
        answer = self._ask(command).strip()
        if answer:
            raise BalancerError("refused", f"HAProxy answered {_one_line(answer)!r} to {command!r}")

    def _ask(self, command: str) -> str:
        answer = self._socket.ask(command)
        for sentence, kind in _COMPLAINTS:
            if answer.startswith(sentence):
                hint = "; the socket needs level admin" if kind == "denied" else ""
                raise BalancerError(kind, f"HAProxy answered {_one_line(answer)!r} to {command!r}{hint}")
        return answer


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
                return self._read(connection, deadline)
        except OSError as error:
            raise self._explain(error) from error

    def _connect(self) -> socket.socket:
        if self.address.startswith("/"):
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(self.timeout)
            try:
                connection.connect(self.address)
            except OSError:
                connection.close()
                raise
            return connection
        host, _colon, port = self.address.rpartition(":")
        if not host or not port.isdigit():
            raise BalancerError("refused", f"socket must be an absolute path or HOST:PORT, not {self.address!r}")
        return socket.create_connection((host.strip("[]"), int(port)), self.timeout)

    def _read(self, connection: socket.socket, deadline: float) -> str:
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

    def _explain(self, error: OSError) -> BalancerError:
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


def parse_servers_state(text: str, backend: str) -> dict[str, dict[str, str]]:
    """Read C(show servers state): server name -> column -> value. Raises BalancerError."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2 or lines[0].strip() != "1" or not lines[1].startswith("# "):
        raise BalancerError("unreadable", f"show servers state answered {_one_line(text)!r}, not a table of version 1")
    columns = lines[1][2:].split()
    rows = [dict(zip(columns, line.split())) for line in lines[2:]]
    found = {row["srv_name"]: row for row in rows if row.get("be_name") == backend and "srv_name" in row}
    if not found:
        raise BalancerError("unknown_backend", f"HAProxy has no servers in a backend {backend!r}")
    return found


def parse_stat(text: str, backend: str) -> dict[str, dict[str, str]]:
    """Read C(show stat): server name -> column -> value, of one backend. Raises BalancerError."""
    lines = text.splitlines()
    if not lines or not lines[0].startswith("# pxname,svname,"):
        raise BalancerError("unreadable", f"show stat answered {_one_line(text)!r}, not a table")
    rows = csv.DictReader([lines[0][2:], *lines[1:]])
    return {
        row["svname"]: row for row in rows if row["pxname"] == backend and row["svname"] not in ("BACKEND", "FRONTEND")
    }


def _member(name: str, state: Mapping[str, str], figures: Mapping[str, str]) -> Member:
    bits = _number(state.get("srv_admin_state"))
    if bits is None:
        raise BalancerError("unreadable", f"HAProxy tells no admin state of {name}")
    admin = MAINTENANCE if bits & _MAINTENANCE_BITS else DRAINED if bits & _DRAIN_BITS else ACTIVE
    status, check = figures.get("status", ""), figures.get("check_status", "").lstrip("* ")
    says = f"{status}, {check}" if check else status
    backup = figures.get("bck") == "1"
    return Member(name, admin, _health(state, status, check), _number(state.get("srv_uweight")), backup, says)


def _health(state: Mapping[str, str], status: str, check: str) -> str:
    """A server is up before its first check has ended (INI), and when nobody checks it: neither is known to be so."""
    if state.get("srv_op_state") == "0" or status.startswith(("DOWN", "NOLB")):
        return DOWN
    if state.get("srv_op_state") == "3":  # disable-on-404: finishing what it has
        return DOWN
    return UP if check and not check.startswith(("INI", "UNK")) else UNKNOWN


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and re.match(r"[0-9]{1,12}\Z", text) else None


def _check_word(what: str, value: str) -> None:
    """A blank, a semicolon or a line end in a name would begin another command."""
    if not re.match(r"[A-Za-z0-9_.:-]+\Z", value):
        raise ValueError(f"{what} {value[:100]!r} is no name that HAProxy allows")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:160]
