# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HAProxy's table of servers: which of its rows are servers, and which of them are the same one.

Read in doc/management.txt (show servers state) and in src/server.c and src/resolvers.c of HAProxy: the slots of a
C(server-template) that resolution has not filled have no address and are in maintenance by resolution.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Optional

from ..host.numbers import whole_number
from ..host.plain import quoted
from .protocol import BalancerError

_BY_RESOLUTION = 0x20
_OUT = 0x01 | 0x02 | 0x20
_DRAIN = 0x08 | 0x10
_RUNNING = "2"
_NO_ADDRESS = ("-", "0.0.0.0", "::", "")  # noqa: S104  # HAProxy's addresses of servers that are not resolved
_SLOT = re.compile(r"(?P<prefix>.*?)[0-9]+\Z")

# At most so many other entries of a server are named in a reason.
_MOST_NAMED = 8

Row = dict[str, str]
_Address = Optional[tuple[str, str]]
_Template = tuple[str, str, str]


@dataclass(frozen=True)
class BackendServer:
    """One server of one backend. C(admin) and C(agent): the bit fields of srv_admin_state and srv_agent_state."""

    backend: str
    name: str
    admin: int
    agent: int

    @property
    def label(self) -> str:
        return f"{self.backend}/{self.name}"

    @property
    def in_maintenance(self) -> bool:
        return bool(self.admin & _OUT)

    @property
    def is_active(self) -> bool:
        return not self.admin & (_OUT | _DRAIN)


def parse(text: str) -> list[Row]:
    """Every row: column -> value. Raises BalancerError."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2 or lines[0].strip() != "1" or not lines[1].startswith("# "):
        raise BalancerError("unreadable", f"show servers state answered {quoted(text, 160)}, not a table of version 1")
    columns = lines[1][2:].split()
    rows = [dict(zip(columns, line.split())) for line in lines[2:]]
    return [row for row in rows if "be_name" in row and "srv_name" in row]


def servers_of(rows: Sequence[Row], backend: str) -> dict[str, Row]:
    """Server name -> row, without the slots of a template that nothing fills. Raises BalancerError."""
    ours = [row for row in rows if row["be_name"] == backend]
    slots = Counter(filter(None, map(_template, ours)))
    found = {row["srv_name"]: row for row in ours if not _is_empty_slot(row, slots)}
    if not found:
        unfilled = f", but {len(ours)} slots that resolution has not filled" if ours else ""
        raise BalancerError("unknown_backend", f"HAProxy has no servers in a backend {backend!r}{unfilled}")
    return found


def place_of(rows: Sequence[Row], backend: str, name: str) -> BackendServer:
    """One server of a backend. Raises BalancerError where there is none of that name."""
    row = servers_of(rows, backend).get(name)
    if row is None:
        names = ", ".join(list(servers_of(rows, backend))[:20])
        raise BalancerError("unknown_server", f"backend {backend!r} of HAProxy has no server {name!r}; it has: {names}")
    return _backend_server(row)


class Addresses:
    """Index of the servers by address and port: several entries with one address are the same server."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._address_of: dict[tuple[str, str], _Address] = {}
        self._servers_at: dict[_Address, list[BackendServer]] = {}
        self._serving: dict[str, set[_Address]] = {}
        for row in rows:
            address, place = _address(row), _backend_server(row)
            self._address_of.setdefault((place.backend, place.name), address)
            if address is not None:
                self._servers_at.setdefault(address, []).append(place)
            if place.is_active and row.get("srv_op_state") == _RUNNING and row.get("srv_uweight") != "0":
                self._serving.setdefault(place.backend, set()).add(address)
        self._active = {address: [place for place in at if place.is_active] for address, at in self._servers_at.items()}

    def same(self, backend: str, name: str) -> list[BackendServer]:
        """The other entries with the address and port of a server: requests reach it through them too."""
        at = self._servers_at.get(self._address_of.get((backend, name)), [])
        return [place for place in at if (place.backend, place.name) != (backend, name)]

    def active(self, backend: str, name: str) -> tuple[list[BackendServer], int]:
        """The active entries with the address of an inactive server: the first few, and how many there are."""
        active = self._active.get(self._address_of.get((backend, name)), [])
        return active[:_MOST_NAMED], len(active)

    def others_serve(self, place: BackendServer) -> bool:
        """Whether another server of the same backend gets requests."""
        serving = self._serving.get(place.backend, set())
        return len(serving) > (self._address_of.get((place.backend, place.name)) in serving)


def _is_empty_slot(row: Row, slots: Mapping[_Template, int]) -> bool:
    """Whether a row is an unused slot of a C(server-template): one of several that resolve a name, without address."""
    resolved = _template(row)
    several = resolved is not None and slots[resolved] > 1
    return several and (_address(row) is None or bool(_bit_field(row.get("srv_admin_state")) & _BY_RESOLUTION))


def _template(row: Row) -> _Template | None:
    """Prefix of the name, host name and SRV record; None for a server that is not resolved."""
    slot = _SLOT.match(row["srv_name"])
    # The slots of an SRV record get their host names from its answers: those of one template differ.
    record = row.get("srvrecord", "-")
    host = row.get("srv_fqdn", "-") if record == "-" else "-"
    return None if slot is None or (host, record) == ("-", "-") else (slot["prefix"], host, record)


def _backend_server(row: Row) -> BackendServer:
    return BackendServer(
        row["be_name"], row["srv_name"], _bit_field(row.get("srv_admin_state")), _bit_field(row.get("srv_agent_state"))
    )


def _address(row: Row) -> _Address:
    address, port = row.get("srv_addr", "-"), row.get("srv_port", "0")
    return None if address in _NO_ADDRESS else (address, port)


def _bit_field(text: str | None) -> int:
    """A bit field as a number; 0, which has no bit set, where HAProxy gives no number."""
    return whole_number(text) or 0
