# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inference services of this node, and the service of a process by its control group.

The services file is YAML or JSON: a list of ``{name, pool, unit, programs}``, as in the inventory.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from autoglm_recovery.knowledge.host import bounded_yaml
from autoglm_recovery.knowledge.host.contained import in_container
from autoglm_recovery.knowledge.services.ownership import unit_among

_KEYS = {"name", "pool", "unit"}
_MOST_PROGRAMS = 1000


class ServicesError(Exception):
    """The services file cannot be used; the message says why."""


@dataclass(frozen=True)
class NodeService:
    """One inference service of this node.  ``programs``: all that may run in it; without any it is not watched."""

    name: str
    pool: str
    unit: str
    programs: frozenset[str] = frozenset()


NOBODY = NodeService("", "", "")


class Services:
    """Finds the service of a control group.

    ``contained``: the services run under a container's systemd, so the kernel's lines prefix their groups with the
    container's group.
    """

    def __init__(self, services: Iterable[NodeService] = (), *, contained: bool = False) -> None:
        self.all = tuple(services)
        self._contained = contained
        self._by_unit = {service.unit: service for service in self.all}
        self._by_name = {service.name: service for service in self.all}

    def of_group(self, path: str) -> NodeService | None:
        """Return the service whose unit is this control group or encloses it."""
        unit = unit_among(path, self._by_unit, contained=self._contained)
        return None if unit is None else self._by_unit[unit]

    def of_membership(self, text: str) -> NodeService | None:
        """Return the service of a process from its ``/proc/PID/cgroup``, of either version."""
        for line in text.splitlines():
            fields = line.split(":", 2)
            found = self.of_group(fields[2]) if len(fields) == 3 else None
            if found is not None:
                return found
        return None

    def named(self, name: object) -> NodeService | None:
        """Return the service of this name."""
        return self._by_name.get(name) if isinstance(name, str) else None


def load_services(path: Path) -> Services:
    """Read the services file.  Raises ServicesError."""
    try:
        document = bounded_yaml.load(path.read_text("utf-8"))
    except OSError as error:
        raise ServicesError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ServicesError(f"{path} is neither YAML nor JSON: {error}") from error
    if document is None:
        return Services()
    if not isinstance(document, list):
        raise ServicesError(f"{path} must be a list of services with name, pool and unit")
    services = [_parse_service(entry, f"{path}, service {number}") for number, entry in enumerate(document, 1)]
    for key in ("name", "unit"):
        values = [getattr(service, key) for service in services]
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise ServicesError(f"{path}: {key} {', '.join(twice)} is there more than once")
    return Services(services, contained=in_container())


def _parse_service(entry: object, place: str) -> NodeService:
    if not isinstance(entry, dict) or not {"name", "unit"} <= set(entry) <= _KEYS | {"programs"}:
        raise ServicesError(f"{place} must have name and unit, may have pool and programs, and nothing else")
    values = {key: entry.get(key, "") for key in _KEYS}
    for key, value in values.items():
        if not isinstance(value, str) or (key != "pool" and not value) or "\n" in value or "/" in value:
            raise ServicesError(f"{place}: {key} must be a text without slashes or line breaks")
    # systemd's own shorthand: a name without a type is a service
    unit = values["unit"] if "." in values["unit"] else f"{values['unit']}.service"
    return NodeService(values["name"], values["pool"], unit, _parse_programs(entry.get("programs", []), place))


def _parse_programs(entry: object, place: str) -> frozenset[str]:
    if not isinstance(entry, list) or len(entry) > _MOST_PROGRAMS:
        raise ServicesError(f"{place}: programs must be a list of at most {_MOST_PROGRAMS} paths")
    for path in entry:
        if not isinstance(path, str) or not path.startswith("/") or os.path.normpath(path) != path or "\n" in path:
            raise ServicesError(
                f"{place}: a program is an absolute path without links, . and .., as /proc/PID/exe has it"
            )
    return frozenset(entry)
