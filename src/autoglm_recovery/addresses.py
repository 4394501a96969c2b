# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses: the one to listen on, and whose a connection is. Receiver and exporter read both in the same way."""

from __future__ import annotations

import ipaddress
import re

_LISTEN = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]]*)):(?P<port>[0-9]{1,5})")


def host_and_port(listen: str) -> tuple[str, int]:
    """Split ``HOST:PORT`` or ``[IPv6]:PORT``; the host may be empty.

    Raises ValueError if it is neither.
    """
    match = _LISTEN.fullmatch(listen)
    if match is None or int(match["port"]) >= 1 << 16:
        raise ValueError(f"{listen!r} is not HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080")
    return match["six"] or match["host"], int(match["port"])


def network_of(address: str) -> str:
    """Return what counts as one peer: an IPv4 address, or the /64 of an IPv6 one, of which a host has every address.

    What is no address is returned as it is.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
