# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of a host as the inventory declares them: with extra variables, but without any values from hosts.

In Ansible facts rank above the inventory, so a host could change its own variables, and those beside it, during a run.
So the inventory is read again by a second variable manager, with the sources of the first one (inventory, group_vars,
host_vars, extra variables) but without its memory (facts, their cache, set_fact, register, include_vars).
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleError, AnsibleLookupError
from ansible.template import Templar
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager


class _EmptyFactCache(dict):  # type: ignore[type-arg]  # Ansible uses it as a cache plugin
    """A fact cache without facts of any host."""

    def get(self, key: Any, default: Any = None) -> dict[str, Any]:  # noqa: ARG002 - as a cache plugin has it
        return {}


class Declarations:
    """The declared variables of an inventory, host by host."""

    def __init__(self, hostvars: HostVars) -> None:
        """C(hostvars) is the variable of that name in the run."""
        self._running = hostvars
        self._inventory = hostvars._inventory
        self._loader = hostvars._loader
        self._manager = VariableManager(loader=self._loader, inventory=self._inventory)
        self._manager._fact_cache = _EmptyFactCache()  # type: ignore[assignment]  # asked by get() alone
        # For templates of the inventory that use hostvars of another host.
        HostVars(inventory=self._inventory, variable_manager=self._manager, loader=self._loader)
        self._read: dict[str, HostDeclarations] = {}

    @classmethod
    def of_run(cls, variables: Mapping[str, Any]) -> Declarations:
        """Return the declarations of the run that these variables of a plugin belong to.

        They are kept for a task's process, which ends with its task, but not in the main process, whose inventory may
        change.
        """
        hostvars = variables["hostvars"]
        if multiprocessing.parent_process() is None:
            return cls(hostvars)
        kept = _KEPT.get(os.getpid())
        if kept is None or kept._running is not hostvars:
            _KEPT.clear()
            kept = _KEPT[os.getpid()] = cls(hostvars)
        return kept

    def of_host(self, name: str) -> HostDeclarations:
        """Return the variables of one host.

        Raises AnsibleLookupError if the inventory has no such host.
        """
        if name not in self._read:
            host = self._inventory.get_host(name)
            if host is None:
                raise AnsibleLookupError(f"the inventory has no host {name!r}")
            self._read[name] = HostDeclarations(name, self._manager.get_vars(host=host), self._loader)
        return self._read[name]

    def facts_of(self, name: str) -> dict[str, Any]:
        """Return the facts that the run has of a host; all other methods leave them out."""
        try:
            return self._running._variable_manager._fact_cache.get(name) or {}
        except KeyError:
            return {}


_KEPT: dict[int, Declarations] = {}


class HostDeclarations(Mapping[str, Any]):
    """The variables of one host; a value is templated when it is read."""

    def __init__(self, host: str, variables: dict[str, Any], loader: Any) -> None:
        self._host = host
        self._variables = variables
        self._templar = Templar(loader=loader, variables=variables)
        self._values: dict[str, Any] = {}

    @property
    def as_written(self) -> Mapping[str, Any]:
        """The variables with their templates."""
        return self._variables

    def __getitem__(self, name: str) -> Any:
        """Raises AnsibleLookupError if the value cannot be made of what the inventory holds."""
        if name not in self._values:
            try:
                self._values[name] = self._templar.template(self._variables[name])
            except AnsibleError as error:
                raise AnsibleLookupError(
                    f"{name} of {self._host} must be known from the inventory alone, without facts: {error}"
                ) from error
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._variables

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)
