# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List an inventory as ``ansible-inventory --list`` does, but what concerns us as plays see it.

``ansible-inventory`` prints variables as they were written: a name or an address that is a template, or that is
encrypted in place, is not what a play gets.  So what is ours is templated and decrypted here, by Ansible's own engine.
In a process of its own (``python -m ... OPTIONS``), because Ansible's settings are read once.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

CONCERNS = ("autoglm", "ansible_host")


def main(arguments: list[str]) -> None:
    """Print the inventory; options are those of ``ansible-inventory``."""
    plain: Any = importlib.import_module("ansible.cli.inventory").InventoryCLI
    templar: Any = importlib.import_module("ansible.template").Templar
    vault: Any = importlib.import_module("ansible.parsing.vault")
    undecided: Any = importlib.import_module("ansible.errors").AnsibleError

    class Reader(plain):  # type: ignore[misc]
        def _get_host_variables(self, host: Any) -> dict[str, Any]:
            variables: dict[str, Any] = dict(super()._get_host_variables(host))
            ours = [name for name in variables if name.startswith(CONCERNS)]
            if not ours:
                return variables
            engine = templar(loader=self.loader, variables=self.vm.get_vars(host=host, include_hostvars=True))

            def value(leaf: Any) -> Any:
                try:
                    found = str(leaf) if isinstance(leaf, vault.EncryptedString) else engine.template(leaf)
                except vault.AnsibleVaultError:
                    raise
                except undecided:
                    # What only a play knows, such as facts: whoever needs it says that it is a template.
                    return leaf
                # A text remembers that it was encrypted, and would be printed so again.
                return found.encode().decode() if isinstance(found, str) else found

            return {**variables, **{name: each_leaf(variables[name], value) for name in ours}}

    Reader.cli_executor(["ansible-inventory", *arguments])


def each_leaf(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return a copy of a nested value, each leaf of it changed.  A template that stands for a list is a leaf."""
    if isinstance(value, dict):
        return {key: each_leaf(held, change) for key, held in value.items()}
    if isinstance(value, list):
        return [each_leaf(held, change) for held in value]
    return change(value)


if __name__ == "__main__":
    main(sys.argv[1:])
