# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy, by its runtime API.

Seen on HAProxy 2.6 and 3.2 and documented in its management guide: a command that succeeds answers with an empty line,
and one that fails with a sentence and no status. So this adapter trusts no answer and reads every change back.
C(show stat) names its columns, which grow with each version. It shows a drained server that is down as C(DOWN) only, so
the administrative state is read from the bit field in C(show servers state).
"""

from __future__ import annotations

import csv
import re
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, ClassVar

from ..host.plain import one_line, quoted
from . import haproxy_rows, lock
from .haproxy_socket import RuntimeSocket
from .options import TEXT
from .protocol import (
    ACTIVE,
    DOWN,
    DRAINED,
    MAINTENANCE,
    UNKNOWN,
    UP,
    BalancerError,
    BalancerNotSupported,
    Count,
    Obstacle,
    PoolMember,
    Weight,
    find,
)

# Bits of srv_admin_state, as include/haproxy/server-t.h has them. Maintenance: forced, inherited, by resolution. 0x04
# only remembers that the configuration began with it, and 0x40 that the host name was changed at run time.
_MAINTENANCE_BITS = 0x01 | 0x02 | 0x20
_DRAIN_BITS = 0x08 | 0x10
# Bits of srv_agent_state (include/haproxy/check-t.h).
_AGENT_CONFIGURED, _AGENT_ENABLED = 0x02, 0x04
_SETTLE_SECONDS = 2.0

# As src/server.c has it, of an algorithm whose weights are fixed when HAProxy starts.
_STATIC = "static LB algorithm"
_BALANCED_WITHOUT_WEIGHTS = ("first", "static-rr")
_NO_WEIGHTS = "goes by no weight that is set at run time; balance leastconn, roundrobin and random do"

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
    needs: ClassVar[tuple[str, ...]] = ("socket", "backend")
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {"socket": TEXT, "backend": TEXT}

    def __init__(self, address: str, backend: str, timeout: float = 5.0, lock_dir: str = lock.DIRECTORY) -> None:
        for what, value in (("backend", backend),):
            _check_word(what, value)
        self._socket = RuntimeSocket(address, timeout)
        self._backend = backend
        self._lock_dir = lock_dir

    @classmethod
    def opened(cls, options: Mapping[str, Any]) -> Haproxy:
        return cls(options["socket"], options["backend"], options["timeout"], options["lock_dir"])

    def members(self) -> tuple[PoolMember, ...]:
        rows = self._read_servers()
        states = haproxy_rows.servers_of(rows, self._backend)
        figures = parse_stat(self._send("show stat")).get(self._backend, {})
        addresses = haproxy_rows.Addresses(rows)
        members = (_member(name, state, figures.get(name, {})) for name, state in states.items())
        return tuple(self._with_other_backends(member, addresses) for member in members)

    def state(self, server: str) -> PoolMember:
        return find(server, self.members(), f"backend {self._backend!r} of HAProxy")

    def drain(self, server: str) -> None:
        """Drain in every backend that sends to the same address. Refused where one would be left without a server.

        An agent check that answers C(ready) would undo the drain, so agent checks are disabled until ready().
        """
        _check_word("server", server)
        rows = self._read_servers()
        addresses = haproxy_rows.Addresses(rows)
        others = addresses.same(self._backend, server)
        alone = [
            other.label
            for other in others
            if other.backend != self._backend and other.is_active and not addresses.others_serve(other)
        ]
        if alone:
            words = (
                f"{self._backend}/{server} is the same server as {', '.join(alone)}, which would be left without any"
            )
            raise BalancerError("refused", words)
        for place in (haproxy_rows.place_of(rows, self._backend, server), *others):
            if place.agent & _AGENT_ENABLED:
                self._run_command(f"disable agent {place.label}")
            if not place.in_maintenance:
                self._set_state(place, "state drain", DRAINED)

    def ready(self, server: str) -> None:
        """Activate in every backend that sends to the same address, except where another one is in maintenance."""
        _check_word("server", server)
        rows = self._read_servers()
        for other in haproxy_rows.Addresses(rows).same(self._backend, server):
            if not other.in_maintenance:
                self._bring_back(other)
        self._bring_back(haproxy_rows.place_of(rows, self._backend, server))

    def _bring_back(self, place: haproxy_rows.BackendServer) -> None:
        self._set_state(place, "state ready", ACTIVE)
        if place.agent & _AGENT_CONFIGURED and not place.agent & _AGENT_ENABLED:
            self._run_command(f"enable agent {place.label}")

    def in_flight(self, server: str) -> Count:
        """Sessions with the server and requests in its own queue, which will still go to it, in all of its backends."""
        try:
            others = haproxy_rows.Addresses(self._read_servers()).same(self._backend, server)
            figures = parse_stat(self._send("show stat"))
            counts = [
                _sessions_and_queue(figures, *place)
                for place in ((self._backend, server), *((o.backend, o.name) for o in others))
            ]
        except BalancerError as error:
            return Count(None, error.reason, "unread" if error.kind != "unreachable" else "silent")
        current, queued = (sum(each) for each in zip(*counts))
        return Count(current + queued, f"HAProxy: {current} sessions, {queued} queued")

    def weight(self, server: str) -> Weight:
        row = haproxy_rows.servers_of(self._read_servers(), self._backend).get(server)
        current = _parse_number(row.get("srv_uweight")) if row else None
        if row is None or current is None:
            raise BalancerError("unknown_server", f"HAProxy tells no weight of {self._backend}/{server}")
        return Weight(current, _parse_number(row.get("srv_iweight")))

    def set_weight(self, server: str, value: int) -> None:
        _check_word("server", server)
        try:
            self._run_command(f"set server {self._backend}/{server} weight {int(value)}")
        except BalancerError as error:
            if _STATIC in error.reason:
                raise BalancerNotSupported(error.reason) from error
            raise
        now = self.weight(server).current
        if now != value:
            raise BalancerError("unproven", f"HAProxy was told weight {value} for {server} and has {now}")

    def weights_count(self) -> None:
        """By the column C(algo), which a socket of level operator shows.

        C(static-rr) refuses weights at run time, and C(first) takes them and goes by the servers' order and C(maxconn)
        alone (src/lb_fas.c). Of a hash of type map-based HAProxy itself says no, see set_weight().
        """
        algorithm = parse_stat(self._send("show stat"), whole_backends=True).get(self._backend, {}).get("BACKEND", {})
        if algorithm.get("algo") in _BALANCED_WITHOUT_WEIGHTS:
            raise BalancerNotSupported(f"backend {self._backend} has balance {algorithm['algo']}, which {_NO_WEIGHTS}")

    def limit(self, server: str) -> int | None:
        """C(maxconn) of the server: the column C(slim), which is empty without one."""
        row = parse_stat(self._send("show stat")).get(self._backend, {}).get(server)
        if row is None or "slim" not in row:
            raise BalancerError("unknown_server", f"HAProxy tells no limit of {self._backend}/{server}")
        return _parse_number(row["slim"]) or None

    def set_limit(self, server: str, value: int | None) -> None:
        """For HAProxy 0 is no limit. What is more waits in HAProxy's queue, by the priorities of its configuration."""
        _check_word("server", server)
        self._run_command(f"set maxconn server {self._backend}/{server} {int(value or 0)}")
        now = self.limit(server)
        if now != value:
            raise BalancerError("unproven", f"HAProxy was told maxconn {value or 0} for {server} and has {now or 0}")

    def incarnation(self) -> str:
        """HAProxy's process number and start time: in containers the number alone is always the same."""
        lines = self._send("show info").splitlines()
        info = dict(line.split(": ", 1) for line in lines if ": " in line)
        if "Pid" not in info:
            raise BalancerError("unreadable", "HAProxy's show info has no Pid")
        return f"{info['Pid']} {info.get('Start_time_sec', '')}".strip()

    def obstacles(self) -> list[Obstacle]:
        """Reading the tables does not prove that they may be changed: that takes C(level admin) on the socket."""
        level = one_line(self._send("show cli level"), 160)
        if level == "admin":
            return []
        what = f"the socket {self._socket.address} has level {level}, and a drain needs level admin"
        return [Obstacle(what, "write level admin behind this stats socket in haproxy.cfg, and reload HAProxy")]

    def exclusively(self) -> AbstractContextManager[None]:
        return lock.exclusively(f"haproxy {self._socket.address} {self._backend}", self._lock_dir)

    def _read_servers(self) -> list[dict[str, str]]:
        """All servers of all backends."""
        # Ask for the backend first: HAProxy answers with an error that names it where there is none.
        self._send(f"show servers state {self._backend}")
        return haproxy_rows.parse(self._send("show servers state"))

    def _with_other_backends(self, member: PoolMember, addresses: haproxy_rows.Addresses) -> PoolMember:
        """Mark a server as pending that is drained here but still gets requests through another backend."""
        if member.admin == ACTIVE:
            return member
        active, number = addresses.active(self._backend, member.name)
        if not active:
            return member
        more = f" and {number - len(active)} more" if number > len(active) else ""
        return replace(
            member, pending=True, says=f"{member.says}; active as {', '.join(o.label for o in active)}{more}"
        )

    def _set_state(self, place: haproxy_rows.BackendServer, words: str, wanted: str) -> None:
        self._run_command(f"set server {place.label} {words}")
        deadline = time.monotonic() + _SETTLE_SECONDS
        while True:
            now = haproxy_rows.place_of(self._read_servers(), place.backend, place.name)
            if _admin_state(now.admin) == wanted:
                return
            if time.monotonic() >= deadline:
                state = f"{_admin_state(now.admin)} (state {now.admin:#x})"
                raise BalancerError("unproven", f"HAProxy was told {words!r} for {place.label}, which is {state}")
            time.sleep(0.05)

    def _run_command(self, command: str) -> None:
        """Run a command whose success is an empty answer."""
        answer = self._send(command).strip()
        if answer:
            raise BalancerError("refused", f"HAProxy answered {quoted(answer, 160)} to {command!r}")

    def _send(self, command: str) -> str:
        answer = self._socket.ask(command)
        for sentence, kind in _COMPLAINTS:
            if answer.startswith(sentence):
                hint = "; the socket needs level admin" if kind == "denied" else ""
                raise BalancerError(kind, f"HAProxy answered {quoted(answer, 160)} to {command!r}{hint}")
        return answer


def parse_stat(text: str, whole_backends: bool = False) -> dict[str, dict[str, dict[str, str]]]:
    """Read C(show stat): backend -> server name -> column -> value. Raises BalancerError.

    whole_backends: with the rows of backends as such, which are called C(BACKEND).
    """
    others = ("FRONTEND",) if whole_backends else ("BACKEND", "FRONTEND")
    lines = text.splitlines()
    if not lines or not lines[0].startswith("# pxname,svname,"):
        raise BalancerError("unreadable", f"show stat answered {quoted(text, 160)}, not a table")
    try:
        rows = list(csv.DictReader([lines[0][2:], *lines[1:]], restval=""))
    except csv.Error as error:
        raise BalancerError("unreadable", f"show stat answered a table that cannot be read: {error}") from error
    found: dict[str, dict[str, dict[str, str]]] = {}
    for row in rows:
        if row["svname"] not in others:
            found.setdefault(row["pxname"], {})[row["svname"]] = row
    return found


def _member(name: str, state: Mapping[str, str], figures: Mapping[str, str]) -> PoolMember:
    bits = _parse_number(state.get("srv_admin_state"))
    if bits is None:
        raise BalancerError("unreadable", f"HAProxy tells no admin state of {name}")
    admin = _admin_state(bits)
    status, check = figures.get("status", ""), figures.get("check_status", "").lstrip("* ")
    says = f"{status}, {check}" if check else status
    backup = figures.get("bck") == "1"
    return PoolMember(name, admin, _health(state, status, check), _parse_number(state.get("srv_uweight")), backup, says)


def _admin_state(bits: int) -> str:
    return MAINTENANCE if bits & _MAINTENANCE_BITS else DRAINED if bits & _DRAIN_BITS else ACTIVE


def _sessions_and_queue(
    figures: Mapping[str, Mapping[str, Mapping[str, str]]], backend: str, server: str
) -> tuple[int, int]:
    """Sessions and queued requests, out of C(show stat). Raises BalancerError."""
    row = figures.get(backend, {}).get(server)
    if row is None:
        raise BalancerError("unreadable", f"HAProxy's show stat has no {backend}/{server}")
    current, queued = _parse_number(row.get("scur")), _parse_number(row.get("qcur"))
    if current is None or queued is None:
        raise BalancerError("unreadable", "HAProxy's show stat has no number in scur or qcur")
    return current, queued


def _health(state: Mapping[str, str], status: str, check: str) -> str:
    """Health by HAProxy's checks; unknown for a server that HAProxy reports up without a finished check (INI)."""
    if state.get("srv_op_state") == "0" or status.startswith(("DOWN", "NOLB")):
        return DOWN
    if state.get("srv_op_state") == "3":  # disable-on-404: finishing what it has
        return DOWN
    return UP if check and not check.startswith(("INI", "UNK")) else UNKNOWN


def _parse_number(text: str | None) -> int | None:
    return int(text) if text is not None and re.match(r"[0-9]{1,12}\Z", text) else None


def _check_word(what: str, value: str) -> None:
    """Raise ValueError for a name with a blank, a semicolon or a line end, which would begin another command."""
    if not re.match(r"[A-Za-z0-9_.:-]+\Z", value):
        raise ValueError(f"{what} {value[:100]!r} is no name that HAProxy allows")
