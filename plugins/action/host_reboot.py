# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's part of host_reboot: who orders it, which boot the controller is in, and the wait for the host.

The wait asks over a new connection each time: one from before the reboot may hang for as long as TCP does.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible_collections.autoglm.recovery.plugins.module_utils.host import clocks
from ansible_collections.autoglm.recovery.plugins.module_utils.host.plain import one_line
from ansible_collections.autoglm.recovery.plugins.plugin_utils import controllers
from ansible_collections.autoglm.recovery.plugins.plugin_utils.answers import ActionModule as LookedAt

# Seconds between two questions whether the host is back.
_ASK_EVERY_S = 3
# A connection that was made while the host went down is given up after this many seconds, times three.
_ALIVE = "-o ServerAliveInterval=5 -o ServerAliveCountMax=3"


class Suspicious(AnsibleConnectionFailure):
    """The host answered what no module answers: it is not asked again."""


class ActionModule(LookedAt):
    """Run the module with who started this run, or until the host is back."""

    def _execute_module(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        given = self._task.args
        given["who"] = controllers.owner_of_run(str(given.get("who") or ""), self._loader)
        # What has no boot id by being no Linux is another machine than a host that has one.
        given["controller_boot"] = (clocks.boot_id() or "") if sys.platform == "linux" else sys.platform
        if given.get("state") == "awaited":
            return self._await(*args, **kwargs)
        answer: dict[str, Any] = super()._execute_module(*args, **{**kwargs, "module_args": dict(given)})
        return answer

    def _await(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Ask until the host has another boot id, or the time is over."""
        given = dict(self._task.args)
        seconds = _whole_seconds(given.get("wait"), 1800)
        began = time.monotonic()
        while True:
            answer, said = self._ask(*args, **{**kwargs, "module_args": dict(given)})
            if answer is not None and answer.get("boot") not in (None, given.get("boot")):
                return answer
            waited = time.monotonic() - began
            if waited >= seconds:
                return {**_not_back(given, said, waited), "changed": False}
            time.sleep(min(_ASK_EVERY_S, max(0.0, seconds - waited)))

    def _ask(self, *args: Any, **kwargs: Any) -> tuple[dict[str, Any] | None, str]:
        """Ask once. Returns its answer, None where the host gave none, and what it said."""
        try:
            self._connect_anew()
            answer: dict[str, Any] = super()._execute_module(*args, **kwargs)
        except Suspicious:
            raise
        except (AnsibleError, OSError) as error:
            return None, str(error)
        if answer.get("failed") or "boot" not in answer:
            # A host that boots says many things: no interpreter yet, nobody may log in yet.
            return None, str(answer.get("msg", "no answer of the module"))
        return answer, f"it still has the boot id {answer['boot']}"

    def _connect_anew(self) -> None:
        connection = self._connection
        # The directory for the module's file may be gone with the boot.
        connection._shell.tmpdir = None  # as Ansible's own actions do
        if getattr(connection, "transport", "") == "ssh":
            more = str(connection.get_option("ssh_extra_args") or "")
            if _ALIVE not in more:
                connection.set_option("ssh_extra_args", f"{more} {_ALIVE}".strip())
        if hasattr(connection, "reset"):
            connection.reset()

    def _refuse_answer(self, names: list[str]) -> None:
        try:
            super()._refuse_answer(names)
        except AnsibleConnectionFailure as error:
            raise Suspicious(str(error)) from error

    def _too_long_error(self) -> AnsibleConnectionFailure:
        return Suspicious(str(super()._too_long_error()))


def _not_back(given: dict[str, Any], said: str, waited: float) -> dict[str, Any]:
    since = clocks.in_words(time.time() - waited)
    return {
        "failed": True,
        "outcome": "queried",
        "words": one_line(said, 300),
        "boot": None,
        "note": None,
        "msg": f"It has not come back within {waited:.0f} s (since {since}) with another boot id than "
        f"{given.get('boot')}. The last that was heard: {one_line(said, 300)}",
    }


def _whole_seconds(value: Any, default: int) -> int:
    try:
        return default if value is None else max(0, int(value))
    except (TypeError, ValueError):
        return default
