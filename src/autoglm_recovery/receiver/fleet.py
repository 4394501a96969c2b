# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet as Ansible's inventory tells it, and how it is read."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from autoglm_recovery.receiver.ansible import AnsibleError, ask_ansible

# What Ansible reads as one name and never as a pattern: no comma, colon, wildcard, bracket, ~, !, & or @.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}\Z", re.ASCII)


class InventoryError(RuntimeError):
    """The inventory could not be read."""


@dataclass(frozen=True)
class Service:
    """An inference service of a host, as C(autoglm_services) in the inventory declares it."""

    name: str
    pool: str | None = None


@dataclass(frozen=True)
class Host:
    """One host of the inventory."""

    name: str
    address: str | None = None
    services: tuple[Service, ...] = ()


@dataclass(frozen=True)
class Fleet:
    """All hosts, by their exact inventory names."""

    hosts: Mapping[str, Host] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()

    def find(self, word: str) -> Host | None:
        """Return the host of exactly this name, or the only one with exactly this address."""
        if word in self.hosts:
            return self.hosts[word]
        found = self._by_address.get(_canonical(word), ())
        return found[0] if len(found) == 1 else None

    @cached_property
    def _by_address(self) -> dict[str, list[Host]]:
        index: dict[str, list[Host]] = {}
        for host in self.hosts.values():
            if host.address:
                index.setdefault(_canonical(host.address), []).append(host)
        return index

    @cached_property
    def pools(self) -> dict[str, frozenset[tuple[str, str]]]:
        """The members of each pool, as host and service."""
        members: dict[str, set[tuple[str, str]]] = {}
        for host in self.hosts.values():
            for service in host.services:
                if service.pool is not None:
                    members.setdefault(service.pool, set()).add((host.name, service.name))
        return {pool: frozenset(found) for pool, found in members.items()}

    def limitable(self, name: str) -> bool:
        """Tell whether C(--limit NAME) means this one host and nothing else."""
        if name in self.groups or name in ("all", "ungrouped"):
            return False
        return _PLAIN_NAME.match(name) is not None or _is_ipv6(name)


def _canonical(word: str) -> str:
    try:
        return str(ipaddress.ip_address(word))
    except ValueError:
        return word


def _is_ipv6(word: str) -> bool:
    try:
        return isinstance(ipaddress.ip_address(word), ipaddress.IPv6Address) and "%" not in word
    except ValueError:
        return False


def read_fleet(inventory: Path) -> Fleet:
    """Ask C(ansible-inventory), so that every inventory plugin works.

    :raises InventoryError: with what Ansible said.
    """
    if not inventory.exists():
        raise InventoryError(f"inventory {inventory} does not exist")
    # Without this an inventory that cannot be parsed is an empty one and a warning.
    environment = {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true"}
    try:
        listing = ask_ansible("ansible-inventory", "--list", "--inventory", str(inventory), environment=environment)
        return fleet_from(listing)
    except (AnsibleError, ValueError) as error:
        raise InventoryError(f"inventory {inventory}: {error}") from error


def fleet_from(listing: Mapping[str, Any]) -> Fleet:
    """Build the fleet from what C(ansible-inventory --list) prints.

    :raises ValueError: if C(autoglm_services) of a host is not a list of mappings with names.
    """
    variables: dict[str, dict[str, Any]] = listing.get("_meta", {}).get("hostvars", {})
    groups = {name for name in listing if name != "_meta"}
    names = set(variables)
    for group in groups:
        names.update(listing[group].get("hosts", ()))
    hosts = {name: _host(name, variables.get(name, {})) for name in sorted(names)}
    return Fleet(hosts=hosts, groups=frozenset(groups))


def _host(name: str, variables: Mapping[str, Any]) -> Host:
    declared = variables.get("autoglm_services", [])
    if not isinstance(declared, list) or not all(
        isinstance(s, dict) and isinstance(s.get("name"), str) for s in declared
    ):
        raise ValueError(f"autoglm_services of {name} must be a list of mappings, each with a name")
    address = variables.get("ansible_host")
    services = tuple(Service(name=s["name"], pool=s.get("pool")) for s in declared)
    return Host(name=name, address=address if isinstance(address, str) else None, services=services)
