# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people have configured for Ansible counts in runs too, where ansible-runner would decide otherwise.

ansible-runner 2.4 (``config/_base.py``) works in a folder of its own, where no ``ansible.cfg`` is found, and sets over
``ansible.cfg`` what it needs or prefers: host keys are not checked, so that whoever answers for a host's address gets
root's commands; facts are kept in a cache of its own, and with them what inventory plugins cache; callback plugins are
looked for in its folder alone.  A run must be what ``ansible-playbook`` would be, started where the receiver was.

For processes that have Ansible imported, or can: a supervisor's child, and the zygote.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, MutableMapping
from typing import Any

HOST_KEYS = "ANSIBLE_HOST_KEY_CHECKING"
CALLBACKS = "ANSIBLE_CALLBACK_PLUGINS"
# For ansible-runner: no cache of facts of its own.
NO_CACHE = {"fact_cache_type": "none"}
_PATHS = frozenset({"path", "pathlist", "pathspec", "tmp", "tmppath"})


def variables(manager: Any = None) -> dict[str, str]:
    """Return variables with which ansible-runner leaves ``ansible.cfg`` of the current folder its word.

    It adds its own folder of callback plugins to those that the environment names, and forgets all others.
    """
    if os.environ.get(CALLBACKS):
        return {}
    settings = manager or configuration()
    found, origin = settings.get_config_value_and_origin("DEFAULT_CALLBACK_PLUGIN_PATH")
    if origin == "default":
        # Ansible's own, which is a template there.
        home = settings.get_config_value("ANSIBLE_HOME")
        found = [os.path.join(home, "plugins/callback"), "/usr/share/ansible/plugins/callback"]
    return {CALLBACKS: os.pathsep.join(found)}


def leave_to_ansible(prepared: MutableMapping[str, str]) -> None:
    """Take what ansible-runner decided out of the environment that it has prepared; what people have set stays."""
    if HOST_KEYS not in os.environ:
        prepared.pop(HOST_KEYS, None)


def configuration() -> Any:
    """Return Ansible's settings as they are in this folder and environment."""
    return importlib.import_module("ansible.config.manager").ConfigManager()


def file(environment: Mapping[str, str] | None = None) -> str | None:
    """Return the ``ansible.cfg`` that counts in the current folder, and in ``environment`` or else the one of now."""
    manager = importlib.import_module("ansible.config.manager")
    kept = dict(os.environ)
    try:
        if environment is not None:
            _become(environment)
        found = manager.find_ini_config_file()
    finally:
        if environment is not None:
            _become(kept)
    return None if found is None else os.path.abspath(os.fsdecode(found))


def _become(environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)


def path_variables() -> frozenset[str]:
    """Return the names of variables whose values are paths on the machine where Ansible runs."""
    definitions = configuration().get_configuration_definitions().values()
    return frozenset({"ANSIBLE_CONFIG"}) | frozenset(
        str(entry["name"])
        for definition in definitions
        if definition.get("type") in _PATHS
        for entry in definition.get("env") or ()
    )
