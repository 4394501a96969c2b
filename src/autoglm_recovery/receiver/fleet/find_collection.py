# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask Ansible's own loader where collections are: ``python -m ... NAME ...`` prints a JSON object, name by name.

The loader takes the first of the configured folders, then of this interpreter's, that holds the collection.
``ansible-galaxy collection list`` cannot tell which one that is: it prints the folders in alphabetical order.
In a process of its own, because the loader stays in the interpreter, with the configuration of its first call.
"""

from __future__ import annotations

import importlib
import json
import sys


def main(names: list[str]) -> None:
    """Print where each collection is that playbooks would come from, or null."""
    importlib.import_module("ansible.plugins.loader").init_plugin_loader()
    print(json.dumps({name: _root(name) for name in names}))


def _root(name: str) -> str | None:
    try:
        package = importlib.import_module(f"ansible_collections.{name}")
    except ModuleNotFoundError:
        return None
    return str(next(iter(package.__path__)))


if __name__ == "__main__":
    main(sys.argv[1:])
