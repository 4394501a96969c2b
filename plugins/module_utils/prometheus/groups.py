# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups out of what is known of hosts.  Pure.

A group's name is made of a stranger's text. Two texts that would make one name make none, because whoever acts on a
group acts on all of it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..host.plain import quoted

PREFIX = "autoglm_"
FLEET = "autoglm_fleet"
KINDS = ("gpu", "pool", "presence", "quarantined", "role", "service", "verdict")
_FIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,62}\Z", re.ASCII)
_UNFIT = re.compile(r"[^A-Za-z0-9_]")


@dataclass(frozen=True)
class Groups:
    """Which hosts are in each group."""

    members: Mapping[str, Sequence[str]]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Grouped:
    """Hosts and groups, of which none has the name of another; C(warnings): which would have had, and were left out."""

    hosts: Mapping[str, Mapping[str, Any]]
    groups: Mapping[str, Sequence[str]]
    warnings: tuple[str, ...]


def grouped(
    hosts: Mapping[str, Mapping[str, Any]],
    kinds: Sequence[str],
    hosts_there: Collection[str] = (),
    groups_there: Collection[str] = (),
) -> Grouped:
    """Hosts and their groups, beside those that the inventory has already."""
    taken = {"all", "ungrouped", *groups_there}
    taken |= groups_of({name: each for name, each in hosts.items() if name not in taken}, kinds).members.keys()
    left = {name: each for name, each in hosts.items() if name not in taken}
    found = groups_of(left, kinds)
    members = {group: names for group, names in found.members.items() if group not in hosts_there}
    clashes = [
        f"{quoted(name)} is a host's name and a group's: the host is left out" for name in hosts if name in taken
    ]
    clashes += [
        f"{group} is a group's name and a host's: the group is left out"
        for group in found.members.keys() - members.keys()
    ]
    return Grouped(left, members, (*clashes, *found.warnings))


def groups_of(hosts: Mapping[str, Mapping[str, Any]], kinds: Sequence[str]) -> Groups:
    """The group of all hosts, and those of each kind that is asked for."""
    meant: dict[str, dict[str, list[str]]] = {}
    unfit: set[tuple[str, str]] = set()
    for name, variables in hosts.items():
        for kind in kinds:
            for value in _values(kind, variables):
                if kind == "quarantined":
                    meant.setdefault(PREFIX + kind, {}).setdefault("", []).append(name)
                elif _FIT.match(value):
                    group = f"{PREFIX}{kind}_{_UNFIT.sub('_', value)}"
                    meant.setdefault(group, {}).setdefault(value, []).append(name)
                else:
                    unfit.add((kind, value))
    warnings = [
        f"there is no group of {kind} {quoted(value)}: the name is unfit for one" for kind, value in sorted(unfit)
    ]
    members: dict[str, Sequence[str]] = {FLEET: list(hosts)}
    for group, by_value in sorted(meant.items()):
        if len(by_value) == 1:
            members[group] = next(iter(by_value.values()))
        else:
            several = " and ".join(quoted(value) for value in sorted(by_value))
            warnings.append(f"there is no group {group}: {several} would be one")
    return Groups(members, tuple(warnings))


def _values(kind: str, variables: Mapping[str, Any]) -> Iterator[str]:
    """What puts a host into groups of a kind."""
    if kind == "quarantined":
        yield from ("true",) if variables.get("autoglm_quarantined") else ()
    elif kind in ("presence", "verdict"):
        yield variables[f"autoglm_{kind}"]
    else:
        yield from variables[
            {
                "gpu": "autoglm_gpu_models",
                "pool": "autoglm_pool_names",
                "role": "autoglm_roles",
                "service": "autoglm_service_names",
            }[kind]
        ]
