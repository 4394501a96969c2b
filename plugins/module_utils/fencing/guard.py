# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module asks right before it changes something: has a newer run been here, has this run still the host?

The modules C(fence) and C(host_lock) ask the same as tasks of their own. Asked inside the module that acts, nothing can
come between the question and the act, and two connections to the host are saved for each step.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..locks import host_lock
from ..locks.holding import Holder
from . import mark


class GuardRefused(Exception):
    """The run must not act. answer: what the module returns of it, as C(fence) and C(host_lock) do."""

    def __init__(self, reason: str, answer: dict[str, Any] | None = None) -> None:
        super().__init__(f"Refused, nothing was changed by this step: {reason}")
        self.answer = answer or {}


def argument_spec() -> dict[str, Any]:
    """The option C(guard), which the doc fragment C(guard) describes."""
    return {
        "guard": {
            "type": "dict",
            "options": {
                "host": {"type": "str", "required": True},
                "service": {"type": "str"},
                "token": {"type": "int", "no_log": False},
                "run": {"type": "str", "default": ""},
                "incident": {"type": "str", "default": ""},
                "seconds": {"type": "int"},
                "who": {"type": "str", "default": ""},
                "holder": {"type": "str", "default": ""},
                "process": {"type": "dict", "default": {}},
            },
        }
    }


def require(module: Any) -> None:
    """End the module, an AnsibleModule with the option C(guard), where its run must not act."""
    try:
        check(module.params["guard"], module.check_mode)
    except GuardRefused as refusal:
        module.fail_json(msg=str(refusal), **refusal.answer)


def check(
    guard: Mapping[str, Any] | None,
    check_mode: bool,
    fences: str = mark.DEFAULT_DIRECTORY,
    locks: str = host_lock.DIRECTORY,
) -> None:
    """Ask both. Without a guard nothing is asked: whoever calls the module has done so. Raises GuardRefused."""
    if not guard:
        return
    if guard["token"] is not None:
        _show_token(guard, check_mode, Path(fences))
    if guard["seconds"] is not None and not check_mode:  # in check mode the host was not taken
        _keep_host(guard, locks)


def _show_token(guard: Mapping[str, Any], check_mode: bool, fences: Path) -> None:
    token, service = guard["token"], guard["service"] or None
    if not 1 <= token <= mark.HIGHEST:
        raise GuardRefused(f"guard.token must be between 1 and {mark.HIGHEST}, not {token}")
    shown = mark.ShownToken(guard["host"], service, token, guard["run"], guard["incident"])
    try:
        mark.show(fences, shown, check_mode)
    except mark.Fenced as refusal:
        raise GuardRefused(str(refusal), {"fence": {"token": token, "refused_by": refusal.mark}}) from refusal
    except mark.MarkUnreadable as error:
        raise GuardRefused(str(error)) from error


def _keep_host(guard: Mapping[str, Any], locks: str) -> None:
    if guard["seconds"] < 1:
        raise GuardRefused(f"guard.seconds must be 1 or more, not {guard['seconds']}")
    if not guard["holder"]:
        raise GuardRefused("guard names no holder: the action plugin of this module does that")
    try:
        host_lock.keep(
            Holder(
                run=guard["holder"],
                who=guard["who"],
                host=guard["host"],
                token=guard["token"],
                since=time.time(),
                until=host_lock.now() + guard["seconds"],
                boot=host_lock.boot(),
                process=guard["process"],
            ),
            locks,
        )
    except host_lock.HostHeld as error:
        holder = None if error.holder is None else asdict(error.holder)
        raise GuardRefused(host_lock.in_words(error), {"holder": holder}) from error
    except host_lock.HostLockUnusable as error:
        raise GuardRefused(str(error)) from error
