# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module of Ansible's own, run as Ansible runs it; what the host answers is looked at before Ansible is."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible.plugins.loader import action_loader
from ansible_collections.autoglm.recovery.plugins.plugin_utils.answers import ActionModule as OurAction
from ansible_collections.autoglm.recovery.plugins.plugin_utils.answers import LookedAt

# Those that the playbooks use, none of which answers with facts, hosts or groups.
_SPEC = {
    "module": {
        "type": "str",
        "required": True,
        "choices": ["ansible.builtin.command", "ansible.builtin.uri"],
    },
    "options": {"type": "dict", "required": True},
}


class ActionModule(OurAction):
    """Run the action of the module that is named, with every answer of the host looked at."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module."""
        _result, given = self.validate_argument_spec(argument_spec=_SPEC)
        task = self._task.copy()
        task.action, task.args = given["module"], given["options"]
        inner = _looked_at(task.action)(
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        result: dict[str, Any] = inner.run(tmp, task_vars)
        return result


def _looked_at(module: str) -> Any:
    """Return the class of a module's own action, or of the action of modules that have none, with answers looked at."""
    own = action_loader.get(module, class_only=True) if action_loader.has_plugin(module) else None
    return type("ActionModule", (LookedAt, own or NormalAction), {})
