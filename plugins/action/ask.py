# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs one of Ansible's own modules as Ansible does, but checks the host's answer before Ansible gets it."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible.plugins.loader import action_loader
from ansible_collections.autoglm.recovery.plugins.plugin_utils.answers import ActionModule as OurAction
from ansible_collections.autoglm.recovery.plugins.plugin_utils.answers import LookedAt

# The modules that the playbooks use; none of them answers with facts, hosts or groups.
_SPEC = {
    "module": {
        "type": "str",
        "required": True,
        "choices": ["ansible.builtin.command", "ansible.builtin.uri"],
    },
    "options": {"type": "dict", "required": True},
}


class ActionModule(OurAction):
    """Run the action of the named module, and check every answer of the host."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module."""
        _result, given = self.validate_argument_spec(argument_spec=_SPEC)
        task = self._task.copy()
        task.action, task.args = given["module"], given["options"]
        inner = _checked_action(task.action)(
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        result: dict[str, Any] = inner.run(tmp, task_vars)
        return result


def _checked_action(module: str) -> Any:
    """Return a module's action class, or the normal one where it has none, with checked answers."""
    own = action_loader.get(module, class_only=True) if action_loader.has_plugin(module) else None
    return type("ActionModule", (LookedAt, own or NormalAction), {})
