# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part of host_lock: the owner of this run, and whether the run that holds a host still exists."""

from __future__ import annotations

import time
from typing import Any

from ansible_collections.autoglm.recovery.plugins.plugin_utils import controllers
from ansible_collections.autoglm.recovery.plugins.plugin_utils.answers import ActionModule as LookedAt

# A killed run leaves its last task running on the host. It is waited for, this long at least.
_LAST_TASK_S = 30
# Seconds between two checks whether the holder's process is gone.
_LOOK_EVERY_S = 5


class ActionModule(LookedAt):
    """Run the module with this run's name, and again until the host is free or the time to wait is over."""

    def _execute_module(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        process = controllers.here()
        given = self._task.args
        given.update(run=controllers.name(process), process=process)
        given["who"] = controllers.owner_of_run(str(given.get("who") or ""), self._loader)
        wait = _whole_seconds(given.get("wait"))
        deadline = time.monotonic() + wait
        while True:
            given["wait"] = int(max(0, min(_LOOK_EVERY_S, deadline - time.monotonic())))
            # A copy, because Ansible adds its own arguments to it.
            answer: dict[str, Any] = super()._execute_module(*args, **{**kwargs, "module_args": dict(given)})
            holder = answer.get("holder")
            if not answer.get("failed") or not isinstance(holder, dict) or answer.get("quarantined"):
                return answer  # nobody gives back by waiting what is under quarantine
            theirs = holder.get("process")
            if not given.get("ended") and isinstance(theirs, dict) and controllers.has_ended(theirs):
                given["ended"] = str(holder.get("run"))
                deadline = max(deadline, time.monotonic() + _LAST_TASK_S)
            elif time.monotonic() >= deadline:
                return answer


def _whole_seconds(value: Any) -> int:
    try:
        return max(0, int(value or 0))
    except (TypeError, ValueError):
        return 0
