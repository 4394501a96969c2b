# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part of the option C(guard): which run it is that goes on holding the host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.autoglm.recovery.plugins.plugin_utils import controllers
from ansible_collections.autoglm.recovery.plugins.plugin_utils.answers import ActionModule as LookedAt


class ActionModule(LookedAt):
    """Run the module with this run's name in its guard, as the action plugin host_lock gives it to the lock."""

    def _execute_module(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        guard = self._task.args.get("guard")
        if isinstance(guard, Mapping) and guard:
            process = controllers.here()
            who = controllers.owner_of_run(str(guard.get("who") or ""), self._loader)
            self._task.args["guard"] = {**guard, "holder": controllers.name(process), "process": process, "who": who}
        answer: dict[str, Any] = super()._execute_module(*args, **kwargs)
        return answer
