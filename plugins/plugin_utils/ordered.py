# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part of modules that keep a note of who has ordered it: the option C(who)."""

from __future__ import annotations

from typing import Any

from ansible_collections.autoglm.recovery.plugins.plugin_utils import controllers
from ansible_collections.autoglm.recovery.plugins.plugin_utils.answers import ActionModule as LookedAt


class ActionModule(LookedAt):
    """Run the module with who started this run."""

    def _execute_module(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        given = self._task.args
        given["who"] = controllers.owner_of_run(str(given.get("who") or ""), self._loader)
        answer: dict[str, Any] = super()._execute_module(*args, **{**kwargs, "module_args": dict(given)})
        return answer
