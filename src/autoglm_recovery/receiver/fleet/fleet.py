# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet as Ansible's inventory tells it, and how it is read."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import NoneType
from typing import Any

from autoglm_recovery.knowledge.host.names import is_one_host
from autoglm_recovery.receiver.fleet.ansible import AnsibleError, listed
from autoglm_recovery.receiver.fleet.read_inventory import CONCERNS


class InventoryError(RuntimeError):
    """The inventory could not be read."""


@dataclass(frozen=True)
class InferenceService:
    """An inference service of a host, as ``autoglm_services`` in the inventory declares it."""

    name: str
    pool: str | None = None


@dataclass(frozen=True)
class Host:
    """One host of the inventory.  ``aliases`` are the names that monitoring has for it (``autoglm_aliases``)."""

    name: str
    address: str | None = None
    services: tuple[InferenceService, ...] = ()
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fleet:
    """All hosts, by their exact inventory names.

    ``declared`` are the variables of each host that concern us, as the inventory has them.
    """

    hosts: Mapping[str, Host] = field(default_factory=dict)
    groups: frozenset[str] = frozenset()
    declared: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, compare=False, repr=False)

    def find(self, word: str) -> Host | None:
        """Return the only host that has exactly this name, alias or address, in whatever case."""
        found = self.named(word)
        return found[0] if len(found) == 1 else None

    def named(self, word: str) -> tuple[Host, ...]:
        """Return all hosts that have this name, alias or address: of two that share one, it names neither."""
        return tuple(self._by_name.get(_canonical(word), ()))

    @cached_property
    def _by_name(self) -> dict[str, list[Host]]:
        index: dict[str, list[Host]] = {}
        for host in self.hosts.values():
            for word in {_canonical(name) for name in (host.name, host.address, *host.aliases) if name}:
                index.setdefault(word, []).append(host)
        return index

    @cached_property
    def hosts_of_service(self) -> dict[str, tuple[str, ...]]:
        """The names of the hosts that have a service of a name."""
        having: dict[str, list[str]] = {}
        for host in self.hosts.values():
            for service in host.services:
                having.setdefault(service.name, []).append(host.name)
        return {name: tuple(sorted(hosts)) for name, hosts in having.items()}

    @cached_property
    def pools(self) -> dict[str, frozenset[tuple[str, str]]]:
        """The members of each pool, as host and service."""
        members: dict[str, set[tuple[str, str]]] = {}
        for host in self.hosts.values():
            for service in host.services:
                if service.pool is not None:
                    members.setdefault(service.pool, set()).add((host.name, service.name))
        return {pool: frozenset(found) for pool, found in members.items()}

    @cached_property
    def serving(self) -> frozenset[str]:
        """The hosts of which a share may be out of service: those that have services, or all where none has any."""
        return frozenset(name for name, host in self.hosts.items() if host.services) or frozenset(self.hosts)

    def limitable(self, name: str) -> bool:
        """Tell whether ``--limit NAME`` means this one host and nothing else."""
        if name in self.groups or name in ("all", "ungrouped"):
            return False
        return is_one_host(name)


def _canonical(word: str) -> str:
    try:
        return str(ipaddress.ip_address(word))
    except ValueError:
        # Host names know no case, and are ASCII: what only looks alike in Unicode stays another word.
        return word.lower() if word.isascii() else word


def _is_ipv6(word: str) -> bool:
    try:
        return isinstance(ipaddress.ip_address(word), ipaddress.IPv6Address) and "%" not in word
    except ValueError:
        return False


def read_fleet(inventory: Path, playbooks: Path) -> Fleet:
    """Ask Ansible, so that every inventory plugin works.  ``playbooks`` is where the playbooks are that runs take.

    Raises InventoryError with what Ansible said.
    """
    if not inventory.exists():
        raise InventoryError(f"inventory {inventory} does not exist")
    try:
        return fleet_from(listed(inventory, playbooks))
    except (AnsibleError, ValueError) as error:
        raise InventoryError(f"inventory {inventory}: {error}") from error


def variables_of(listing: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the variables of every host in what ``ansible-inventory --list`` prints, those without any included.

    Raises ValueError if the hosts of a group are no list.
    """
    variables = _mapping(_mapping(listing.get("_meta")).get("hostvars"))
    grouped = [host for name in listing if name != "_meta" for host in _members(name, listing[name])]
    return {str(host): _mapping(variables.get(host)) for host in sorted({*variables, *map(str, grouped)})}


def _members(name: str, group: Any) -> list[Any]:
    hosts = _mapping(group).get("hosts")
    if hosts is not None and not isinstance(hosts, list):
        raise ValueError(f"the hosts of group {name} are no list")
    return hosts or []


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def fleet_from(listing: Mapping[str, Any]) -> Fleet:
    """Build the fleet from what ``ansible-inventory --list`` prints.

    Raises ValueError if ``autoglm_services`` of a host is not a list of mappings with names, or ``autoglm_aliases`` not
    one of names.
    """
    variables = variables_of(listing)
    hosts = {name: _host(name, given) for name, given in variables.items()}
    declared = {
        host: {name: value for name, value in given.items() if name.startswith(CONCERNS)}
        for host, given in variables.items()
    }
    return Fleet(hosts=hosts, groups=frozenset(listing) - {"_meta"}, declared=declared)


def _host(name: str, variables: Mapping[str, Any]) -> Host:
    declared = variables.get("autoglm_services", [])
    if not isinstance(declared, list) or not all(
        isinstance(s, dict) and isinstance(s.get("name"), str) for s in declared
    ):
        raise ValueError(f"autoglm_services of {name} must be a list of mappings, each with a name")
    unnamed = next((s["name"] for s in declared if not isinstance(s.get("pool"), (str, NoneType))), None)
    if unnamed is not None:
        raise ValueError(f"the pool of service {unnamed} of {name} must be a name; if it looks like a number, quote it")
    aliases = variables.get("autoglm_aliases", [])
    if not isinstance(aliases, list) or not all(isinstance(alias, str) and alias.strip() for alias in aliases):
        raise ValueError(f"autoglm_aliases of {name} must be a list of the other names that monitoring has for it")
    address = variables.get("ansible_host")
    services = tuple(InferenceService(name=s["name"], pool=s.get("pool")) for s in declared)
    return Host(
        name=name,
        address=address if isinstance(address, str) else None,
        services=services,
        aliases=tuple(alias.strip() for alias in aliases),
    )
