# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Receiver and exporter read an address in the same way."""

from __future__ import annotations

import pytest

from autoglm_recovery.addresses import host_and_port, network_of


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ("127.0.0.1:9471", ("127.0.0.1", 9471)),
        ("node-a.example:80", ("node-a.example", 80)),
        ("[::1]:9471", ("::1", 9471)),
        (":9471", ("", 9471)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),  # noqa: S104
    ],
)
def test_an_address_is_split(listen: str, expected: tuple[str, int]) -> None:
    assert host_and_port(listen) == expected


@pytest.mark.parametrize(
    "listen", ["9471", "localhost", "::1:9471", "a:b", "a:", "a:99999", "a:٣", "[::1]", "[a:80", "a:80\n", ""]
)
def test_what_is_no_address_is_refused_with_one_that_is(listen: str) -> None:
    with pytest.raises(ValueError, match=r"is not HOST:PORT, such as 127\.0\.0\.1:8080 or \[::1\]:8080"):
        host_and_port(listen)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
    ],
)
def test_an_ipv6_host_is_its_network(address: str, network: str) -> None:
    assert network_of(address) == network
